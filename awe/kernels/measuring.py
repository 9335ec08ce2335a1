"""Measurements of detected sources: fluxes, positions, sizes and flags, SExtractor's columns."""

from collections.abc import Callable
from enum import IntFlag
from typing import Any

import numpy as np
from numpy.typing import NDArray

from awe.kernels.flags import PixelFlag
from awe.kernels.isophotes import Isophotes
from awe.kernels.photometry import Plane, circle_sums, measure_sources
from awe.kernels.planes import Scene
from awe.kernels.regions import Regions
from awe.kernels.stellarity import CORE, WHOLE, stellarity

Catalogue = NDArray[Any]

REACH = 22
"""Pixels that are looked at around a source: up to this many times A_IMAGE."""


class SourceFlag(IntFlag):
    """Bits of FLAGS: the lowest eight are those of SExtractor, of which two tell of a full memory and never occur."""

    NEIGHBOURS = 1
    """More than a tenth of the Kron ellipse belongs to neighbours, or has no value."""
    BLENDED = 2
    """Separated from others that it touches."""
    SATURATED = 4
    """A pixel above the threshold is saturated."""
    TRUNCATED = 8
    """The area above the threshold touches the border of the image."""
    APERTURE_INCOMPLETE = 16
    """The Kron ellipse or an aperture reaches beyond the border of the image."""
    ISOPHOTE_INCOMPLETE = 32
    """A pixel above the threshold has no value: it was bridged when sources were looked for."""
    DEBLENDING_OVERFLOW = 64
    """Memory was full while blends were separated: never, as there is no limit but that of the machine."""
    EXTRACTION_OVERFLOW = 128
    """Memory was full while pixels were joined: never, for the same reason."""
    WINDOW_FAILED = 256
    """The windowed position did not converge; it is that of the isophote."""


class WeightFlag(IntFlag):
    """Bits of FLAGS_WEIGHT, as in SExtractor."""

    MEASURED = 1
    """A pixel above the threshold has weight 0, or no value, on the image that is measured."""
    DETECTED = 2
    """The same on the image on which it was detected; where that is the same image, both are set."""


def catalogue_type(apertures: int) -> np.dtype[Any]:
    """Return the row type of `awe.kernels.detection.detect` for this number of apertures."""
    double = ["X_IMAGE", "Y_IMAGE", "XWIN_IMAGE", "YWIN_IMAGE"]
    single = ["ERRX_IMAGE", "ERRY_IMAGE", "ERRXWIN_IMAGE", "ERRYWIN_IMAGE", "A_IMAGE", "B_IMAGE", "THETA_IMAGE"]
    single += ["ERRA_IMAGE", "ERRB_IMAGE", "ERRTHETA_IMAGE", "ELLIPTICITY", "KRON_RADIUS", "PETRO_RADIUS"]
    single += [f"FLUX{error}_{kind}" for kind in ("ISO", "AUTO", "PETRO") for error in ("", "ERR")]
    single += ["FLUX_RADIUS", "FWHM_IMAGE", "PEAK", "BACKGROUND", "STELLARITY"]
    whole = ["ISOAREA_IMAGE", "FLAGS", "FLAGS_WEIGHT", "IMAFLAGS", "IMAFLAGS_ISO", "NIMAFLAGS_ISO"]
    fields: list[Any] = [("NUMBER", "i4"), *((name, "f8") for name in double), *((name, "f4") for name in single)]
    fields += [(name, "f4", (apertures,)) for name in ("FLUX_APER", "FLUXERR_APER")]
    return np.dtype(fields + [(name, "i4") for name in whole])


