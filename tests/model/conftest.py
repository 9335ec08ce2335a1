"""Objects of every class without files, and a counter of SQL statements."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import JSON, BigInteger, Boolean, Date, DateTime, Engine, Float, Integer, String, event, inspect
from sqlalchemy.orm import Session

from awe import model
from awe.model.night import night_bounds
from awe.model.queries import connect_queries

NIGHT = date(2026, 1, 27)
NOON = datetime(2026, 1, 27, 16, 42, 55, 200000)  # local noon at the telescope below
PLAUSIBLE = [
    (BigInteger, 1),
    (Boolean, True),
    (Integer, 1),
    (Float, 1.5),
    (String, ""),
    (DateTime, NOON),
    (Date, NIGHT),
    (JSON, []),
]


class Archive:
    """A telescope with two chips and two filters, and a way to add objects with only the values that matter."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._number = 0
        self.telescope = self.add(model.Telescope, name="NTT", longitude=-70.73)
        self.camera = self.instrument("EFOSC2", self.telescope)
        self.chip, self.other_chip = (self.add(model.Chip, name=n, instrument=self.camera) for n in ("ccd50", "ccd51"))
        self.g, self.r = (self.add(model.Filter, name=n, instrument=self.camera) for n in ("g", "r"))

    def instrument(self, name: str, telescope: Any) -> Any:
        """Return a new instrument."""
        return self.add(model.Instrument, name=name, telescope=telescope, calibration_days={}, required_calibrations=[])

    def add(self, cls: Any, **given: Any) -> Any:
        """Return a new object of a class in the database; columns that need a value get a plausible one."""
        values = {"creator": "ann", "project": "default"} | given
        thing = cls(**values)
        for attribute in inspect(cls).column_attrs:
            column = attribute.columns[0]
            if column.nullable or column.default is not None or column.primary_key or column.foreign_keys:
                continue
            derived = attribute.key == "class_name" or attribute.key.startswith("param_")
            if attribute.key not in values and not derived:
                setattr(thing, attribute.key, self._plausible(attribute.key, column.type))
        self.session.add(thing)
        self.session.flush()
        return thing

    def _plausible(self, name: str, kind: Any) -> Any:
        self._number += 1
        if name in ("content", "name"):
            return f"{name} {self._number}"
        return next(value for sql, value in PLAUSIBLE if isinstance(kind, sql))

    def raw(self, cls: Any, after_noon: timedelta, **given: Any) -> Any:
        """Return a new raw frame, taken some time after the local noon of the night."""
        moment = NOON + after_noon
        exposure = {"instrument": self.camera, "chip": self.chip, "filter": self.g, "object": "Q1010", "exptime": 180.0}
        night = NIGHT + timedelta(days=after_noon.days)
        exposure |= {"date_obs": moment, "mjd_obs": 61067.0, "night": night} | given
        observed = {k: exposure[k] for k in ("instrument", "filter", "object", "date_obs", "night", "exptime")}
        observation = self.add(model.Observation, **observed)
        return self.add(cls, observation=observation, gain=1.1, **exposure)

    def science(self, hours: float = 12.0, **given: Any) -> Any:
        """Return a new raw science frame."""
        return self.raw(model.RawScienceFrame, timedelta(hours=hours), **given)

    def biases(self, number: int = 3, day: int = 0, **given: Any) -> list[Any]:
        """Return new raw biases of the night, or of one some days later."""
        given = {"filter": None, "object": "BIAS", "exptime": 0.0} | given
        return [self.raw(model.RawBiasFrame, timedelta(days=day, hours=1, minutes=i), **given) for i in range(number)]

    def calibration(self, cls: Any, days: tuple[int, int] = (0, 1), **given: Any) -> Any:
        """Return a new calibration of the chip, valid from noon to noon some days from the night on."""
        interval = {"valid_from": NOON + timedelta(days=days[0]), "valid_to": NOON + timedelta(days=days[1])}
        values = {"chip": self.chip} | interval | given
        if issubclass(cls, model.Frame):
            values = {
                "instrument": self.camera,
                "date_obs": values["valid_from"],
                "mjd_obs": 0.0,
                "night": NIGHT,
            } | values
        if hasattr(cls, "Parameters"):
            values.setdefault("parameters", cls.Parameters())
        return self.add(cls, **values)

    def product(self, cls: Any, like: Any = None, **given: Any) -> Any:
        """Return a new product, of an exposure like another frame's."""
        exposure = {n: getattr(like, n) for n in model.frame.EXPOSURE} if like is not None else {}
        if hasattr(cls, "Parameters"):
            given.setdefault("parameters", cls.Parameters())
        return self.add(cls, **exposure, **given)

    def bias(self, read_noise: float = 5.5, number: int = 3, **given: Any) -> Any:
        """Return a new master bias with its read noise and raw biases."""
        raws = self.biases(number)
        noise = self.calibration(model.ReadNoise, value=read_noise, raw_biases=raws)
        return self.calibration(model.BiasFrame, raw_biases=raws, read_noise=noise, **given)

    def reduced(self, raw: Any, bias: Any = None) -> Any:
        """Return a new reduced frame of an exposure."""
        full = self.product(model.SaturatedPixelMap, raw, raw=raw)
        noise = bias.read_noise if bias is not None else None
        return self.product(model.ReducedFrame, raw, raw=raw, bias=bias, read_noise=noise, saturated_pixels=full)

    def coadd(self, frames: list[Any]) -> Any:
        """Return a new coadd of reduced frames, through all that lies between."""
        grid = self.add(model.GridTarget, name=f"grid {self._number}", object="Q1010", wcs={})
        regridded = [self._regridded(frame, grid) for frame in frames]
        like = {n: getattr(frames[0], n) for n in ("instrument", "filter", "object", "date_obs", "mjd_obs", "night")}
        return self.product(model.Coadd, grid_target=grid, regridded_frames=regridded, **like)

    def _regridded(self, reduced: Any, grid: Any) -> Any:
        cosmics = self.product(model.CosmicMap, reduced, reduced=reduced)
        background = self.product(model.BackgroundFrame, reduced, reduced=reduced, cosmics=cosmics)
        of = {"reduced": reduced, "background": background}
        weight = self.product(model.WeightFrame, reduced, cosmics=cosmics, bias=reduced.bias, **of)
        of["weight"] = weight
        of["astrometry"] = self.product(model.AstrometricParameters, **of)
        of["photometry"] = self.product(model.PhotometricParameters, **of)
        return self.product(model.RegriddedFrame, reduced, grid_target=grid, **of)


@pytest.fixture
def archive(session: Session) -> Archive:
    """An empty archive of one camera; the night of its frames starts at the local noon of the telescope."""
    assert night_bounds(NIGHT, -70.73)[0] == NOON
    return Archive(session)


@pytest.fixture
def asking(session: Session) -> Iterator[Session]:
    """Queries use the session of the test, user ann and project default."""
    connect_queries(lambda: session, "ann", "default")
    yield session
    connect_queries(None)


@pytest.fixture
def statements(engine: Engine) -> Callable[[], AbstractContextManager[list[str]]]:
    """A context that collects the SQL statements sent within it."""

    @contextmanager
    def collect() -> Iterator[list[str]]:
        sent: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if not statement.startswith(("SAVEPOINT", "RELEASE")):
                sent.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        try:
            yield sent
        finally:
            event.remove(engine, "before_cursor_execute", note)

    return collect
