"""A coadd of a hundred frames on a grid far larger than memory ought to be."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from awe.fits_sections import mapped_plane
from awe.kernels.resample import Regridder
from awe.kernels.wcs import Wcs, tan
from benchmarks.child import Work, own_memory
from benchmarks.kernels import on_grid, write_coadd
from benchmarks.sky_truth import THREADS, described

COLUMNS, ROWS = 25, 4
"""The frames lie in so many columns and rows, which overlap: three on a typical pixel."""


def coadd_wide(folder: Path, shape: tuple[int, int], method: str = "weighted", threads: int = THREADS) -> Work:
    """From FITS files of frames and weights to a wide coadd and its weight, background subtracted.

    The pixels of the frames of the mosaic are taken again and again, each time with a place of their own on the grid.
    """
    known, (ny, nx) = described(folder), shape
    grid = tan(known["ra"], known["dec"], known["scale"], nx, ny)
    headers = [mapped_plane(folder / f"scene/image{i}.fits").hdu.header for i in range(known["frames"])]
    height, width = mapped_plane(folder / "scene/image0.fits").shape
    x, y = np.meshgrid(np.linspace(width / 2, nx - width / 2, COLUMNS), np.linspace(height / 2, ny - height / 2, ROWS))
    places = list(zip(*grid.to_sky(x.ravel(), y.ravel()), strict=True))

    def input_at(number: int) -> Regridder:
        frame = number % known["frames"]
        return on_grid(folder, frame, "lanczos3", grid, shape, moved(headers[frame], (height, width), *places[number]))

    def call() -> float:
        with own_memory() as held:
            with ThreadPoolExecutor(threads) as pool:
                inputs = list(pool.map(input_at, range(len(places))))
            write_coadd(folder, inputs, method, grid, shape, threads)
        return held[0]

    amount = len(places) * known["pixels"] / 1e6
    return Work(call, amount, "Mpix", lambda held: {"MB without mapped files": round(held)}, warm=False)


def moved(header: Mapping[str, Any], shape: tuple[int, int], ra: float, dec: float) -> Wcs:
    """Return the coordinates of a frame as if its middle were at another place of the sky."""
    wcs = Wcs.from_header(header)
    here_ra, here_dec = wcs.centre(*shape[::-1])
    cards = wcs.cards
    return Wcs.from_header(
        cards | {"CRVAL1": float(cards["CRVAL1"]) + ra - here_ra, "CRVAL2": float(cards["CRVAL2"]) + dec - here_dec}
    )
