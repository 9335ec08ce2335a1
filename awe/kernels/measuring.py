"""Measurements of detected sources: fluxes, positions, sizes and flags, SExtractor's columns."""

from collections.abc import Callable
from enum import IntFlag
from typing import Any

import numpy as np
from numpy.typing import NDArray

from awe.kernels.isophotes import Isophotes
from awe.kernels.photometry import Plane, circle_sums, measure_sources
from awe.kernels.planes import Scene
from awe.kernels.regions import Regions
from awe.kernels.stellarity import CORE, WHOLE, stellarity

Catalogue = NDArray[Any]

REACH = 22
"""Pixels that are looked at around a source: up to this many times A_IMAGE."""


class SourceFlag(IntFlag):
    """Bits of FLAGS: the lowest five as in SExtractor, which has no other use for the sixth than a full memory."""

    NEIGHBOURS = 1
    BLENDED = 2
    SATURATED = 4
    TRUNCATED = 8
    APERTURE_INCOMPLETE = 16
    WINDOW_FAILED = 256


def catalogue_type(apertures: int) -> np.dtype[Any]:
    """Return the row type of `awe.kernels.detection.detect` for this number of apertures."""
    double = ["X_IMAGE", "Y_IMAGE", "XWIN_IMAGE", "YWIN_IMAGE"]
    single = ["ERRX_IMAGE", "ERRY_IMAGE", "ERRXWIN_IMAGE", "ERRYWIN_IMAGE", "A_IMAGE", "B_IMAGE", "THETA_IMAGE"]
    single += ["ERRA_IMAGE", "ERRB_IMAGE", "ERRTHETA_IMAGE", "ELLIPTICITY", "KRON_RADIUS", "PETRO_RADIUS"]
    single += [f"FLUX{error}_{kind}" for kind in ("ISO", "AUTO", "PETRO") for error in ("", "ERR")]
    single += ["FLUX_RADIUS", "FWHM_IMAGE", "PEAK", "BACKGROUND", "STELLARITY"]
    whole = ["ISOAREA_IMAGE", "FLAGS", "IMAFLAGS"]
    fields: list[Any] = [("NUMBER", "i4"), *((name, "f8") for name in double), *((name, "f4") for name in single)]
    fields += [(name, "f4", (apertures,)) for name in ("FLUX_APER", "FLUXERR_APER")]
    return np.dtype(fields + [(name, "i4") for name in whole])


def measured(
    scene: Scene,
    found: Isophotes,
    apertures: tuple[float, ...],
    choose_stars: Callable[[Catalogue], Any],
    threads: int = 1,
) -> Catalogue:
    """Measure sources on an image.

    Parameters
    ----------
    scene : Scene
    found : Isophotes
    apertures : tuple of float, pixel
        Diameters.
    choose_stars : callable
        Gives the stars of a catalogue and their seeing, for STELLARITY.
    threads : int
    """
    rows = np.zeros(len(found.rows), catalogue_type(len(apertures)))
    if not len(rows):
        return rows
    _fill_shapes(rows, found.rows)
    _fill_edges(rows, found)
    reach = REACH * rows["A_IMAGE"].astype(np.float64) + max(apertures, default=0) / 2 + 10
    regions = Regions(scene, found, rows["X_IMAGE"], rows["Y_IMAGE"], reach, threads)

    def measure(plane: Plane, x0: int, y0: int, chosen: NDArray[np.int64]) -> None:
        _fill_measured(rows, found, chosen, plane, x0, y0, apertures)

    regions.visit(measure)
    rows["BACKGROUND"] = regions.background(rows["X_IMAGE"], rows["Y_IMAGE"])
    _fill_stellarity(rows, regions, choose_stars(rows))
    return rows


def _fill_measured(
    rows: Catalogue, found: Isophotes, chosen: NDArray[np.int64], plane: Plane, x0: int, y0: int, apertures: Any
) -> None:
    """Measure the chosen sources on a plane whose first pixel is (x0, y0) of the image."""
    picked = rows[chosen]
    shape = picked["A_IMAGE"], picked["B_IMAGE"], np.radians(picked["THETA_IMAGE"].astype(np.float64))
    x, y, number = picked["X_IMAGE"] - x0, picked["Y_IMAGE"] - y0, picked["NUMBER"]
    new, sums = measure_sources(plane, x, y, shape, number, found.pixels_of(chosen, x0, y0), apertures)
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
        "IMAFLAGS": new["flags"],
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
        | int(SourceFlag.SATURATED) * new["saturated"]
        | int(SourceFlag.APERTURE_INCOMPLETE) * (new["outside"] > 0)
        | int(SourceFlag.WINDOW_FAILED) * ~new["converged"]
    )


def _fill_shapes(rows: Catalogue, objects: NDArray[Any]) -> None:
    rows["NUMBER"] = np.arange(1, len(rows) + 1)
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


def _fill_edges(rows: Catalogue, found: Isophotes) -> None:
    ny, nx = found.pixels.shape
    objects = found.rows
    cut = (objects["x0"] == 0) | (objects["y0"] == 0) | (objects["x1"] == nx - 1) | (objects["y1"] == ny - 1)
    rows["FLAGS"] |= np.where(cut, int(SourceFlag.TRUNCATED), 0).astype(np.int32)
    rows["FLAGS"] |= np.where(objects["blended"], int(SourceFlag.BLENDED), 0).astype(np.int32)


def _fill_stellarity(rows: Catalogue, regions: Regions, locus: Any) -> None:
    rows["STELLARITY"] = 0.5
    if not locus.count:
        return
    light = np.zeros((len(rows), 4))

    def measure(plane: Plane, x0: int, y0: int, chosen: NDArray[np.int64]) -> None:
        x, y, number = rows["XWIN_IMAGE"][chosen] - x0, rows["YWIN_IMAGE"][chosen] - y0, rows["NUMBER"][chosen]
        for column, radius in ((0, CORE * locus.seeing), (2, WHOLE * locus.seeing)):
            sums = circle_sums(plane, x, y, radius, number)
            light[chosen, column], light[chosen, column + 1] = sums.flux, sums.error

    regions.visit(measure)
    rows["STELLARITY"] = stellarity(*light.T, locus.selected)
