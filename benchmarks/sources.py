"""Sources of one frame: detection, measurement, PSF, beside the truth of the simulated night."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from awe.kernels.background import background_mesh
from awe.kernels.detection import catalogue_of, find, stars
from awe.kernels.mesh import spread_rows
from awe.kernels.planes import Rows, Scene
from awe.kernels.psf_model import measure_with_psf, model_psf
from awe.kernels.sections import Section
from benchmarks.child import Work, own_memory
from benchmarks.sky_truth import THREADS, against_truth, described, fluxes_against_truth, keep_fluxes


@dataclass(frozen=True)
class _Frame:
    """A frame of the scene: planes on files, of which rows are read when they are needed."""

    image: np.ndarray
    weight: np.ndarray
    flags: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return self.image.shape[0], self.image.shape[1]

    def read(self, section: Section) -> tuple[np.ndarray, np.ndarray, None]:
        return self.image[section.slices], self.weight[section.slices], None


def _scene(folder: Path) -> Scene:
    planes = (fits.open(folder / f"scene/{name}0.fits", memmap=True)[0].data for name in ("image", "weight", "flags"))
    frame = _Frame(*planes)
    mesh, _ = background_mesh(frame, cell=64, threads=THREADS)

    def rows(y0: int, y1: int) -> Rows:
        part, level = slice(y0, y1), spread_rows(mesh, frame.shape, y0, y1)
        return Rows(frame.image[part], frame.weight[part], frame.flags[part], level)

    return Scene(rows, frame.shape, described(folder)["gain"])


def _pixels(folder: Path) -> float:
    return float(np.load(folder / "scene/image0.npy", mmap_mode="r").size) / 1e6


def detect_awe(folder: Path) -> Work:
    """From FITS files to a catalogue: background, detection, all measurements."""

    def call() -> Any:
        where = _scene(folder)
        return catalogue_of(where, find(where, threads=THREADS), threads=THREADS)

    def tell(rows: Any) -> dict[str, Any]:
        columns = [rows[n].astype(float) for n in ("X_IMAGE", "Y_IMAGE", "FLUX_AUTO", "FLUXERR_AUTO")]
        keep_fluxes(folder, *columns, rows["FLAGS"])
        return against_truth(folder, *columns)

    return Work(call, _pixels(folder), "Mpix", tell)


def write_large(folder: Path, tiles: int) -> tuple[Path, Path]:
    """Write a large image, and its weight, as tiles of a frame without its sky, unless they are there."""
    paths = folder / f"scene/large_image{tiles}.fits", folder / f"scene/large_weight{tiles}.fits"
    for path, name in zip(paths, ("image", "weight"), strict=True):
        if path.exists():
            continue
        plane = np.load(folder / f"scene/{name}0.npy")
        if name == "image":
            plane = plane - np.load(folder / "scene/background0.npy")
        row = np.tile(plane.astype(">f4"), (1, tiles))
        header = fits.Header({"SIMPLE": True, "BITPIX": -32, "NAXIS": 2})
        header["NAXIS1"], header["NAXIS2"] = row.shape[1], row.shape[0] * tiles
        with open(path, "wb") as file:
            file.write(header.tostring().encode())
            for _ in range(tiles):
                file.write(row.tobytes())
            file.write(bytes(-file.tell() % 2880))
    return paths


def large_awe(folder: Path, tiles: int) -> Work:
    """From FITS files to a catalogue of a large image without sky, by rows."""
    write_large(folder, tiles)

    def call() -> Any:
        image, weight = (fits.open(path, memmap=True) for path in write_large(folder, tiles))
        planes = image[0].data, weight[0].data
        where = Scene(lambda y0, y1: Rows(planes[0][y0:y1], planes[1][y0:y1]), planes[0].shape, 1.5)
        with own_memory() as own:
            rows = catalogue_of(where, find(where, threads=THREADS), threads=THREADS)
        return len(rows), int(own[0])

    def tell(result: Any) -> dict[str, Any]:
        return {"sources": result[0], "MB without mapped files": result[1]}

    return Work(call, _pixels(folder) * tiles**2, "Mpix", tell, warm=False)


def psf_awe(folder: Path) -> Work:
    """From FITS files to the PSF model and the PSF photometry of all sources, with their SPREAD_MODEL."""

    def call() -> Any:
        where = _scene(folder)
        found = find(where, threads=THREADS)
        rows = catalogue_of(where, found, threads=THREADS)
        psf = model_psf(where, found, rows, stars(rows), threads=THREADS)
        return rows, measure_with_psf(where, psf, rows, THREADS)

    def tell(result: Any) -> dict[str, Any]:
        rows, fitted = result
        names = ("XPSF_IMAGE", "YPSF_IMAGE", "FLUX_PSF", "FLUXERR_PSF", "SPREAD_MODEL")
        columns = [fitted[n].astype(float) for n in names]
        return fluxes_against_truth(folder, *columns, rows["FLAGS"] & ~3)

    return Work(call, _pixels(folder), "Mpix", tell)
