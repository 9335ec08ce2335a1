"""Solve the photometry of all exposures of a target in a filter at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from awe.kernels.astrometry import proper_motion
from awe.kernels.clear_skies import PhotometricModel
from awe.kernels.global_photometry import Measured, PhotometricFit, Standards, solve_photometry
from awe.kernels.star_groups import group_stars
from awe.kernels.tangent_planes import middle
from awe.kernels.wcs import ARCSEC, Wcs, separation, tangent_plane
from awe.kernels.zeropoint import MAG_PER_RELATIVE
from awe.model.persistent import QualityFlag
from awe.model.photometric_solution import PhotometricSolution
from awe.processing.photometry import measured_stars
from awe.processing.products import Products
from awe.processing.stars import epoch_of
from awe.processing.tasks import makes

THREADS = 2
"""Frames whose stars are measured at the same time."""
LEAST_PIXELS = 2.0
"""Least distance (pixel) within which sources are taken for one."""
UNKNOWN_ERROR = 0.02
"""Error (mag) of a catalogue's magnitude that states none."""
STARS_TO_BIND = 3
"""Measurements that must tell a frame's zeropoint."""

RESIDUALS = np.dtype(
    [
        *((name, "i8") for name in ("frame", "star")),
        *((name, "f8") for name in ("x", "y", "ra", "dec", "mjd")),
        *((name, "f4") for name in ("airmass", "magnitude", "error", "residual", "residual_standard")),
        ("photometric", "i2"),
        ("used", "i2"),
    ]
)
"""Rows of the file: number of the reduced frame, star; pixel; position (deg); time; calibrated magnitude, its error,
residual against the other measurements of the star and against its known magnitude (NaN: there is none); whether the
exposure was photometric; whether the measurement was used."""


@dataclass(frozen=True)
class _Member:
    """A frame with what is needed to measure its stars."""

    reduced: Any
    weight: Any
    background: Any
    astrometry: Any
    note: Callable[[str], None]


@dataclass(frozen=True)
class _Stars:
    """Stars of a frame that take part: a row of `awe.processing.photometry.STARS` each."""

    rows: np.ndarray
    common_error: float


@makes(PhotometricSolution, version=3)
def make_photometric_solution(product: PhotometricSolution, products: Products) -> None:
    """Measure the stars of all exposures, and make their magnitudes agree with each other and with known ones."""
    members = _members(product)
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda member: _stars(product, products, member), members))
    field = _Field.of(product, products, members, found)
    p = product.parameters
    fit = solve_photometry(field.measured, field.standards, field.model, p.sigma_clip, p.photometric)
    _describe(product, members, found, field, fit)
    products.write_table(product, _residuals(members, found, field, fit), "RESIDUALS")


def _members(product: PhotometricSolution) -> list[_Member]:
    """Return the frames that have weight, background and a place on the sky."""
    roles = (product.weights, product.backgrounds, product.astrometries)
    others = [{thing.reduced_id: thing for thing in things} for things in roles]
    numbers = {r.object_id: r for r in product.reduced_frames}
    whole = [n for n in numbers if all(n in things for things in others)]
    if not whole:
        raise ValueError("no frame has a weight, a background and a place on the sky")
    return [_Member(numbers[n], *(things[n] for things in others), product.note) for n in whole]


def _stars(product: PhotometricSolution, products: Products, member: _Member) -> _Stars:
    """Return the single, unsaturated stars of a frame that are bright enough."""
    p = product.parameters
    measured = measured_stars(member, products, p.aperture)
    rows = measured.rows
    good = (rows["flags"] == 0) & measured.single & (rows["rate"] > p.least_signal * rows["rate_error"])
    return _Stars(rows[good], measured.common_error)


