"""Rules of corrections that only some instruments need: each chooses nothing where the instrument declares none."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from awe.model.lineage import Rule, Wanted
from awe.model.lookup import Lookup, chunks
from awe.model.rules import MAXIMUM_RAWS, NearestRaws, OfMany, follow


def declares(instrument: Any, correction: str, filter: Any = None) -> bool:
    """Return whether the file of an instrument asks for a correction (in a filter)."""
    declared = (instrument.corrections or {}).get(correction)
    if not declared or filter is None or not isinstance(declared, list):
        return bool(declared)
    return any(fnmatchcase(filter.name, pattern) for pattern in declared)


@dataclass(frozen=True)
class IfDeclared(OfMany):
    """What another rule chooses, if the instrument declares the correction; else nothing, and it costs nothing."""

    correction: str
    rule: Rule
    role: str = ""
    """Role that leads to chip and filter; empty: those of the product itself."""

    def __str__(self) -> str:
        return f"{self.rule}; none unless the instrument declares `{self.correction}`"

    def choose_with(self, lookup: Lookup, source: type, product: Any) -> Any:
        """Return the choice of the other rule, or None."""
        of = follow(product, self.role) if self.role else product
        if (
            of is None
            or of.chip is None
            or not declares(of.chip.instrument, self.correction, getattr(of, "filter", None))
        ):
            return None
        if isinstance(self.rule, OfMany):
            return self.rule.choose_with(lookup, source, product)
        return self.rule.choose(lookup.session, source, product)


class Companions:
    """Knows the crosstalk of instruments, and which raw frames belong to one exposure; read for many at once."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._crosstalk: dict[int, Any] = {}
        self._of: dict[int, list[Any]] = {}

    def crosstalk(self, source: Any, instrument: Any) -> Any:
        """Return the coefficients that the file of an instrument declares now; None if it declares none."""
        digest = (instrument.corrections or {}).get("crosstalk")
        if digest is None:
            return None
        if instrument.object_id not in self._crosstalk:
            query = select(source).where(source.instrument_id == instrument.object_id, source.digest == digest)
            found = self._lookup.session.scalars(query.where(source.is_valid > 0).order_by(source.object_id)).first()
            self._crosstalk[instrument.object_id] = found
            self._lookup.know([found] if found is not None else [])
        return self._crosstalk[instrument.object_id]

    def of(self, source: Any, raw: Any) -> list[Any]:
        """Return the valid raw frames of the exposure of one, by chip, itself among them."""
        if raw.observation_id not in self._of:
            self._read(source, self._lookup.peers(raw))
            self._of.setdefault(raw.observation_id, [raw])
        return self._of[raw.observation_id]

    def _read(self, source: Any, raws: Iterable[Any]) -> None:
        numbers = {raw.observation_id for raw in raws} - set(self._of)
        found = defaultdict(list)
        for part in chunks(numbers):
            query = select(source).where(source.is_valid > 0, source.observation_id.in_(part))
            for frame in self._lookup.session.scalars(query.order_by(source.object_id)).unique():
                found[frame.observation_id].append(frame)
        self._of.update((number, found[number]) for number in numbers)
        self._lookup.know(frame for frames in found.values() for frame in frames)


@dataclass(frozen=True)
class CrosstalkOf(OfMany):
    """The coefficients that the instrument file declares now, if the chip is disturbed by another or in itself."""

    role: str

    def __str__(self) -> str:
        return f"those of the instrument file, if they concern the chip of `{self.role}`"

    def choose_with(self, lookup: Lookup, source: type, product: Any) -> Any:
        """Return the coefficients, or None."""
        raw = follow(product, self.role)
        found = None if raw is None else lookup.part(Companions).crosstalk(source, raw.instrument)
        return found if found is not None and found.disturbing(raw.chip.name) else None


