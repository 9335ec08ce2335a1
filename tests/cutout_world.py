"""Three exposures of one field with stars at known places, and all that is made of them, for tests of cutouts.

The chip is turned against the sky and the raw frames have a prescan, so that no pixel lies where another class has it;
pixels of the calibrations say where they are: x + 1000 y.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, insert
from sqlalchemy.orm import Session

from awe import model
from awe.fits_writing import write_image
from awe.kernels.wcs import Wcs, tan
from awe.model.catalogue import ASSOCIATES, SOURCES
from awe.model.frame import SkyCell
from awe.model.lineage import bind
from awe.model.lineage import inputs as declared_inputs
from awe.model.sky import cells_of
from awe.store import Store

START = datetime(2026, 1, 28, 4, 54, 24)
SCALE = 0.4
NX, NY = 290, 250
X0, Y0 = 20, 10
"""Where the data section of raw frames begins."""
RAW_SHAPE = (NY + Y0, NX + X0)
GRID = tan(150.0, 2.0, SCALE, 400, 360)
GRID_SHAPE = (360, 400)
CHIPS = (
    tan(150.0, 2.0, SCALE, NX, NY, rotation=20.0),
    tan(150.002, 2.001, SCALE, NX, NY, rotation=20.0),
    tan(149.998, 1.999, SCALE, NX, NY, rotation=200.0),
)
FILTERS = ("r", "r", "g")
CORNERS = ((10, 12), (18, 20), (4, 6))
"""First column and row of the regridded frames on the grid."""
PART_SHAPE = (330, 370)
LEVEL = 500.0
SIGMA = 1.5
STARS = tuple((59.9 + 70.25 * i, 50.2 + 64.0 * j, 400.0 + 100 * (5 * j + i)) for j in range(5) for i in range(5))
"""x and y on the grid, and peak."""
COLUMNS = np.add.outer(1000.0 * np.arange(NY), np.arange(NX)).astype(np.float32)
"""What calibrations contain."""
ELLIPSE = (6.0, 3.0, 30.0)


@dataclass
class CutoutWorld:
    """What was made; numbers only, so that no test holds a session."""

    engine: Engine
    store: Store
    folder: Path
    ids: dict[str, int] = field(default_factory=dict)
    raws: list[int] = field(default_factory=list)
    reduced: list[int] = field(default_factory=list)
    regridded: list[int] = field(default_factory=list)
    lists: list[int] = field(default_factory=list)
    """Of the regridded frames."""
    images: dict[int, np.ndarray] = field(default_factory=dict)
    stars: list[tuple[float, float, float, float]] = field(default_factory=list)
    """Right ascension and declination, and x and y on the coadd."""


def sky_of_star(number: int) -> tuple[float, float]:
    """Return right ascension and declination of a star."""
    ra, dec = GRID.to_sky(*STARS[number][:2])
    return float(ra), float(dec)


def star_image(wcs: Wcs, shape: tuple[int, int], level: float, corner: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Return an image of the stars; `wcs` counts from the corner."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.full(shape, level)
    for number, (_, _, peak) in enumerate(STARS):
        sx, sy = wcs.to_pixel(*sky_of_star(number))
        image += peak * np.exp(-((x - sx - corner[0]) ** 2 + (y - sy - corner[1]) ** 2) / (2 * SIGMA**2))
    return image.astype(np.float32)


def build(engine: Engine, store: Store, folder: Path) -> CutoutWorld:
    """Fill an empty database."""
    model.Base.metadata.create_all(engine)
    world = CutoutWorld(engine, store, folder, stars=[(*sky_of_star(n), *STARS[n][:2]) for n in range(len(STARS))])
    with Session(engine) as session:
        _Builder(world, session).build()
        session.commit()
    return world


class _Builder:
    def __init__(self, world: CutoutWorld, session: Session) -> None:
        self.world, self.session = world, session
        self.newest: dict[type, Any] = {}

    def build(self) -> None:
        telescope = self.add(model.Telescope(name="NTT", longitude=-70.73, latitude=-29.26, altitude=2375.0))
        self.camera = self.add(model.Instrument(name="EFOSC2", telescope=telescope, definition="0" * 64))
        self.chip = self.add(model.Chip(name="ccd40", instrument=self.camera))
        self.filters = {n: self.add(model.Filter(name=n, instrument=self.camera, band=n, extinction=0.1)) for n in "rg"}
        facts: dict[str, Any] = {"ra": 150.0, "dec": 2.0, "pixel_scale": SCALE, "naxis1": 400, "naxis2": 360}
        self.grid = self.add(model.GridTarget(name="G", object="M1", wcs=GRID.cards, **facts))
        self.calibrations()
        regridded = [self.exposure(i) for i in range(3)]
        # the fringes are made of the exposures that they correct, the illumination of their zeropoints
        self.made_of(self.used["fringes"], "raws", [frame.reduced.raw for frame in regridded])
        self.made_of(self.illumination, "photometry", [frame.photometry for frame in regridded])
        image = star_image(GRID, GRID_SHAPE, 0.0)
        coadd = self.product(
            model.Coadd, {"regridded_frames": regridded}, {"IMAGE": image, "WEIGHT": np.ones_like(image)}, -1,
            grid_target=self.grid, wcs=GRID.cards, n_frames=3, zeropoint=30.0,
        )  # fmt: skip
        self.session.flush()
        self.world.ids["coadd"] = coadd.object_id
        self.world.ids["slid"] = self.listed(coadd, GRID, GRID_SHAPE, "deep", range(25), 0)
        for i, frame in enumerate(regridded):
            corner = CORNERS[i]
            wcs = GRID.shifted(-corner[0], -corner[1])
            seen = [n for n in range(25) if _on(wcs, n, PART_SHAPE)]
            self.world.lists.append(self.listed(frame, wcs, PART_SHAPE, f"epoch {i}", seen, i))
        self.associated()

    def add(self, thing: Any) -> Any:
        thing.creator, thing.project = "rees", "default"
        thing.software_version, thing.host = "0.1.0", "coma"
        self.session.add(thing)
        self.session.flush()
        self.newest[type(thing)] = thing
        self.world.ids.setdefault(type(thing).__name__, thing.object_id)
        return thing

    def taken(self, index: int, name: str = "M1") -> dict[str, Any]:
        """Return the facts of an exposure; index -1: calibrations and coadds."""
        band = FILTERS[index] if index >= 0 else "r"
        return {
            "instrument": self.camera, "chip": self.chip, "filter": self.filters[band], "object": name,
            "date_obs": START + timedelta(days=max(index, 0)), "mjd_obs": 61068.2 + max(index, 0),
            "night": date(2026, 1, 27) + timedelta(days=max(index, 0)), "exptime": 180.0, "pixel_scale": SCALE,
        }  # fmt: skip

    def raw(self, cls: Any, image: np.ndarray, index: int) -> Any:
        exposure = self.taken(index, "M1" if index >= 0 else "bias")
        described = {
            k: exposure[k] for k in ("instrument", "filter", "object", "date_obs", "night", "exptime")
        }  # fmt: skip
        observation = self.add(model.Observation(**described, airmass=1.2))
        section = f"[{X0 + 1}:{X0 + NX},{Y0 + 1}:{Y0 + NY}]"
        facts: dict[str, Any] = {
            "data_section": section, "gain": 1.1, "header_read_noise": 7.8, "saturation": 65535.0, "hdu": 0,
        }  # fmt: skip
        content = f"{cls.__name__}{index}".ljust(64, "0")
        frame = self.add(
            cls(**exposure, observation=observation, content=content, extension=0, original_name="EFOSC.fits", **facts)
        )
        self.file(frame, {"IMAGE": image})
        return frame

    def file(self, frame: Any, planes: dict[str, np.ndarray]) -> None:
        path = self.world.folder / f"Sci-{type(frame).__name__}-{frame.object_id}.fits"
        write_image(path, planes, {"OBJECT": "M1"})
        stored = self.world.store.put(path, path.name, consume=True)
        self.world.store.cache.forget(stored.filename)
        frame.filename, frame.size, frame.sha256 = stored.filename, stored.size, stored.sha256
        frame.naxis2, frame.naxis1 = planes["IMAGE"].shape
        self.world.images[frame.object_id] = planes["IMAGE"]
        if frame.wcs:
            frame.footprint = Wcs.from_header(frame.wcs).footprint(frame.naxis1, frame.naxis2).tolist()
            frame.cells = [SkyCell(cell=cell) for cell in cells_of(frame.footprint)]
        self.session.flush()

    def product(
        self, cls: Any, inputs: dict[str, Any], planes: dict[str, np.ndarray] | None, index: int = 0, **values: Any
    ) -> Any:
        exposure = self.taken(index) if issubclass(cls, model.Frame) else {}
        if cls is model.Coadd:
            exposure["chip"] = None
        product = cls(**exposure | values)
        if hasattr(cls, "Parameters"):
            product.parameters = cls.Parameters()
        needed = {
            r: d.source for r, d in declared_inputs(cls).items() if not (d.optional or d.many) and r not in inputs
        }
        for role, chosen in (inputs | {r: self.newest[source] for r, source in needed.items()}).items():
            bind(product, role, chosen)
        self.add(product)
        if planes:
            self.file(product, planes)
        return product

    def made_of(self, product: Any, role: str, chosen: list[Any]) -> None:
        members: Any = declared_inputs(type(product))[role].members
        rows = [members(position=i, used=True, input_id=thing.object_id) for i, thing in enumerate(chosen)]
        setattr(product, f"{role}_members", rows)
        self.session.flush()

    def calibrations(self) -> None:
        valid = {"valid_from": START - timedelta(days=9), "valid_to": START + timedelta(days=9)}
        dark = np.full(RAW_SHAPE, 200, np.float32)
        biases = [self.raw(model.RawBiasFrame, dark, -i - 1) for i in range(2)]
        noise = self.product(model.ReadNoise, {"raw_biases": biases}, None, chip=self.chip, value=11.0, **valid)
        bias = self.product(
            model.BiasFrame, {"raw_biases": biases, "read_noise": noise}, {"IMAGE": COLUMNS}, -1, **valid
        )
        flags = np.zeros((NY, NX), np.uint8)
        x, y = CHIPS[0].to_pixel(*sky_of_star(12))
        flags[round(float(y)) + 2, round(float(x)) + 3] = 1
        hot = self.product(model.HotPixelMap, {"bias": bias}, {"IMAGE": flags}, -1, count=1)
        flats = [self.raw(model.RawTwilightFlatFrame, dark, -1)]
        given = {"raw_flats": flats, "bias": bias, "hot_pixels": hot}
        twilight = self.product(model.TwilightFlatFrame, given, {"IMAGE": -COLUMNS}, -1, **valid)
        flat = self.product(model.MasterFlatFrame, {"twilight": twilight}, {"IMAGE": -COLUMNS}, -1, **valid)
        cold = self.product(model.ColdPixelMap, {"flat": flat}, {"IMAGE": flags * 2}, -1, count=1)
        named = {"bias": bias, "read_noise": noise, "flat": flat, "hot_pixels": hot, "cold_pixels": cold}
        flattened = {"raws": [], **{role: named[role] for role in ("bias", "flat", "hot_pixels", "cold_pixels")}}
        fringes = self.product(model.FringeFrame, flattened, {"IMAGE": COLUMNS / 100}, -1, **valid)
        even = {"IMAGE": np.ones((NY, NX), np.float32)}
        self.illumination = self.product(model.IlluminationCorrection, {"photometry": []}, even, -1, **valid)
        self.used = named | {"fringes": fringes}

    def exposure(self, index: int) -> Any:
        wcs, none = CHIPS[index], np.zeros((NY, NX), np.uint8)
        raw = self.raw(model.RawScienceFrame, star_image(wcs, RAW_SHAPE, LEVEL, (X0, Y0)), index)
        full = self.product(model.SaturatedPixelMap, {"raw": raw}, {"IMAGE": none}, index)
        image = star_image(wcs, (NY, NX), 0.0)
        used = self.used | {"raw": raw, "saturated_pixels": full}
        reduced = self.product(model.ReducedFrame, used, {"IMAGE": image, "FLAGS": none}, index)
        of = {"reduced": reduced}
        cosmics = self.product(model.CosmicMap, of, {"IMAGE": none}, index)
        background = self.product(model.BackgroundFrame, of | {"cosmics": cosmics}, {"IMAGE": COLUMNS}, index)
        weighed = of | {"flat": self.used["flat"], "bias": self.used["bias"], "cosmics": cosmics}
        weighed["background"] = background
        weight = self.product(model.WeightFrame, weighed, {"IMAGE": np.ones((NY, NX), np.float32)}, index)
        of |= {"weight": weight, "background": background}
        astrometry = self.product(model.AstrometricParameters, of, None, wcs=wcs.cards, n_stars=25)
        photometry = self.product(model.PhotometricParameters, of | {"astrometry": astrometry}, None, zeropoint=25.0)
        x0, y0 = CORNERS[index]
        part = GRID.shifted(-x0, -y0)
        regridded = self.product(
            model.RegriddedFrame,
            of | {"astrometry": astrometry, "photometry": photometry, "illumination": self.illumination},
            {"IMAGE": star_image(part, PART_SHAPE, 0.0)}, index,
            grid_target=self.grid, zeropoint=30.0, x0=x0, y0=y0, wcs=part.cards,
        )  # fmt: skip
        self.world.raws.append(raw.object_id)
        self.world.reduced.append(reduced.object_id)
        self.world.regridded.append(regridded.object_id)
        return regridded

    def listed(self, frame: Any, wcs: Wcs, shape: tuple[int, int], name: str, stars: Any, epoch: int) -> int:
        """Enter the stars of a frame as sources, and return the number of the list; the SID is the place in it."""
        stars = list(stars)
        listed = self.product(model.SourceList, {"frame": frame}, None, name=name, n_sources=len(stars))
        empty: dict[str, Any] = {c.name: 0 for c in SOURCES.columns if not c.nullable}
        shape_ = dict(zip(("A_IMAGE", "B_IMAGE", "THETA_IMAGE"), ELLIPSE, strict=True))
        rows = []
        for sid, star in enumerate(stars):
            ra, dec = sky_of_star(star)
            x, y = (float(v) for v in wcs.to_pixel(ra, dec))
            place = {"RA": ra, "DEC": dec, "XWIN_IMAGE": x, "YWIN_IMAGE": y, "X_IMAGE": x, "Y_IMAGE": y}
            light = {"MAG_AUTO": 18.0 + 0.1 * star + 0.5 * epoch, "MAGERR_AUTO": 0.05}
            light |= {"FLUX_AUTO": 1000.0 + star, "FLUXERR_AUTO": 10.0}
            rows.append(empty | shape_ | place | light | {"SLID": listed.object_id, "SID": sid})
        self.session.execute(insert(SOURCES), rows)
        return int(listed.object_id)

    def associated(self) -> None:
        """Enter the stars that are in all lists as associates; the AID is the place among these."""
        lists = [self.session.get(model.SourceList, number) for number in self.world.lists]
        matched = self.product(model.AssociateList, {"source_lists": lists}, None, name="epochs", n_associates=25)
        pairs = []
        for i, slid in enumerate(self.world.lists):
            wcs = GRID.shifted(-CORNERS[i][0], -CORNERS[i][1])
            seen = [n for n in range(25) if _on(wcs, n, PART_SHAPE)]
            pairs += [
                {"ALID": matched.object_id, "AID": star, "SLID": slid, "SID": sid, "DISTANCE": 0.0}
                for sid, star in enumerate(seen)
            ]
        self.session.execute(insert(ASSOCIATES), pairs)
        self.world.ids["alid"] = matched.object_id


def _on(wcs: Wcs, star: int, shape: tuple[int, int]) -> bool:
    x, y = wcs.to_pixel(*sky_of_star(star))
    return bool(0 <= x < shape[1] and 0 <= y < shape[0])
