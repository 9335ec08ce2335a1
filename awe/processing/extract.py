"""Extract sources from a frame, and associate the sources of several lists."""

import numpy as np

from awe.kernels.association import associate
from awe.kernels.detection import catalogue_of, find, stars
from awe.kernels.psf_model import measure_with_psf
from awe.kernels.wcs import Wcs, separation
from awe.kernels.zeropoint import MAG_PER_RELATIVE
from awe.model.catalogue import ASSOCIATES, SOURCES, AssociateList, SourceList
from awe.model.persistent import QualityFlag
from awe.model.sky import SOURCE_DEPTH, cells_at
from awe.processing.products import Products
from awe.processing.psf import read_psf
from awe.processing.scenes import calibration_of, scene_of, scene_of_detection, threads_for
from awe.processing.tasks import makes

DEPTH_ERROR = 0.2
"""Magnitude error that defines the depth of a list."""


@makes(SourceList, version=4)
def make_source_list(product: SourceList, products: Products) -> None:
    """Detect and measure the sources of a frame; their rows go into the table of sources.

    Where they are detected on another frame, the apertures are those of that one, so that colours compare equal light.
    """
    p, calibrated = product.parameters, calibration_of(product)
    wcs = Wcs.from_header(calibrated.cards) if calibrated.cards else None
    scale = wcs.scale if wcs is not None else 1.0
    scene = scene_of(product, products)
    threads = threads_for(scene)
    seen = scene_of_detection(product, products) if product.detection is not None else scene
    found = find(
        seen,
        threshold=p.detect_thresh,
        min_area=p.detect_minarea,
        deblend_levels=p.deblend_nthresh,
        deblend_contrast=p.deblend_mincont,
        clean=p.clean_param,
        threads=threads,
    )
    diameters = tuple(diameter / scale for diameter in (p.aperture_1, p.aperture_2, p.aperture_3))
    rows = catalogue_of(seen, found, diameters, threads)
    if seen is not scene:
        rows = catalogue_of(scene, found, diameters, threads, apertures_of=rows)
    columns = _columns(rows) | _places(rows, wcs) | _magnitudes("AUTO", rows, calibrated.zeropoint)
    if product.psf is not None and product.psf.filename:
        fitted = measure_with_psf(scene, read_psf(product.psf, products), rows, threads)
        columns |= {name: fitted[name] for name in fitted.dtype.names or ()}
        columns |= _magnitudes("PSF", fitted, calibrated.zeropoint)
    elif product.psf is not None:
        product.note(f"without PSF photometry: {product.psf} has no model")
    products.add_rows(SOURCES, columns)
    _describe(product, rows, columns, scale, calibrated.zeropoint)


def _columns(rows: np.ndarray) -> dict[str, np.ndarray]:
    own = set(SOURCES.c.keys())
    columns = {name: rows[name] for name in rows.dtype.names or () if name in own}
    for n in range(3):
        columns[f"FLUX_APER_{n + 1}"] = rows["FLUX_APER"][:, n]
        columns[f"FLUXERR_APER_{n + 1}"] = rows["FLUXERR_APER"][:, n]
    columns["SID"] = np.arange(len(rows))
    return columns


def _places(rows: np.ndarray, wcs: Wcs | None) -> dict[str, np.ndarray]:
    """Return sky positions, their errors along ra and dec (arcsec), and cells; -1 is no cell."""
    if wcs is None:
        nothing = np.full(len(rows), np.nan)
        return {"RA": nothing, "DEC": nothing, "CELL": np.full(len(rows), -1)}
    x, y = rows["XWIN_IMAGE"], rows["YWIN_IMAGE"]
    ra, dec = wcs.to_sky(x, y)
    ra_x, dec_x = wcs.to_sky(x + 0.5, y)
    ra_y, dec_y = wcs.to_sky(x, y + 0.5)
    along_x = np.array([_wrapped(ra_x - ra) * np.cos(np.radians(dec)), dec_x - dec]) * 7200
    along_y = np.array([_wrapped(ra_y - ra) * np.cos(np.radians(dec)), dec_y - dec]) * 7200
    error = np.sqrt((along_x * rows["ERRXWIN_IMAGE"]) ** 2 + (along_y * rows["ERRYWIN_IMAGE"]) ** 2)
    known = np.isfinite(ra) & np.isfinite(dec)
    cell = np.full(len(rows), -1)
    cell[known] = cells_at(ra[known], dec[known], SOURCE_DEPTH)
    return {"RA": ra, "DEC": dec, "ERRRA": error[0], "ERRDEC": error[1], "CELL": cell}