@dataclass(frozen=True)
class Aggressors(OfMany):
    """The raw frames of the same exposure whose chips disturb the chip of a raw frame."""

    role: str
    by: str

    def __str__(self) -> str:
        return f"the other chips of the exposure of `{self.role}` whose signal shows in it, by `{self.by}`"

    def choose_with(self, lookup: Lookup, source: type, product: Any) -> list[Any]:
        """Return the raw frames; none if there is no crosstalk."""
        raw, crosstalk = follow(product, self.role), getattr(product, self.by)
        if crosstalk is None:
            return []
        chips = {pair.aggressor for pair in crosstalk.disturbing(raw.chip.name)} - {raw.chip.name}
        return [frame for frame in lookup.part(Companions).of(source, raw) if frame.chip.name in chips]


@dataclass(frozen=True)
class EnoughRaws(NearestRaws):
    """As NearestRaws, but nothing if no night has enough: of too few frames no such calibration can be made."""

    def __str__(self) -> str:
        return f"{super().__str__()}; none if no night has as many"

    def choose(self, session: Session, source: Any, product: Any) -> list[Any]:
        """Return the raw frames in order of observation; empty if no night in reach has enough."""
        found = super().choose(session, source, product)
        return found if len(found) >= self.minimum else []

    def why_none(self, session: Session, source: Any, product: Any) -> str:
        """Return the sentence that says which raw frames were looked for."""
        found = super().choose(session, source, product)
        if not found:
            return super().why_none(session, source, product)
        return f"{len(found)} {source.__name__} of {product.chip.name} are too few: {self.minimum} are needed"


@dataclass(frozen=True)
class ResultsOfNight(OfMany):
    """The products of all valid science exposures of chip and filter of the nearest night that has some."""

    raws: NearestRaws

    def __str__(self) -> str:
        return f"those of the science exposures: {self.raws}"

    def choose_with(self, lookup: Lookup, source: type, product: Any) -> list[Wanted]:
        """Return the wanted products, by time."""
        from awe.model.raw import RawScienceFrame
        from awe.model.science import ReducedFrame

        raws = self.raws.choose(lookup.session, RawScienceFrame, product)
        return [Wanted(source, {"reduced": Wanted(ReducedFrame, {"raw": raw})}) for raw in raws]


@dataclass(frozen=True)
class FlatSequence:
    """The valid flats of the chip and of one filter of the nearest night with pairs of several exposure times.

    Of the filters of a night that which has pairs of most exposure times is taken, the first by name of two alike.
    """

    kind: str
    times: int = 3
    default_days: float = 30.0

    def __str__(self) -> str:
        return (
            f"all valid ones of the chip, in the filter with pairs of most exposure times, of the nearest night with "
            f"pairs of at least {self.times} of them, within `calibration_days.{self.kind}` of the instrument "
            f"({self.default_days:g} d)"
        )

    def choose(self, session: Session, source: Any, product: Any) -> list[Any]:
        """Return the raw flats in order of observation; empty if there is no such sequence in reach."""
        reach = timedelta(days=float(product.chip.instrument.calibration_days.get(self.kind, self.default_days)))
        conditions = [source.is_valid > 0, source.chip_id == product.chip.object_id]
        conditions += [source.date_obs >= product.valid_from - reach, source.date_obs < product.valid_to + reach]
        columns = source.night, source.filter_id, source.exptime
        rows = session.execute(select(*columns, func.count(source.object_id)).where(*conditions).group_by(*columns))
        times: dict[tuple[date, int | None], int] = defaultdict(int)
        for night, filter_id, _, count in rows:
            times[night, filter_id] += count > 1
        enough = {key: number for key, number in times.items() if number >= self.times}
        if not enough:
            return []
        middle = (product.valid_from + (product.valid_to - product.valid_from) / 2).date()
        night, filter_id = min(enough, key=lambda k: (abs((k[0] - middle).days), k[0], -enough[k], k[1] or 0))
        query = select(source).where(*conditions, source.night == night, source.filter_id == filter_id)
        found = session.scalars(query.order_by(source.date_obs, source.object_id).limit(2 * MAXIMUM_RAWS))
        return list(found.unique())

    def why_none(self, session: Session, source: Any, product: Any) -> str:
        """Return the sentence that says which raw frames were looked for."""
        return (
            f"no night near {product.valid_from:%Y-%m-%d} has pairs of {source.__name__} of {product.chip.name} "
            f"with {self.times} exposure times in one filter"
        )