@dataclass(frozen=True)
class _Field:
    """All measurements of a field, with what is known of its stars."""

    measured: Measured
    standards: Standards
    model: PhotometricModel
    dates: list[Any]
    nights: list[Any]
    chips: list[Any]

    @classmethod
    def of(
        cls, product: PhotometricSolution, products: Products, members: list[_Member], found: list[_Stars]
    ) -> "_Field":
        """Number stars, exposures, nights and chips."""
        frames = [m.reduced for m in members]
        dates, nights = (sorted({getattr(f, name) for f in frames}) for name in ("date_obs", "night"))
        chips = sorted({f.chip_id for f in frames})
        exposure = np.array([dates.index(f.date_obs) for f in frames])
        rows = np.concatenate([s.rows for s in found])
        frame = np.repeat(np.arange(len(frames)), [len(s.rows) for s in found])
        known = _known(product, products, members)
        centre = middle([Wcs.from_header(m.astrometry.wcs).centre(m.reduced.naxis1, m.reduced.naxis2) for m in members])
        radius = max(product.parameters.radius, LEAST_PIXELS * max(m.astrometry.pixel_scale for m in members)) / ARCSEC
        places = (tangent_plane(*centre, *pair) for pair in ((rows["ra"], rows["dec"]), (known.ra, known.dec)))
        star = group_stars(*next(places), exposure[frame], *next(places), radius).star
        first = {date: next(f for f in frames if f.date_obs == date) for date in dates}
        return cls(
            Measured(
                star, frame, -2.5 * np.log10(rows["rate"].astype(float)),
                MAG_PER_RELATIVE * rows["rate_error"].astype(float) / rows["rate"],
            ),
            Standards(np.arange(len(known.ra)), known.magnitude, known.error),
            PhotometricModel(
                exposure, np.array([chips.index(f.chip_id) for f in frames]),
                np.array([np.nan if first[d].airmass is None else first[d].airmass for d in dates]),
                np.array([nights.index(first[d].night) for d in dates]),
                product.filter.extinction, product.parameters.extinction_error,
            ),
            dates, nights, chips,
        )  # fmt: skip


@dataclass(frozen=True)
class _Known:
    """Stars of the catalogue round the field with a magnitude in its band."""

    ra: np.ndarray
    dec: np.ndarray
    magnitude: np.ndarray
    error: np.ndarray


def _known(product: PhotometricSolution, products: Products, members: list[_Member]) -> _Known:
    """Return the stars of known magnitude on the frames, at the mean epoch of these."""
    if product.catalogue is None:
        return _Known(*(np.zeros(0),) * 4)
    table, band = products.table(product.catalogue), product.filter.band
    near = np.zeros(len(table), bool)
    for member in members:
        wcs, size = Wcs.from_header(member.astrometry.wcs), (member.reduced.naxis1, member.reduced.naxis2)
        reach = np.hypot(*size) / 2 * wcs.scale
        near |= separation(*wcs.centre(*size), table["ra"], table["dec"]) * ARCSEC < 1.1 * reach
    rows = table[near & np.isfinite(table[f"mag_{band}"])]
    epoch = float(np.mean([epoch_of(m.reduced.mjd_obs) for m in members]))
    base = float(np.nanmedian(rows["epoch"])) if np.isfinite(rows["epoch"]).any() else epoch
    ra, dec = proper_motion(rows["ra"], rows["dec"], rows["pmra"], rows["pmdec"], base, epoch)
    error = np.nan_to_num(rows[f"mag_{band}_error"].astype(float), nan=UNKNOWN_ERROR)
    return _Known(ra, dec, rows[f"mag_{band}"].astype(float), error)


