"""The kernels of awe and what does the same in other libraries, on frames of the scene."""

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from awe.fits import PLANES, open_planes, read_image
from awe.fits_sections import MappedPlane, PixelsOnFile, mapped_plane
from awe.fits_writing import PlaneWriter, write_image
from awe.kernels.background import background_map, background_mesh
from awe.kernels.coadd import Method, coadd
from awe.kernels.combine import Combine, combine
from awe.kernels.cosmics import flag_cosmic_rays
from awe.kernels.overscan import overscan_level
from awe.kernels.pixel_mesh import overlap_region, pixel_mesh
from awe.kernels.png import encode_png
from awe.kernels.reduction import calibrate
from awe.kernels.resample import Kernel, Regridder, Rows
from awe.kernels.sections import Section
from awe.kernels.statistics import clipped_statistics, sample
from awe.kernels.stretch import apply_stretch, cuts
from awe.kernels.wcs import Wcs, tan
from awe.kernels.weight import inverse_variance
from benchmarks.child import Work
from benchmarks.packages import rates
from benchmarks.sky_truth import THREADS, described


def plane(folder: Path, name: str, number: int = 0) -> np.ndarray:
    """Return one plane of one frame of the scene."""
    return np.ascontiguousarray(np.load(folder / f"scene/{name}{number}.npy"))


def _on_pixels(call: Callable[[], Any], pixels: int, tell: Callable[[Any], dict[str, Any]] | None = None) -> Work:
    return Work(call, pixels / 1e6, "Mpix", tell or (lambda _: {}))


def combine_awe(folder: Path) -> Work:
    """Clipped mean of the biases, with variance."""
    stack = np.load(folder / "scene/biases.npy")

    def call() -> Any:
        return combine(lambda i, y0, y1: stack[i, y0:y1], len(stack), stack.shape[1:], Combine.CLIPPED)

    return _on_pixels(call, stack.size)


def median_awe(folder: Path) -> Work:
    """Median of the biases, with variance."""
    stack = np.load(folder / "scene/biases.npy")

    def call() -> Any:
        return combine(lambda i, y0, y1: stack[i, y0:y1], len(stack), stack.shape[1:], Combine.MEDIAN)

    return _on_pixels(call, stack.size)


def combine_astropy(folder: Path) -> Work:
    """Clipped mean of the biases, by astropy.stats."""
    from astropy.stats import sigma_clipped_stats

    stack = np.load(folder / "scene/biases.npy")
    return _on_pixels(lambda: sigma_clipped_stats(stack, sigma=3, maxiters=1, axis=0), stack.size)


def combine_numpy(folder: Path) -> Work:
    """Median of the biases, by numpy: no rejection, no variance."""
    stack = np.load(folder / "scene/biases.npy")
    return _on_pixels(lambda: np.median(stack, axis=0), stack.size)


def reduce_awe(folder: Path) -> Work:
    """From files of raw frame, calibrations and masks to a file of the reduced frame, its weight and its flags."""
    known, scene = described(folder), folder / "scene"
    section, overscan = Section.parse(known["data"]), [Section.parse(text) for text in known["overscan"]]
    file = folder / "reduced.fits"

    def call() -> None:
        file.unlink(missing_ok=True)  # products have names of their own; ext4 would flush a file that replaces another
        raw, _ = read_image(scene / "raw.fits", known["hdu"])
        bias, flat = (open_planes(scene / f"{name}.fits") for name in ("bias", "flat"))
        flags = np.bitwise_or.reduce([open_planes(scene / f"{n}.fits").rows("FLAGS") for n in ("hot", "cold", "full")])
        response, level = flat.rows("IMAGE"), overscan_level(raw, overscan)
        image, flags = calibrate(raw, section, level, bias.rows("IMAGE"), flat=response, flags=flags)
        sky = clipped_statistics(sample(image, flags > 0)).median
        known_as = (planes.rows("WEIGHT") for planes in (bias, flat))
        weight = inverse_variance(sky, response, known["gain"], known["noise"], *known_as, flags > 0)
        write_image(file, {"IMAGE": image, "WEIGHT": weight, "FLAGS": flags}, packed=["FLAGS"])

    return _on_pixels(call, plane(folder, "image").size)


def cosmics_awe(folder: Path) -> Work:
    """Cosmic rays of one frame."""
    image, weight, background = (plane(folder, name) for name in ("image", "weight", "background"))
    flags, gain = plane(folder, "flags"), described(folder)["gain"]
    with np.errstate(divide="ignore"):
        variance = np.where(weight > 0, 1 / weight, np.median(1 / weight[weight > 0])).astype(np.float32)
    mask = (flags & ~np.uint8(8)) != 0  # all but the cosmic rays themselves
    return _on_pixels(
        lambda: flag_cosmic_rays(image, variance, gain, background, mask),
        image.size,
        lambda found: rates(found, folder),
    )


def background_awe(folder: Path) -> Work:
    """Background and its rms, full maps, of one frame."""
    image, weight = plane(folder, "image"), plane(folder, "weight")

    def call() -> Any:
        found = background_map(image, weight=weight, cell=64)
        return found.level, found.rms

    return _on_pixels(call, image.size)


def background_sep(folder: Path) -> Work:
    """The same by sep."""
    import sep

    image, mask = plane(folder, "image"), plane(folder, "weight") <= 0

    def call() -> Any:
        found = sep.Background(image, mask=mask, bw=64, bh=64)
        return found.back(), found.rms()

    return _on_pixels(call, image.size)


