"""Compile all kernels before they are needed: `python -m awe.kernels.compile_ahead`.

Compiled code is cached on disk, so this costs a minute once after an installation or a change of the kernels, and a
few seconds otherwise. Each kernel is called as the tasks call it, on a small made-up sky; a process for each part of
the kernels, as many at once as there are cores.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from awe.kernels.astrometry import fit_wcs
from awe.kernels.background import background_map, background_mesh
from awe.kernels.binning import bin_mean
from awe.kernels.coadd import Method, coadd
from awe.kernels.combine import Combine, combine
from awe.kernels.correlated_noise import noise_scale
from awe.kernels.cosmics import flag_cosmic_rays
from awe.kernels.defects import cold_pixels, hot_pixels, saturated_pixels
from awe.kernels.detection import catalogue_of, find, stars
from awe.kernels.field_solution import Detected
from awe.kernels.flatfield import Flat, master_flat
from awe.kernels.global_astrometry import solve
from awe.kernels.mesh import SmoothImage
from awe.kernels.noise import DetectorNoise, read_noise
from awe.kernels.overscan import overscan_level
from awe.kernels.pixel_mesh import overlap_region, pixel_mesh
from awe.kernels.planes import Rows, scene
from awe.kernels.plate_model import Plate
from awe.kernels.psf_model import measure_with_psf, model_psf
from awe.kernels.recognition import recognise
from awe.kernels.reduction import calibrate
from awe.kernels.resample import InMemory, Kernel, Regridder
from awe.kernels.sections import Section
from awe.kernels.stretch import Stretch, apply_stretch, cuts
from awe.kernels.tracks import find_tracks, track_mask
from awe.kernels.wcs import tan
from awe.kernels.weight import inverse_variance

SIZE = 200


def compile_ahead() -> float:
    """Compile what is not compiled yet; return the seconds it took."""
    start = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_compile_apart, PARTS))
    return time.monotonic() - start


def _compile_apart(part: str) -> None:
    module = "awe.kernels.compile_ahead"  # its name is another one where it is run as a program
    subprocess.run([sys.executable, "-m", module, part], check=True)  # noqa: S603 - the command is ours


def _frames() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.normal(1000, 5, (SIZE, SIZE)).astype(np.float32) for _ in range(3)]


def _detector() -> None:
    frames = _frames()
    section, overscan = Section(0, SIZE - 16, 0, SIZE), [Section(SIZE - 16, SIZE, 0, SIZE)]
    trimmed = [calibrate(f, section, overscan_level(f, overscan))[0] for f in frames]
    read_noise(trimmed)
    for method in (Combine.CLIPPED, Combine.MEAN):
        for noise in (DetectorNoise(1.5, 5.0), None):
            combine(
                lambda i, y0, y1: trimmed[i][y0:y1], 3, trimmed[0].shape, method, noise=noise, scales=[1.0, 1.0, 1.0]
            )
    hot_pixels(trimmed[0])
    flat = (frames[0] / 1000).astype(np.float32)
    cold_pixels(flat)
    saturated_pixels(frames[0], 1010.0)
    pair = Flat(flat, np.full_like(flat, 1e-4))
    master_flat(pair, pair)
    master_flat(None, pair)
    bad = np.zeros(flat.shape, np.bool_)
    bright = frames[0].copy()
    bright[60:66, 60:66] += 500
    sky = background_map(bright, bad, cell=64, mask_sources=5.0)
    SmoothImage(sky.mesh.astype(np.float32), flat.shape).rows()
    hit = frames[0].copy()
    hit[50, 50:53] += 500
    flag_cosmic_rays(hit, sky.rms**2, 1.5, sky.level, bad)
    inverse_variance(sky.level, flat, 1.5, 5.0, flat, flat, bad)
    diagonal = frames[0] + 50 * np.eye(SIZE, dtype=np.float32)
    track_mask(diagonal.shape, find_tracks(diagonal, sky.level, sky.rms, bad))
    _pictures(frames[0])


def _sources() -> None:
    wcs = tan(150.0, 2.0, 0.25, SIZE, SIZE)
    image, x, y, flux = _made_up()
    flags = np.zeros(image.shape, np.uint8)
    sky = background_map(image, cell=64)
    weight = np.full(image.shape, 1 / 25, np.float32)
    find(scene(Rows(image, weight, flags, sky.level)))
    flags.setflags(write=False)  # as those of a mapped file, where others are unpacked
    where = scene(Rows(image, weight, flags, sky.level), 1.5)
    isophotes = find(where)
    rows = catalogue_of(where, isophotes)
    measure_with_psf(where, model_psf(where, isophotes, rows, stars(rows)), rows)
    ra, dec = wcs.to_sky(x, y)
    for prior in (wcs.shifted(7.3, -4.1), tan(150.0, 2.0, 0.255, SIZE, SIZE, rotation=170.0)):
        found = recognise(
            *(rows["XWIN_IMAGE"], rows["YWIN_IMAGE"], rows["FLUX_AUTO"], ra, dec, -np.log(flux), prior, SIZE, SIZE)
        )
        if found is not None:
            i, j = found.detections, found.references
            fit_wcs(rows["XWIN_IMAGE"][i], rows["YWIN_IMAGE"][i], 0.05, ra[j], dec[j], 0.01, found.wcs)
    seen = [Detected(x, y, np.full(len(x), 0.05))] * 2
    solve([Plate(exposure, 0, wcs, SIZE, SIZE) for exposure in range(2)], seen, [2016.0, 2016.0], None)


def _coadds() -> None:
    wcs = tan(150.0, 2.0, 0.25, SIZE, SIZE)
    image = _frames()[0]
    weight, flags = np.full(image.shape, 1 / 25, np.float32), np.zeros(image.shape, np.uint8)
    target = tan(150.0, 2.0, 0.25, SIZE + 40, SIZE + 40)
    region = overlap_region(wcs, image.shape, target, (SIZE + 40, SIZE + 40))
    assert region is not None
    mesh = pixel_mesh(wcs, target, region)
    noise_scale(mesh)
    pixels = InMemory(image, weight, flags)
    background, _ = background_mesh(pixels, cell=64)
    for kernel in Kernel:
        regridder = Regridder(pixels, mesh, kernel, background=background)
        regridder.read(region)
    for method in Method:
        for _ in coadd([regridder, regridder, regridder], (SIZE + 40, SIZE + 40), method).bands():
            pass


def _made_up() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return an image with stars, and their x, y and flux."""
    rng = np.random.default_rng(2)
    x, y = rng.uniform(10, SIZE - 10, (2, 40))
    flux = 10 ** rng.uniform(3.5, 5, 40)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    image = rng.normal(100, 5, (SIZE, SIZE))
    for star in range(40):
        distance = (columns - x[star]) ** 2 + (rows - y[star]) ** 2
        image += flux[star] / (2 * np.pi * 4) * np.exp(-distance / 8)
    return image.astype(np.float32), x, y, flux


def _pictures(image: np.ndarray) -> None:
    bin_mean(image, 2)
    low, high = cuts(image)
    for kind in Stretch:
        apply_stretch(image, low, high, kind)


PARTS: dict[str, Callable[[], None]] = {"coadds": _coadds, "sources": _sources, "detector": _detector}
"""What compiles each part of the kernels, the longest first."""


if __name__ == "__main__":
    if sys.argv[1:]:
        PARTS[sys.argv[1]]()
    else:
        print(f"kernels compiled in {compile_ahead():.1f} s")
