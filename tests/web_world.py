"""A small database with every kind of object, and files on a data server, for the tests of the pages."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, insert
from sqlalchemy.orm import Session

from awe import model
from awe.fits_writing import write_image
from awe.model.catalogue import ASSOCIATES, SOURCES
from awe.model.lineage import bind
from awe.model.lineage import inputs as declared_inputs
from awe.store import Store

NIGHT = date(2026, 1, 27)
START = datetime(2026, 1, 28, 4, 54, 24)
SHAPE = (200, 256)
MESH = (480 + np.arange(12).reshape(3, 4) ** 1.5).astype(np.float32)
"""Of the sky of a frame."""
SOURCES_OF_A_LIST = 250


@dataclass
class World:
    """What was made, by name; ids only, so that no test holds a session."""

    engine: Engine
    store: Store
    folder: Path
    ids: dict[str, int] = field(default_factory=dict)
    raws: list[int] = field(default_factory=list)
    flags: np.ndarray = field(default_factory=lambda: np.zeros(SHAPE, np.uint8))
    raw_images: dict[int, np.ndarray] = field(default_factory=dict)


def build(engine: Engine, store: Store, folder: Path, exposures: int = 3) -> World:
    """Fill an empty database: an instrument of two chips, a night, and all that is made of one target."""
    model.Base.metadata.create_all(engine)
    world = World(engine, store, folder)
    with Session(engine) as session:
        _Builder(world, session, exposures).build()
        session.commit()
    return world


class _Builder:
    def __init__(self, world: World, session: Session, exposures: int) -> None:
        self.world, self.session, self.exposures = world, session, exposures
        self.rng = np.random.default_rng(7)
        self.newest: dict[type, Any] = {}
        ny, nx = SHAPE
        self.stars = [
            (self.rng.uniform(0, nx), self.rng.uniform(0, ny), 10 ** self.rng.uniform(2.2, 4.6)) for _ in range(70)
        ]

    def build(self) -> None:
        self._instrument()
        self._jobs()
        raws = [self._raw(model.RawBiasFrame, "bias", i, 0.0, 200.0, raw_filter=None) for i in range(3)]
        flats = [self._raw(model.RawTwilightFlatFrame, "twilight", i, 4.0 + i, 20000.0) for i in range(3)]
        science = [
            self._raw(model.RawScienceFrame, "Q1010-0100", i, 180.0, 700.0, stars=True) for i in range(self.exposures)
        ]
        self.world.raws = [r.object_id for r in (*raws, *flats, *science)]
        self._calibrations(raws, flats)
        regridded = [self._science(raw) for raw in science]
        self._coadd(regridded)

    def _add(self, thing: Any, name: str = "") -> Any:
        thing.creator, thing.project = "rees", "default"
        thing.software_version, thing.host = "0.1.0", "coma"
        self.session.add(thing)
        self.session.flush()
        self.newest[type(thing)] = thing
        if name:
            self.world.ids.setdefault(name, thing.object_id)
        return thing

    def _instrument(self) -> None:
        telescope = self._add(
            model.Telescope(name="NTT", longitude=-70.73, latitude=-29.26, altitude=2375.0), "telescope"
        )
        self.camera = self._add(model.Instrument(name="EFOSC2", telescope=telescope, definition="0" * 64), "instrument")
        self.chip = self._add(model.Chip(name="ccd40", instrument=self.camera), "chip")
        self.other_chip = self._add(model.Chip(name="ccd41", instrument=self.camera))
        self.filter = self._add(model.Filter(name="g#782", instrument=self.camera, band="g", extinction=0.18), "filter")

    def _jobs(self) -> None:
        process = model.Process(
            name="make_reduced_frame",
            product_class="ReducedFrame",
            version=1,
            summary="Debias and flatfield one exposure.",
            parameters='[{"name": "overscan", "type": "Overscan", "default": "per_row", "unit": "", '
            '"doc": "how the overscan level is removed"}]',
            code_hash="9" * 64,
            software_version="0.1.0",
        )
        self.session.add(process)
        self.session.flush()
        self.job = self._job(process, "done", "ReducedFrame of RawScienceFrame 12", None)
        self._job(process, "failed", "ReducedFrame of RawScienceFrame 13", "all pixels of chip ccd40 are flagged")
        self.process = process

    def _job(self, process: Any, state: str, target: str, error: str | None) -> Any:
        job = model.Job(
            state=state,
            product_class="ReducedFrame",
            target=target,
            reason="there is none yet",
            fingerprint="f" * 16,
            error=error,
            error_class="TaskFailed" if error else None,
            creator="rees",
            project="default",
            host="coma",
            pid=1,
            process_started=0.0,
            wall_time=1.52,
            peak_memory=231.0,
            process=process,
        )
        self.session.add(job)
        self.session.flush()
        return job

    def _exposure(self, name: str, index: int, exptime: float) -> dict[str, Any]:
        moment = START + timedelta(minutes=5 * index)
        sky = exptime >= 100
        return {
            "instrument": self.camera,
            "chip": self.chip,
            "filter": self.filter,
            "object": name,
            "date_obs": moment,
            "mjd_obs": 61068.2 + index / 288,
            "night": NIGHT,
            "exptime": exptime,
            "airmass": 1.213 if sky else None,
            "naxis1": SHAPE[1],
            "naxis2": SHAPE[0],
            "ra": 152.6 if sky else None,
            "dec": -1.0087 if sky else None,
            "pixel_scale": 0.24,
        }

    def _raw(
        self, cls: Any, name: str, index: int, exptime: float, level: float, stars: bool = False, **more: Any
    ) -> Any:
        exposure = self._exposure(name, index, exptime) | ({"filter": None} if "raw_filter" in more else {})
        described = {
            k: exposure[k] for k in ("instrument", "filter", "object", "date_obs", "night", "exptime", "airmass")
        }
        observation = self._add(model.Observation(**described), "observation")
        image = self._image(level, stars, noise=11)
        content = f"{cls.__name__}-{index:04d}".ljust(64, "0")
        raw = self._add(
            cls(
                **exposure,
                observation=observation,
                content=content,
                extension=1,
                original_name=f"EFOSC.{index}.{name}.fits",
                data_section="[1:256,1:200]",
                gain=1.1,
                header_read_noise=7.8,
                saturation=65535.0,
                hdu=1,
            ),
            cls.__name__,
        )
        empty = np.zeros((1, 1), np.float32)
        self._file(raw, {"EMPTY": empty, "CCD40": image})
        self.world.raw_images[raw.object_id] = image
        return raw

    def _image(self, level: float, stars: bool = False, noise: float = 3.0) -> np.ndarray:
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
        image = level + self.rng.normal(0, noise, SHAPE)
        for x0, y0, flux in self.stars if stars else ():
            image += flux / 25 * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 8)
        return image.astype(np.float32)

    def _file(self, frame: Any, planes: dict[str, np.ndarray], **cards: Any) -> None:
        filename = f"{type(frame).__name__}-{frame.object_id}.fits"
        path = self.world.folder / filename
        own = {"OBJECT": getattr(frame, "object", ""), "EXPTIME": getattr(frame, "exptime", 0.0)}
        write_image(path, planes, own | cards)
        stored = self.world.store.put(path, filename, consume=True)
        frame.filename, frame.size, frame.sha256 = stored.filename, stored.size, stored.sha256
        self.session.flush()

    def _product(
        self, cls: Any, inputs: dict[str, Any], planes: dict[str, np.ndarray] | None = None, **values: Any
    ) -> Any:
        product = cls(**values)
        if hasattr(cls, "Parameters"):
            product.parameters = cls.Parameters()
        needed = {
            r: d.source for r, d in declared_inputs(cls).items() if not (d.optional or d.many) and r not in inputs
        }
        for role, chosen in (inputs | {r: self.newest[source] for r, source in needed.items()}).items():
            bind(product, role, chosen)
        product.process, product.job, product.wall_time, product.peak_memory = self.process, self.job, 1.52, 231.0
        self._add(product, cls.__name__)
        if planes:
            self._file(product, planes)
        return product

    def _calibrations(self, biases: list[Any], flats: list[Any]) -> None:
        interval = {"valid_from": START - timedelta(hours=12), "valid_to": START + timedelta(hours=12)}
        noise = self._product(
            model.ReadNoise,
            {"raw_biases": biases},
            chip=self.chip,
            value=11.38,
            error=0.042,
            header_value=7.1,
            **interval,
        )
        noise.note("the header's 7.1 adu is wrong: pairs of biases give 11.4 adu")
        exposure = self._exposure("bias", 0, 0.0)
        planes = {"IMAGE": self._image(0.0)}
        self.bias = self._product(
            model.BiasFrame,
            {"raw_biases": biases, "read_noise": noise},
            planes,
            raw_level=222.1,
            **exposure,
            **interval,
        )
        self.world.flags[20:24, 30:34] = 1
        self.world.flags[:, 100] = 1
        self.hot = self._product(
            model.HotPixelMap, {"bias": self.bias}, {"IMAGE": self.world.flags}, count=216, columns="100", **exposure
        )
        exposure = self._exposure("twilight", 0, 4.0)
        planes = {"IMAGE": 1 + self._image(0.0) / 500}
        twilight = self._product(
            model.TwilightFlatFrame,
            {"raw_flats": flats, "bias": self.bias, "hot_pixels": self.hot},
            planes,
            **exposure,
            **interval,
        )
        self.flat = self._product(model.MasterFlatFrame, {"twilight": twilight}, planes, **exposure, **interval)
        self.cold = self._product(
            model.ColdPixelMap, {"flat": self.flat}, {"IMAGE": np.zeros(SHAPE, np.uint8)}, count=0, **exposure
        )
        self.noise = noise

    def _science(self, raw: Any) -> Any:
        like = self._exposure(raw.object, 0, 180.0) | {"date_obs": raw.date_obs}
        full = self._product(model.SaturatedPixelMap, {"raw": raw}, {"IMAGE": self.world.flags}, count=4, **like)
        planes = {"IMAGE": self._image(480.0, stars=True), "FLAGS": self.world.flags}
        used = {
            "raw": raw,
            "bias": self.bias,
            "read_noise": self.noise,
            "flat": self.flat,
            "hot_pixels": self.hot,
            "cold_pixels": self.cold,
            "saturated_pixels": full,
        }
        reduced = self._product(model.ReducedFrame, used, planes, background=481.3, noise=11.38, gain=1.1, **like)
        of = {"reduced": reduced}
        cosmics = self._product(model.CosmicMap, of, {"IMAGE": self.world.flags}, count=31, **like)
        background = self._product(model.BackgroundFrame, of | {"cosmics": cosmics}, level=480.9, rms=12.0, **like)
        self._file(background, {"MESH": MESH, "MESH_RMS": 0.02 * MESH}, IMNAXIS1=SHAPE[1], IMNAXIS2=SHAPE[0])
        weighed = of | {"flat": self.flat, "bias": self.bias, "cosmics": cosmics, "background": background}
        planes = {"IMAGE": np.full(SHAPE, 0.01, np.float32), "FLAGS": self.world.flags}
        weight = self._product(model.WeightFrame, weighed, planes, median_weight=0.0096, **like)
        of |= {"weight": weight, "background": background}
        astrometry = self._product(model.AstrometricParameters, of, n_stars=61, rms=0.093, method="affine")
        photometry = self._product(
            model.PhotometricParameters, of | {"astrometry": astrometry}, zeropoint=25.412, error=0.031, n_stars=4
        )
        if not hasattr(self, "grid"):
            self.grid = self._add(
                model.GridTarget(
                    name="Q1010",
                    object=raw.object,
                    ra=152.6,
                    dec=-1.0,
                    pixel_scale=0.24,
                    naxis1=256,
                    naxis2=200,
                    wcs={"CRVAL1": 152.6},
                ),
                "grid",
            )
        planes = {"IMAGE": self._image(0.0, stars=True), "WEIGHT": np.full(SHAPE, 0.01), "FLAGS": self.world.flags}
        of |= {"astrometry": astrometry, "photometry": photometry}
        return self._product(model.RegriddedFrame, of, planes, grid_target=self.grid, zeropoint=30.0, **like)

    def _coadd(self, regridded: list[Any]) -> None:
        like = self._exposure("Q1010-0100", 0, 180.0) | {"chip": None}
        planes = {
            "IMAGE": self._image(0.0, stars=True, noise=1.5),
            "WEIGHT": np.full(SHAPE, 0.03),
            "FLAGS": self.world.flags,
        }
        values = {"n_frames": len(regridded) - 1, "zeropoint": 30.0, "zeropoint_error": 0.0123, "seeing": 1.12}
        coadd = self._product(
            model.Coadd,
            {"regridded_frames": regridded},
            planes,
            grid_target=self.grid,
            total_exptime=540.0,
            **values,
            **like,
        )
        for place, member in enumerate(coadd.regridded_frames_members):
            member.weight = 1 / len(regridded)
            if place == len(regridded) - 1 and place:
                member.used, member.weight, member.reason = (
                    False,
                    None,
                    "astrometric residual 1.8 pixel exceeds 1.5 pixel",
                )
        coadd.flag(model.QualityFlag.INPUTS_REJECTED)
        listed = self._product(model.SourceList, {"frame": coadd}, name="Q1010 g", n_sources=SOURCES_OF_A_LIST)
        self.session.execute(insert(SOURCES), list(self._sources(listed.object_id)))
        matched = self._product(model.AssociateList, {"source_lists": [listed]}, name="Q1010", n_associates=2)
        pairs = [
            {"ALID": matched.object_id, "AID": i, "SLID": listed.object_id, "SID": i, "DISTANCE": 0.0} for i in range(2)
        ]
        self.session.execute(insert(ASSOCIATES), pairs)

    def _sources(self, slid: int) -> Iterable[dict[str, Any]]:
        for sid in range(SOURCES_OF_A_LIST):
            values: dict[str, Any] = {c.name: 0 for c in SOURCES.columns if not c.nullable}
            yield values | {"SLID": slid, "SID": sid, "RA": 152.6 + sid / 5000, "DEC": -1.0, "MAG_AUTO": 18 + sid / 50}
