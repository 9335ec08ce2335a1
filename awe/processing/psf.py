"""Find the PSF of a frame."""

from typing import Any

from awe.kernels.detection import catalogue_of, find, stars
from awe.kernels.psf import Psf, psf_table
from awe.kernels.psf_model import model_psf
from awe.kernels.psf_shape import ellipticity_of
from awe.kernels.psf_stars import worth_measuring
from awe.kernels.wcs import Wcs
from awe.model.persistent import QualityFlag
from awe.model.psf import PsfModel
from awe.processing.products import Products
from awe.processing.scenes import scene_of, threads_for
from awe.processing.tasks import makes
from awe.psf_files import psf_of_file

FEW_STARS = 10
"""Fewer stars are flagged."""


@makes(PsfModel, version=3)
def make_psf_model(product: PsfModel, products: Products) -> None:
    """Choose the stars of a frame, and find what they have in common as a function of the place.

    A second table of the file, STARS (`awe.kernels.psf_residuals.PSF_STARS`), tells what each star says of the model,
    or why it was left out; the third, RESIDUALS, what the stars of each part of the field have left in common.
    """
    p = product.parameters
    scene = scene_of(product, products)
    threads = threads_for(scene)
    found = find(scene, threshold=p.detect_thresh, threads=threads)
    rows = catalogue_of(scene, found, (), threads, only=worth_measuring(found))
    candidates = stars(rows, p.sample_minsn, p.sample_maxellip)
    try:
        psf = model_psf(scene, found, rows, candidates, p.psfvar_degrees, p.psf_sampling, threads)
    except ValueError as cause:
        product.n_candidates, product.n_stars = candidates.count, 0
        product.flag(QualityFlag.FEW_INPUTS)
        product.note(f"there is no model: {cause}")
        return
    table, cards = psf_table(psf)
    assert psf.stars is not None
    assert psf.residuals is not None
    products.write_tables(product, {"PSF_DATA": table, "STARS": psf.stars, "RESIDUALS": psf.residuals}, cards)
    _describe(product, psf)


def _describe(product: PsfModel, psf: Psf) -> None:
    frame = product.frame
    product.fwhm, product.chi2 = psf.fwhm, psf.chi2
    product.seeing = psf.fwhm * Wcs.from_header(frame.wcs).scale if frame.wcs else None
    product.ellipticity = ellipticity_of(psf.basis[0], psf.sampling, psf.fwhm)[0]
    product.n_candidates, product.n_stars = psf.loaded, psf.accepted
    product.degree, product.sampling = psf.degree, psf.sampling
    if psf.accepted < FEW_STARS:
        product.flag(QualityFlag.FEW_INPUTS)
        product.note(f"only {psf.accepted} stars tell it")


def read_psf(product: Any, products: Products) -> Psf:
    """Return the model of a `PsfModel` that has a file."""
    return psf_of_file(products.path(product))