def detect_sep(folder: Path) -> Work:
    """From FITS files to isophotal, Kron and aperture fluxes by plain sep."""
    import sep

    def call() -> Any:
        image, weight = (fits.getdata(folder / f"scene/{n}0.fits").astype(np.float32) for n in ("image", "weight"))
        mask = weight <= 0
        image = image - sep.Background(image, mask=mask)
        error = np.where(mask, 1, 1 / np.sqrt(np.where(mask, 1, weight))).astype(np.float32)
        rows = sep.extract(image, 1.5, err=error, mask=mask)
        # sep refuses angles that it gave itself, and single pixels
        angle = np.clip(rows["theta"], -np.pi / 2, np.pi / 2)
        shape = rows["a"].clip(0.3), rows["b"].clip(0.3), angle
        kron, _ = sep.kron_radius(image, rows["x"], rows["y"], *shape, 6.0, mask=mask)
        kron = np.where(np.isfinite(kron), np.maximum(kron, 1.4), 1.4)
        sep.sum_ellipse(image, rows["x"], rows["y"], *shape, 2.5 * kron, err=error, mask=mask)
        sep.sum_circle(image, rows["x"], rows["y"], 2.5, err=error, mask=mask)
        return rows

    return _on_pixels(call, plane(folder, "image").size, lambda rows: {"sources": len(rows)})


def _grid(folder: Path, zoom: float = 1.0) -> tuple[Wcs, tuple[int, int]]:
    known = described(folder)
    ny, nx = (round(length / zoom) for length in known["shape"])
    return tan(known["ra"], known["dec"], known["scale"] * zoom, nx, ny), (ny, nx)


def coadd_awe(
    folder: Path,
    method: str,
    kernel: str = "lanczos3",
    threads: int = THREADS,
    frames: int | None = None,
    zoom: float = 1.0,
) -> Work:
    """From FITS files of frames and weights to the coadd and its weight as FITS files, background subtracted.

    With more `frames` than there are, they are taken again. `zoom`: pixels of the frames for one of the coadd along
    each side.
    """
    known, (grid, shape) = described(folder), _grid(folder, zoom)
    count = frames or known["frames"]

    def call() -> None:
        with ThreadPoolExecutor(threads) as pool:
            inputs = list(pool.map(lambda i: on_grid(folder, i % known["frames"], kernel, grid, shape), range(count)))
        write_coadd(folder, inputs, method, grid, shape, threads)

    return _on_pixels(call, count * known["pixels"])


def on_grid(
    folder: Path, number: int, kernel: str, grid: Wcs, shape: tuple[int, int], place: Wcs | None = None
) -> Regridder:
    """Return a frame on a grid, without its background; where its header says, or at another place."""
    image, weight = (mapped_plane(folder / f"scene/{name}{number}.fits") for name in ("image", "weight"))
    pixels, header = PixelsOnFile(image, weight), image.hdu.header
    source = place or Wcs.from_header(header)
    region = overlap_region(source, pixels.shape, grid, shape)
    background, _ = background_mesh(pixels, cell=128)
    return Regridder(pixels, pixel_mesh(source, grid, region), Kernel(kernel), header["FLXSCALE"], background)


def write_coadd(
    folder: Path, inputs: Sequence[Regridder], method: str, grid: Wcs, shape: tuple[int, int], threads: int
) -> None:
    """Write the coadd and its weight, band by band."""
    files = folder / f"awe_{method}.fits", folder / f"awe_{method}.weight.fits"
    with ExitStack() as stack:
        image, weight = (
            stack.enter_context(PlaneWriter(path, {"IMAGE": np.float32}, shape, grid.cards, checksums=False))
            for path in files
        )
        for band in coadd(inputs, shape, Method(method), threads=threads).bands():
            image.write(band.y0, {"IMAGE": band.image})
            weight.write(band.y0, {"IMAGE": band.weight})


@dataclass(frozen=True)
class _OnFile:
    """A regridded frame on its file, as the task reads it; of all frames the part that they have in common."""

    planes: tuple[MappedPlane, MappedPlane, MappedPlane]
    region: Section

    def fill(self, section: Section, rows: Rows) -> None:
        rows.noise[...] = 1
        for out, plane in zip((rows.image, rows.weight, rows.flags), self.planes, strict=True):
            out[...] = plane.section(section)


def coadd_many(folder: Path, count: int, method: str) -> Work:
    """Coadd of many regridded files, whose sections are read as they are needed; the result is not kept."""
    known = described(folder)
    files = [folder / f"scene/regridded{i % known['frames']}.fits" for i in range(count)]
    shapes = np.array([mapped_plane(path).shape for path in files])
    shape = int(shapes[:, 0].min()), int(shapes[:, 1].min())

    def opened(path: Path) -> _OnFile:
        image, weight, flags = (mapped_plane(path, name) for name in PLANES)
        return _OnFile((image, weight, flags), Section.whole(shape))

    def call() -> None:
        for _band in coadd([opened(path) for path in files], shape, Method(method)).bands():
            pass

    return _on_pixels(call, count * shape[0] * shape[1])


def _gray(folder: Path) -> np.ndarray:
    image = plane(folder, "image")
    return apply_stretch(image, *cuts(image))


def png_awe(folder: Path) -> Work:
    """A gray picture of one frame as PNG."""
    gray = _gray(folder)
    return _on_pixels(lambda: encode_png(gray), gray.size, lambda data: {"kB": round(len(data) / 1000)})


def png_pillow(folder: Path) -> Work:
    """The same by Pillow, with its defaults."""
    from PIL import Image

    gray = _gray(folder)

    def call() -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(gray).save(buffer, "PNG")
        return buffer.getvalue()

    return _on_pixels(call, gray.size, lambda data: {"kB": round(len(data) / 1000)})
