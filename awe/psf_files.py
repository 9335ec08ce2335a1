"""Files of PSF models, which are those of PSFEx."""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

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


def stars_of_file(path: Path) -> NDArray[Any] | None:
    """Return the rows (`awe.kernels.psf_residuals.PSF_STARS`) about the stars of a model; None in files of PSFEx."""
    with fits.open(path, memmap=False) as hdus:
        if "STARS" not in hdus:
            return None
        rows: NDArray[Any] = np.asarray(hdus["STARS"].data).copy()
        return rows