def measured(
    scene: Scene,
    found: Isophotes,
    apertures: tuple[float, ...],
    choose_stars: Callable[[Catalogue], Any] | None,
    threads: int = 1,
    apertures_of: Catalogue | None = None,
    only: NDArray[np.int64] | None = None,
) -> Catalogue:
    """Measure sources on an image.

    Parameters
    ----------
    scene : Scene
    found : Isophotes
    apertures : tuple of float, pixel
        Diameters.
    choose_stars : callable, optional
        Gives the stars of a catalogue and their seeing; without, STELLARITY is 0.5.
    threads : int
    apertures_of : Catalogue, optional
        The same sources, measured on the image on which they were found: the ellipses and the middles of the circles
        are taken from it.
    only : array of int, optional
        Numbers, from 0, of the sources that are measured, if not all.
    """
    of = np.arange(len(found.rows)) if only is None else only
    rows = np.zeros(len(of), catalogue_type(len(apertures)))
    if not len(rows):
        return rows
    _fill_shapes(rows, found.rows[of], of)
    rows["FLAGS"] |= edge_flags(found)[of]
    reach = REACH * rows["A_IMAGE"].astype(np.float64) + max(apertures, default=0) / 2 + 10
    regions = Regions(scene, found, rows["X_IMAGE"], rows["Y_IMAGE"], threads)

    def measure(plane: Plane, x0: int, y0: int, chosen: NDArray[np.int64]) -> None:
        pixels = found.pixels_of(of[chosen], x0, y0)
        _fill_measured(rows, pixels, chosen, plane, x0, y0, apertures, apertures_of)

    regions.visit(measure, reach)
    seen = rows if apertures_of is None else apertures_of
    rows["FLAGS_WEIGHT"] |= np.where(seen["FLAGS_WEIGHT"] & WeightFlag.MEASURED, int(WeightFlag.DETECTED), 0)
    rows["BACKGROUND"] = regions.background(rows["X_IMAGE"], rows["Y_IMAGE"])
    rows["STELLARITY"] = 0.5
    if choose_stars is not None:
        _fill_stellarity(rows, regions, choose_stars(rows))
    return rows


def _fill_measured(
    rows: Catalogue, pixels: Any, chosen: NDArray[np.int64], plane: Plane, x0: int, y0: int, apertures: Any,
    apertures_of: Catalogue | None,
) -> None:  # fmt: skip
    """Measure the chosen rows, and their pixels, on a plane whose first pixel is (x0, y0) of the image."""
    picked = rows[chosen]
    shape = picked["A_IMAGE"], picked["B_IMAGE"], np.radians(picked["THETA_IMAGE"].astype(np.float64))
    x, y, number = picked["X_IMAGE"] - x0, picked["Y_IMAGE"] - y0, picked["NUMBER"]
    given = _geometry(apertures_of[chosen], x0, y0) if apertures_of is not None else None
    new, sums = measure_sources(plane, x, y, shape, number, pixels, apertures, given)
    with np.errstate(invalid="ignore"):
        error_x, error_y = np.sqrt(new["var_x"]), np.sqrt(new["var_y"])
    photons = 1 / plane.gain
    values = {
        "XWIN_IMAGE": new["x"] + x0,
        "YWIN_IMAGE": new["y"] + y0,
        "ERRXWIN_IMAGE": np.where(new["converged"], error_x, picked["ERRX_IMAGE"]),
        "ERRYWIN_IMAGE": np.where(new["converged"], error_y, picked["ERRY_IMAGE"]),
        "KRON_RADIUS": new["kron"],
        "PETRO_RADIUS": new["petrosian"],
        "FLUX_RADIUS": new["radius"],
        "FWHM_IMAGE": new["fwhm"],
        "PEAK": new["peak"],
        "FLAGS_WEIGHT": int(WeightFlag.MEASURED) * (new["bad"] > 0),
        "IMAFLAGS": new["flags"],
        "IMAFLAGS_ISO": new["flags_iso"],
        "NIMAFLAGS_ISO": new["flagged"],
        "FLUX_APER": sums[:, :, 0],
        "FLUXERR_APER": np.sqrt(sums[:, :, 1] + photons * np.maximum(sums[:, :, 0], 0)),
    }
    for name, key in (("ISO", "iso"), ("AUTO", "auto"), ("PETRO", "petro")):
        values[f"FLUX_{name}"] = new[key]
        values[f"FLUXERR_{name}"] = np.sqrt(new[f"{key}_variance"] + photons * np.maximum(new[key], 0))
    for name, column in values.items():
        rows[name][chosen] = column
    rows["FLAGS"][chosen] |= (
        int(SourceFlag.NEIGHBOURS) * (new["replaced"] > 0.1)
        | int(SourceFlag.SATURATED) * (new["flags_iso"] & PixelFlag.SATURATED > 0)
        | int(SourceFlag.APERTURE_INCOMPLETE) * (new["outside"] > 0)
        | int(SourceFlag.ISOPHOTE_INCOMPLETE) * (new["bad"] > 0)
        | int(SourceFlag.WINDOW_FAILED) * ~new["converged"]
    )