def _wrapped(difference: np.ndarray) -> np.ndarray:
    return (difference + 180) % 360 - 180


def _magnitudes(kind: str, rows: np.ndarray, zeropoint: float | None) -> dict[str, np.ndarray]:
    flux = np.where(rows[f"FLUX_{kind}"] > 0, rows[f"FLUX_{kind}"], np.nan)
    error = MAG_PER_RELATIVE * rows[f"FLUXERR_{kind}"] / flux
    magnitude = zeropoint - 2.5 * np.log10(flux) if zeropoint is not None else np.full(len(rows), np.nan)
    return {f"MAG_{kind}": magnitude, f"MAGERR_{kind}": error}


def _describe(
    product: SourceList, rows: np.ndarray, columns: dict[str, np.ndarray], scale: float, zeropoint: float | None
) -> None:
    product.n_sources, product.zeropoint = len(rows), zeropoint
    product.name = product.name or f"sources of {product.frame}"
    if not len(rows):
        product.flag(QualityFlag.NO_SOURCES)
        product.note("no source stands out of the noise")
        return
    found = stars(rows)
    product.n_stars = found.count
    product.seeing = float(found.seeing * scale) if np.isfinite(found.seeing) else None
    faint = np.abs(columns["MAGERR_AUTO"] - DEPTH_ERROR) < DEPTH_ERROR / 4
    if faint.any() and zeropoint is not None:
        product.depth = float(np.nanmedian(columns["MAG_AUTO"][faint]))


@makes(AssociateList, version=1)
def make_associate_list(product: AssociateList, products: Products) -> None:
    """Join the sources of several lists that lie within the search distance; unmatched ones stay, alone."""
    p = product.parameters
    lists = [products.sources(listed, ("SID", "RA", "DEC", "FLAGS")) for listed in product.source_lists]
    lists = [{n: v[(c["FLAGS"] & p.flag_mask) == 0] for n, v in c.items()} for c in lists]
    if not any(len(c["SID"]) for c in lists):
        product.flag(QualityFlag.NO_SOURCES)
        product.n_associates = product.n_members = product.n_in_all = 0
        product.note("none of the lists has a source")
        return
    joined = associate([(c["RA"], c["DEC"]) for c in lists], p.search_distance, p.kind)
    slids = np.array([listed.object_id for listed in product.source_lists])
    starts = np.cumsum([0, *(len(c["SID"]) for c in lists)])[joined.list_number] + joined.row
    sids, ra, dec = (np.concatenate([c[name] for c in lists])[starts] for name in ("SID", "RA", "DEC"))
    distance = _distances(joined.aid - 1, ra, dec)
    rows = {"AID": joined.aid - 1, "SLID": slids[joined.list_number], "SID": sids, "DISTANCE": distance}
    products.add_rows(ASSOCIATES, rows)
    product.n_associates, product.n_members = joined.count, len(joined.aid)
    seen = np.unique(np.column_stack([joined.aid, joined.list_number]), axis=0)
    product.n_in_all = int((np.bincount(seen[:, 0]) == len(lists)).sum())
    product.name = product.name or f"associates of {len(lists)} lists"
    together = np.repeat(joined.sizes > 1, joined.sizes)
    product.separation = float(np.median(distance[together])) if together.any() else None


def _distances(aid: np.ndarray, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Return the distance (arcsec) of each member from the mean position of its associate."""
    place = np.array(
        [
            np.cos(np.radians(dec)) * np.cos(np.radians(ra)),
            np.cos(np.radians(dec)) * np.sin(np.radians(ra)),
            np.sin(np.radians(dec)),
        ]
    )
    mean = np.array([np.bincount(aid, axis) for axis in place])[:, aid]
    mean_ra = np.degrees(np.arctan2(mean[1], mean[0]))
    mean_dec = np.degrees(np.arctan2(mean[2], np.hypot(mean[0], mean[1])))
    return separation(ra, dec, mean_ra, mean_dec) * 3600
