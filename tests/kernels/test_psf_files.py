"""The files of PSF models: SExtractor reads those of awe, awe reads those of PSFEx."""

import shutil
import subprocess

import numpy as np
import pytest
from astropy.io import fits

from awe.kernels.detection import catalogue_of, find, stars
from awe.kernels.matching import match_positions
from awe.kernels.planes import Rows, scene
from awe.kernels.psf import psf_of_table, psf_table
from awe.kernels.psf_model import measure_with_psf, model_psf
from tests.kernels.test_psf_model import GAIN, SIGMA, observed

EXTRACT = shutil.which("source-extractor") or shutil.which("sex")
PSFEX = shutil.which("psfex")
OPTIONS = ["-c", "default.sex", "-FILTER", "N", "-BACK_TYPE", "MANUAL", "-BACK_VALUE", "0", "-GAIN", str(GAIN)]
OPTIONS += ["-DETECT_THRESH", "5", "-VERBOSE_TYPE", "QUIET", "-CATALOG_TYPE", "FITS_LDAC"]

pytestmark = pytest.mark.skipif(EXTRACT is None, reason="SExtractor is not on the PATH")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("psf")
    rng = np.random.default_rng(31)
    x, y = (axis.ravel() * 40.0 + 40 + rng.uniform(-0.5, 0.5, 100) for axis in np.mgrid[:10, :10])
    image = observed(x, y, 10 ** rng.uniform(4, 5, 100), (440, 440), rng)
    fits.writeto(folder / "image.fits", image)
    with open(folder / "default.sex", "w") as file:
        subprocess.run([EXTRACT, "-dd"], stdout=file, check=True)
    return folder, image


@pytest.fixture(scope="module")
def ours(place):
    where = scene(Rows(place[1], rms=SIGMA), GAIN)
    found = find(where, threshold=5.0)
    rows = catalogue_of(where, found)
    return where, rows, model_psf(where, found, rows, stars(rows), degree=1)


def extracted(folder, columns, *options):
    (folder / "wanted.param").write_text("\n".join(columns) + "\n")
    words = [EXTRACT, "image.fits", *OPTIONS, "-PARAMETERS_NAME", "wanted.param", "-CATALOG_NAME", "found.cat"]
    subprocess.run([*words, *options], cwd=folder, check=True, capture_output=True)
    with fits.open(folder / "found.cat", memmap=False) as hdus:
        return np.array(hdus[2].data)


def test_sextractor_finds_the_same_with_a_model_of_awe(place, ours):
    folder, (where, rows, psf) = place[0], ours
    table, cards = psf_table(psf)
    hdu = fits.BinTableHDU(table, name="PSF_DATA")
    hdu.header.update(cards)
    hdu.writeto(folder / "awe.psf", overwrite=True)
    mine = measure_with_psf(where, psf, rows)
    names = ["XPSF_IMAGE", "YPSF_IMAGE", "FLUX_PSF", "FLUXERR_PSF", "SPREAD_MODEL"]
    theirs = extracted(folder, names, "-PSF_NAME", "awe.psf")
    i, j = match_positions(
        mine["XPSF_IMAGE"], mine["YPSF_IMAGE"], theirs["XPSF_IMAGE"] - 1, theirs["YPSF_IMAGE"] - 1, 1.0
    )

    assert len(i) > 95
    ratio = theirs["FLUX_PSF"][j] / mine["FLUX_PSF"][i]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.005)  # SExtractor weighs all pixels alike
    assert np.median(np.abs(theirs["XPSF_IMAGE"][j] - 1 - mine["XPSF_IMAGE"][i])) < 0.01
    assert np.median(theirs["FLUXERR_PSF"][j] / mine["FLUXERR_PSF"][i]) == pytest.approx(1.0, abs=0.1)
    assert np.median(np.abs(theirs["SPREAD_MODEL"][j] - mine["SPREAD_MODEL"][i])) < 5e-4


@pytest.mark.skipif(PSFEX is None, reason="PSFEx is not on the PATH")
def test_awe_finds_the_same_with_a_model_of_psfex(place, ours):
    folder, (where, rows, psf) = place[0], ours
    names = ["X_IMAGE", "Y_IMAGE", "FLUX_RADIUS", "FLUX_APER(1)", "FLUXERR_APER(1)", "SNR_WIN", "ELONGATION", "FLAGS"]
    extracted(folder, [*names, "VIGNET(37,37)"], "-PHOT_APERTURES", "30")
    options = ["-PSFVAR_DEGREES", "1", "-CHECKPLOT_TYPE", "NONE", "-CHECKIMAGE_TYPE", "NONE", "-WRITE_XML", "N"]
    subprocess.run([PSFEX, "found.cat", "-PSF_SIZE", "37,37", *options], cwd=folder, check=True, capture_output=True)
    with fits.open(folder / "found.psf", memmap=False) as hdus:
        theirs = psf_of_table(hdus[1].data["PSF_MASK"][0], hdus[1].header)
    by_theirs, by_ours = (measure_with_psf(where, model, rows) for model in (theirs, psf))

    assert theirs.degree == 1
    np.testing.assert_allclose(by_theirs["XPSF_IMAGE"], by_ours["XPSF_IMAGE"], atol=0.02)
    # the flux of a star is to PSFEx what its aperture holds
    ratio = by_theirs["FLUX_PSF"] / by_ours["FLUX_PSF"]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.02)
    assert np.std(ratio) < 0.01
