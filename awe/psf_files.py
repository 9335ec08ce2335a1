"""Files of PSF models, which are those of PSFEx."""

from pathlib import Path

from astropy.io import fits

from awe.kernels.psf import Psf, psf_of_table


def psf_of_file(path: Path) -> Psf:
    """Return the model in a file.

    Raises
    ------
    ValueError
        If it is no model that awe understands (see `psf_of_table`).
    """
    with fits.open(path, memmap=False) as hdus:
        table = hdus["PSF_DATA"]
        return psf_of_table(table.data["PSF_MASK"][0], table.header)