def _describe(
    product: PhotometricSolution, members: list[_Member], found: list[_Stars], field: _Field, fit: PhotometricFit
) -> None:
    measured, used = field.measured, fit.used
    counts = np.bincount(measured.frame[used], minlength=len(members))
    tied = np.isin(measured.star, field.standards.star)
    known = bool((used & tied).any())
    product.frames = {
        str(member.reduced.object_id): _of_frame(k, member, found[k], field, fit, int(counts[k]))
        for k, member in enumerate(members)
        if np.isfinite(fit.zeropoint[k]) and counts[k] >= STARS_TO_BIND
    }
    product.nights = {
        str(night): {
            "extinction": float(fit.extinction[n]),
            "error": float(fit.extinction_error[n]),
            "solved": bool(fit.extinction_solved[n]),
        }
        for n, night in enumerate(field.nights)
    }
    product.chips = {str(chip): float(fit.chip_zeropoint[n]) for n, chip in enumerate(field.chips)}
    product.n_exposures, product.n_photometric = len(field.dates), int(fit.photometric.sum())
    product.n_frames, product.n_solved = len(members), len(product.frames)
    product.n_stars, product.n_measurements = len(np.unique(measured.star[used])), int(used.sum())
    product.n_standards = len(np.unique(measured.star[used & tied]))
    alone = np.bincount(measured.star, minlength=int(measured.star.max(initial=0)) + 1)[measured.star] < 2
    product.n_rejected = int((~used & ~(alone & ~tied)).sum())
    product.extinction = float(np.median(fit.extinction))
    errors = [frame["error"] for frame in product.frames.values() if frame["error"] is not None]
    product.error = float(np.median(errors)) if errors else None
    product.mean = _number(float(fit.residual[used].mean()) if used.any() else np.nan)
    product.rms, product.chi_square, product.floor = _number(fit.scatter), _number(fit.chi_square), fit.floor
    against = fit.standard_residual[used & tied]
    product.rms_standards = float(np.sqrt(np.mean(against**2))) if len(against) else None
    if product.n_solved < len(members):
        few = [int(n) for n, m in zip(counts, members, strict=True) if str(m.reduced.object_id) not in product.frames]
        product.note(
            f"{len(few)} of {len(members)} frames have too few stars in common with the others and the catalogue: "
            f"at most {max(few)}, where {STARS_TO_BIND} are needed"
        )
    if not known:
        product.note("no star of known magnitude is on them: zeropoints are relative, with a mean of 25 for the chips")
    if not known or product.n_solved < len(members):
        product.flag(QualityFlag.PHOTOMETRY_NOT_CALIBRATED)


def _of_frame(k: int, member: _Member, stars: _Stars, field: _Field, fit: PhotometricFit, count: int) -> dict[str, Any]:
    """Return what was found for a frame."""
    exposure = int(field.model.exposure[k])
    clear = bool(fit.photometric[exposure])
    lost, error = float(fit.absorbed[exposure]), float(fit.absorbed_error[exposure])
    common = float(np.hypot(fit.error[k], stars.common_error))
    return {
        "zeropoint": float(fit.zeropoint[k]),
        "error": _number(common),
        "airmass": member.reduced.airmass,
        "extinction": float(fit.extinction[int(field.model.night[exposure])]),
        "lost": lost,
        "lost_error": error,
        "photometric": clear,
        "why": "" if clear else _why(lost, error, fit),
        "stars": count,
    }


def _why(lost: float, error: float, fit: PhotometricFit) -> str:
    """Return why an exposure was not photometric."""
    if not fit.photometric.any():
        return "no two exposures agree, so that none is known to be clear"
    what = "lost" if lost > 0 else "gained"
    return f"{what} {abs(lost):.3f} mag (error {error:.3f}) against the clear exposures"


def _residuals(members: list[_Member], found: list[_Stars], field: _Field, fit: PhotometricFit) -> np.ndarray:
    measured, rows = field.measured, np.concatenate([s.rows for s in found])
    table, frame = np.zeros(len(rows), RESIDUALS), field.measured.frame
    exposure = field.model.exposure[frame]
    for name in ("x", "y", "ra", "dec"):
        table[name] = rows[name]
    table["frame"] = np.array([m.reduced.object_id for m in members])[frame]
    table["mjd"] = np.array([m.reduced.mjd_obs for m in members])[frame]
    table["airmass"] = field.model.airmass[exposure]
    table["star"], table["magnitude"] = measured.star, measured.magnitude + fit.zeropoint[frame]
    table["error"] = np.hypot(measured.error, fit.floor)
    table["residual"], table["residual_standard"] = fit.residual, fit.standard_residual
    table["photometric"], table["used"] = fit.photometric[exposure], fit.used
    return table


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
