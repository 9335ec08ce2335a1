"""Find the PSF of a frame."""

from typing import Any

import numpy as np
from astropy.io import fits

from awe.kernels.detection import catalogue_of, find, stars
from awe.kernels.psf import Psf, psf_of_table, psf_table
from awe.kernels.psf_model import model_psf
from awe.kernels.wcs import Wcs
from awe.model.persistent import QualityFlag
from awe.model.psf import PsfModel
from awe.processing.products import Products
from awe.processing.scenes import scene_of, threads_for
from awe.processing.tasks import makes

FEW_STARS = 10
"""Fewer stars are flagged."""


@makes(PsfModel, version=1)
def make_psf_model(product: PsfModel, products: Products) -> None:
    """Choose the stars of a frame, and find what they have in common as a function of the place."""
    p = product.parameters
    scene = scene_of(product, products)
    threads = threads_for(scene)
    found = find(scene, threshold=p.detect_thresh, threads=threads)
    rows = catalogue_of(scene, found, threads=threads)
    candidates = stars(rows, p.sample_minsn, p.sample_maxellip)
    try:
        psf = model_psf(scene, found, rows, candidates, p.psfvar_degrees, p.psf_sampling, threads)
    except ValueError as cause:
        product.n_candidates, product.n_stars = candidates.count, 0
        product.flag(QualityFlag.FEW_INPUTS)
        product.note(f"there is no model: {cause}")
        return
    table, cards = psf_table(psf)
    products.write_table(product, table, "PSF_DATA", cards)
    _describe(product, psf)


def _describe(product: PsfModel, psf: Psf) -> None:
    frame = product.frame
    product.fwhm, product.chi2 = psf.fwhm, psf.chi2
    product.seeing = psf.fwhm * Wcs.from_header(frame.wcs).scale if frame.wcs else None
    product.ellipticity = _ellipticity(psf)
    product.n_candidates, product.n_stars = psf.loaded, psf.accepted
    product.degree, product.sampling = psf.degree, psf.sampling
    if psf.accepted < FEW_STARS:
        product.flag(QualityFlag.FEW_INPUTS)
        product.note(f"only {psf.accepted} stars tell it")


def _ellipticity(psf: Psf) -> float:
    """Return 1 - B/A of the light within one FWHM of the middle."""
    picture = psf.basis[0]
    place = (np.arange(len(picture)) - (len(picture) - 1) / 2) * psf.sampling
    x, y = np.meshgrid(place, place)
    light = np.maximum(picture, 0) * np.exp(-(x**2 + y**2) / (2 * (psf.fwhm / 2.3548) ** 2))
    xx, yy, xy = (float((light * v).sum() / light.sum()) for v in (x * x, y * y, x * y))
    root = np.hypot((xx - yy) / 2, xy)
    return float(1 - np.sqrt(((xx + yy) / 2 - root) / ((xx + yy) / 2 + root)))


def read_psf(product: Any, products: Products) -> Psf:
    """Return the model of a `PsfModel` that has a file."""
    with fits.open(products.path(product), memmap=False) as hdus:
        table = hdus["PSF_DATA"]
        return psf_of_table(table.data["PSF_MASK"][0], table.header)
