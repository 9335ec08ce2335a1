"""Solve the astrometry of all exposures of a target at once."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from awe.kernels.field_recognition import Sighting, StarList, recognise_field
from awe.kernels.field_solution import DETECTIONS, Catalogue, Choices, Detected, GlobalSolution
from awe.kernels.global_astrometry import solve
from awe.kernels.plate_model import Plate
from awe.kernels.wcs import Wcs, separation, tan
from awe.model.field_solution import GlobalAstrometry
from awe.model.persistent import QualityFlag
from awe.processing.astrometry import brightness
from awe.processing.products import Products
from awe.processing.stars import Detections, detections, epoch_of
from awe.processing.tasks import makes

THREADS = 2
"""Frames whose sources are searched at the same time."""

FIRST_PIXELS, LAST_PIXELS = 3.0, 2.0
"""Least distances within which sources are taken for one, pixel: at first, and in the end."""

RESIDUALS = np.dtype([("frame", "i8"), *DETECTIONS.descr])
"""Rows of the file: number of the reduced frame, and what `DETECTIONS` says."""


@dataclass(frozen=True)
class _Member:
    """A frame with what is needed to find its sources."""

    reduced: Any
    weight: Any
    background: Any


@dataclass(frozen=True)
class _Sources:
    """Sources of a frame."""

    x: np.ndarray
    y: np.ndarray
    error: np.ndarray
    """Larger by half a pixel for saturated ones: where a catalogue has bright stars only, there may be no others."""
    flux: np.ndarray
    takes_part: np.ndarray
    """False for faint ones."""


@makes(GlobalAstrometry, version=4)
def make_global_astrometry(product: GlobalAstrometry, products: Products) -> None:
    """Find the sources of all exposures, recognise each frame, and make the places of all stars agree."""
    members = _members(product)
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda member: _sources(product, products, member), members))
    dates = sorted({m.reduced.date_obs for m in members})
    epochs = [epoch_of(next(m.reduced.mjd_obs for m in members if m.reduced.date_obs == date)) for date in dates]
    catalogue = _catalogue(product, products, members, float(np.mean(epochs)))
    plates = _recognised(product, members, found, dates, catalogue)
    p, scale = product.parameters, max(plate.wcs.scale for plate in plates)
    choices = Choices(
        degree=p.degree,
        exposure_degree=p.exposure_degree,
        focal_plane=p.focal_plane,
        reference_weight=p.reference_weight,
        radii=(max(p.radius, FIRST_PIXELS * scale), max(p.final_radius, LAST_PIXELS * scale)),
        threshold=p.sigma_clip,
    )
    detected = [Detected(*(a[s.takes_part] for a in (s.x, s.y, s.error))) for s in found]
    solution = solve(plates, detected, epochs, None if catalogue is None else catalogue.stars, choices)
    _describe(product, members, solution, len(dates))
    rows = np.zeros(len(solution.detections), RESIDUALS)
    for name in DETECTIONS.names or ():
        rows[name] = solution.detections[name]
    rows["frame"] = np.array([m.reduced.object_id for m in members])[solution.detections["plate"]]
    products.write_table(product, rows, "RESIDUALS")


def _members(product: GlobalAstrometry) -> list[_Member]:
    """Return the frames that have a weight and a background."""
    weights = {w.reduced_id: w for w in product.weights}
    skies = {b.reduced_id: b for b in product.backgrounds}
    numbers = {r.object_id: r for r in product.reduced_frames}
    whole = [n for n in numbers if n in weights and n in skies]
    if not whole:
        raise ValueError("no frame has both a weight and a background")
    return [_Member(numbers[n], weights[n], skies[n]) for n in whole]


def _sources(product: GlobalAstrometry, products: Products, member: _Member) -> _Sources:
    found: Detections = detections(member, products, product.parameters.detect_thresh)
    rows = found.rows
    bright = rows["FLUX_AUTO"] > product.parameters.least_signal * rows["FLUXERR_AUTO"]
    return _Sources(found.x, found.y, found.position_error, rows["FLUX_AUTO"], bright)


@dataclass(frozen=True)
class _Reference:
    """The stars of the catalogue round the field, and what is needed to recognise them."""

    stars: Catalogue
    ra: np.ndarray
    dec: np.ndarray
    magnitude: np.ndarray


def _catalogue(
    product: GlobalAstrometry, products: Products, members: list[_Member], epoch: float
) -> _Reference | None:
    """Return the stars of the catalogue within reach of the frames."""
    if product.catalogue is None:
        return None
    table, near = products.table(product.catalogue), np.zeros(0, bool)
    near = np.zeros(len(table), bool)
    for reduced in (m.reduced for m in members):
        wcs, size = _prior(reduced), (reduced.naxis1, reduced.naxis2)
        ra0, dec0 = wcs.centre(*size)
        reach = np.hypot(*size) * wcs.scale + product.parameters.maximum_offset
        near |= separation(ra0, dec0, table["ra"], table["dec"]) * 3600 < reach
    rows = table[near]
    if not len(rows):
        raise ValueError(f"{product.catalogue} has no star in reach of the frames")
    error = np.nan_to_num(np.hypot(rows["ra_error"], rows["dec_error"]) / np.sqrt(2), nan=100.0) / 1000
    base = float(np.nanmedian(rows["epoch"])) if np.isfinite(rows["epoch"]).any() else epoch
    stars = Catalogue(
        *(rows["ra"], rows["dec"], np.maximum(error, 1e-3), rows["pmra"], rows["pmdec"]),
        *(np.full(len(rows), np.nan), base),
    )
    ra, dec, _ = stars.at(epoch)
    return _Reference(stars, ra, dec, brightness(rows))


def _prior(reduced: Any) -> Wcs:
    """Return the coordinates of the header, or nominal ones from pointing and pixel size."""
    if reduced.wcs is not None:
        return Wcs.from_header(reduced.wcs)
    if reduced.ra is None or reduced.dec is None or reduced.pixel_scale is None:
        raise ValueError(f"{reduced} has neither coordinates nor pointing and pixel scale")
    return tan(reduced.ra, reduced.dec, reduced.pixel_scale, reduced.naxis1, reduced.naxis2)


def _recognised(
    product: GlobalAstrometry, members: list[_Member], found: list[_Sources], dates: list[Any], known: _Reference | None
) -> list[Plate]:
    """Return the frames with the coordinates that their brightest stars give them."""
    seen = []
    for member, sources in zip(members, found, strict=True):
        reduced, exposure = member.reduced, dates.index(member.reduced.date_obs)
        size = reduced.naxis1, reduced.naxis2
        seen.append(Sighting(exposure, reduced.chip_id, _prior(reduced), *size, sources.x, sources.y, sources.flux))
    allowed = product.parameters.maximum_offset
    widest = max(float(np.hypot(s.nx, s.ny)) / 2 * s.prior.scale for s in seen)
    order = sorted(range(len(seen)), key=lambda k: seen[k].exposure)
    places = recognise_field(
        [seen[k] for k in order],
        None if known is None else StarList(known.ra, known.dec, known.magnitude),
        (allowed, max(allowed, widest)),
    )
    of = dict(zip(order, places, strict=True))
    # the distortion depends on the filter too
    kinds = [(m.reduced.chip_id, m.reduced.filter_id or 0) for m in members]
    chips = sorted(set(kinds))
    return [
        Plate(s.exposure, chips.index(kind), of[k] or s.prior, s.nx, s.ny, of[k] is not None)
        for k, (s, kind) in enumerate(zip(seen, kinds, strict=True))
    ]


def _describe(product: GlobalAstrometry, members: list[_Member], solution: GlobalSolution, exposures: int) -> None:
    p, plates = product.parameters, solution.plates
    product.frames = {
        str(member.reduced.object_id): {
            "wcs": plate.wcs.cards,
            "degree": max(p.degree, p.exposure_degree),
            "error": plate.error,
            "rms": _number(plate.rms),
            "rms_reference": _number(plate.rms_reference),
            "stars": plate.count,
            "rejected": plate.rejected,
        }
        for member, plate in zip(members, plates, strict=True)
        if plate.solved
    }
    product.left_out = {
        str(member.reduced.object_id): plate.reason
        for member, plate in zip(members, plates, strict=True)
        if plate.reason
    }
    product.n_exposures, product.n_frames, product.n_solved = exposures, len(members), len(product.frames)
    told = solution.stars[solution.stars["count"] > 0]
    product.n_stars, product.n_reference = len(told), int((told["reference"] >= 0).sum())
    product.n_rejected, product.n_parameters = sum(plate.rejected for plate in plates), solution.parameters
    product.rms, product.rms_reference = _number(solution.rms_overlap), _number(solution.rms_reference)
    used = solution.detections[solution.detections["used"] > 0]
    product.n_detections = len(used)
    for axis in ("ra", "dec"):
        residual = used[f"d{axis}"].astype(np.float64)
        setattr(product, f"mean_{axis}", float(residual.mean()) if len(used) else None)
        setattr(product, f"rms_{axis}", float(np.sqrt(np.mean(residual**2))) if len(used) else None)
    product.chi_square = _number(solution.chi_square)
    errors = [plate.error for plate in plates if plate.solved]
    product.error = float(np.median(errors)) if errors else None
    product.floor = float(np.median(solution.floors))
    if product.n_solved < len(members):
        reasons = Counter(product.left_out.values()).most_common()
        told = "; ".join(f"{count} as {why}" for why, count in reasons)
        product.note(f"{len(members) - product.n_solved} of {len(members)} frames could not be bound: {told}")
        product.flag(QualityFlag.ASTROMETRY_NOT_SOLVED)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