def _geometry(seen: Catalogue, x0: int, y0: int) -> NDArray[np.float64]:
    """Return the radii of the ellipses, and the middles of the circles, of sources seen on another image."""
    names = ("KRON_RADIUS", "PETRO_RADIUS", "XWIN_IMAGE", "YWIN_IMAGE")
    return np.column_stack([seen[name] for name in names]) - [0, 0, x0, y0]


def _fill_shapes(rows: Catalogue, objects: NDArray[Any], numbers: NDArray[np.int64]) -> None:
    rows["NUMBER"] = numbers + 1
    rows["X_IMAGE"], rows["Y_IMAGE"] = objects["x"], objects["y"]
    rows["ERRX_IMAGE"], rows["ERRY_IMAGE"] = np.sqrt(objects["errxx"]), np.sqrt(objects["erryy"])
    rows["A_IMAGE"], rows["B_IMAGE"], rows["THETA_IMAGE"] = _axes(*(objects[n] for n in ("xx", "yy", "xy")))
    rows["ELLIPTICITY"] = 1 - rows["B_IMAGE"] / rows["A_IMAGE"]
    errors = _axes(*(objects[n] for n in ("errxx", "erryy", "errxy")))
    rows["ERRA_IMAGE"], rows["ERRB_IMAGE"], rows["ERRTHETA_IMAGE"] = errors
    rows["ISOAREA_IMAGE"] = objects["area"]


def _axes(xx: NDArray[Any], yy: NDArray[Any], xy: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return the rms along the major and the minor axis, and the angle (deg) of the major one from x to y."""
    half_sum, half_difference = (xx + yy) / 2, (xx - yy) / 2
    root = np.hypot(half_difference, xy)
    angle = np.degrees(np.arctan2(xy, half_difference) / 2)
    return np.sqrt(half_sum + root), np.sqrt(np.maximum(half_sum - root, 0)), angle


def edge_flags(found: Isophotes) -> NDArray[np.int32]:
    """Return the bits TRUNCATED and BLENDED of FLAGS, which are known before anything is measured."""
    ny, nx = found.pixels.shape
    objects = found.rows
    cut = (objects["x0"] == 0) | (objects["y0"] == 0) | (objects["x1"] == nx - 1) | (objects["y1"] == ny - 1)
    bits = int(SourceFlag.TRUNCATED) * cut | int(SourceFlag.BLENDED) * objects["blended"]
    return np.asarray(bits, np.int32)


def _fill_stellarity(rows: Catalogue, regions: Regions, locus: Any) -> None:
    if not locus.count:
        return
    light = np.zeros((len(rows), 4))

    def measure(plane: Plane, x0: int, y0: int, chosen: NDArray[np.int64]) -> None:
        x, y, number = rows["XWIN_IMAGE"][chosen] - x0, rows["YWIN_IMAGE"][chosen] - y0, rows["NUMBER"][chosen]
        sums = circle_sums(plane, x, y, locus.seeing * np.array([[CORE, WHOLE]]), number)
        light[chosen, ::2], light[chosen, 1::2] = sums.flux, sums.error

    moved = np.hypot(rows["XWIN_IMAGE"] - rows["X_IMAGE"], rows["YWIN_IMAGE"] - rows["Y_IMAGE"])
    # pixels are mirrored at the centre, and interpolated
    regions.visit(measure, WHOLE * locus.seeing + moved + 5)
    rows["STELLARITY"] = stellarity(*light.T, locus.selected)
