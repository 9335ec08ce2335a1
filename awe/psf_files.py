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
    return _table(path, "STARS")


def residuals_of_file(path: Path) -> NDArray[Any] | None:
    """Return what the stars of each part of a field have left (`mean_residuals`); None in files of PSFEx."""
    return _table(path, "RESIDUALS")


def _table(path: Path, name: str) -> NDArray[Any] | None:
    with fits.open(path, memmap=False) as hdus:
        if name not in hdus:
            return None
        rows: NDArray[Any] = np.asarray(hdus[name].data).copy()
        return rows
