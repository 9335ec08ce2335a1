"""Make what belongs to one reduced frame: cosmic rays, tracks of satellites, background, weight."""

import numpy as np

from awe.errors import BadFile
from awe.fits import Planes
from awe.kernels.background import background_map
from awe.kernels.cosmics import flag_cosmic_rays
from awe.kernels.flags import PixelFlag
from awe.kernels.mesh import SmoothImage
from awe.kernels.statistics import clipped_statistics, sample
from awe.kernels.tracks import find_tracks, track_mask
from awe.kernels.weight import inverse_variance
from awe.model.frame import Frame
from awe.model.science import BackgroundFrame, CosmicMap, SatelliteMap, WeightFrame
from awe.processing.bias import flagged
from awe.processing.products import Products
from awe.processing.tasks import makes

COARSE_CELL, SOME_ROWS = 64, 5
"""Cells, and each so-many-th row of them, that tell a sky which need not be known well."""
BAND_PIXELS, SAMPLE = 1 << 17, 250_000
"""Pixels that are weighed at a time, so that all they need stays in the cache; pixels that tell the noise."""
SOURCES = 5.0
"""Pixels this many sigmas above the first background are left out of the second."""


@makes(CosmicMap, version=3)
def make_cosmic_map(product: CosmicMap, products: Products) -> None:
    """Flag the pixels of a reduced frame that were hit by cosmic rays."""
    reduced, p = product.reduced, product.parameters
    image, bad = products.plane(reduced, "IMAGE"), products.plane(reduced, "FLAGS") > 0
    sky = background_map(image, bad, cell=COARSE_CELL, every=SOME_ROWS)
    mask = flag_cosmic_rays(
        image,
        sky.rms**2,
        reduced.gain,
        sky.level,
        bad,
        sigma_clip=p.sigma_clip,
        object_limit=p.object_limit,
        neighbour_fraction=p.neighbours,
        iterations=p.iterations,
    )
    product.count, product.bunit = int(np.count_nonzero(mask)), ""
    products.write(product, {"FLAGS": flagged(mask, PixelFlag.COSMIC)})


@makes(SatelliteMap, version=4)
def make_satellite_map(product: SatelliteMap, products: Products) -> None:
    """Flag the pixels of a reduced frame that lie in straight tracks of light across it."""
    reduced, p = product.reduced, product.parameters
    image, bad = products.plane(reduced, "IMAGE"), _flags(products, reduced, product.cosmics) > 0
    sky = background_map(image, bad, cell=COARSE_CELL, every=SOME_ROWS)
    tracks = find_tracks(image, sky.level, sky.rms, bad, p.threshold)
    mask = track_mask(image.shape, tracks, p.grow)
    product.count, product.n_tracks, product.bunit = int(np.count_nonzero(mask)), len(tracks), ""
    product.tracks = [[round(v, 2) for v in (t.x0, t.y0, t.x1, t.y1, t.width, t.significance)] for t in tracks]
    products.write(product, {"FLAGS": flagged(mask, PixelFlag.SATELLITE)})


def _flags(products: Products, *frames: Frame | None) -> np.ndarray:
    """Return the flags of all frames together."""
    flags: np.ndarray = np.bitwise_or.reduce([products.plane(f, "FLAGS") for f in frames if f is not None])
    return flags


@makes(BackgroundFrame, version=8)
def make_background_frame(product: BackgroundFrame, products: Products) -> None:
    """Measure the sky below the sources; the planes are the meshes of it and of its noise (adu)."""
    reduced, p = product.reduced, product.parameters
    image = products.plane(reduced, "IMAGE")
    bad = _flags(products, reduced, product.cosmics, product.satellites) > 0
    found = background_map(image, bad, cell=p.back_size, filter_size=p.back_filtersize, mask_sources=SOURCES)
    product.level, product.rms = float(np.median(found.mesh)), float(np.median(found.mesh_rms))
    meshes = {"MESH": found.mesh.astype(np.float32), "MESH_RMS": found.mesh_rms.astype(np.float32)}
    products.write_meshes(product, meshes, image.shape)


@makes(WeightFrame, version=5)
def make_weight_frame(product: WeightFrame, products: Products) -> None:
    """Compute the inverse variance of each pixel of a reduced frame, and join its flags."""
    reduced = product.reduced
    flags = _flags(products, reduced, product.cosmics, product.satellites)
    flat, bias = (_calibration(product, role, flags.shape, products) for role in ("flat", "bias"))
    sky, weight = products.sky(product.background), np.empty(flags.shape, np.float32)
    depth = max(1, BAND_PIXELS // flags.shape[1])
    for y0 in range(0, len(flags), depth):
        rows, marks = (y0, min(y0 + depth, len(flags))), flags[y0 : y0 + depth]
        response = 1.0 if flat is None else flat.rows("IMAGE", *rows)
        if flat is not None:
            marks[response < product.parameters.minimum_response] |= np.uint8(PixelFlag.COLD)
        weight[slice(*rows)] = inverse_variance(
            sky.rows(*rows), response, reduced.gain, reduced.noise,
            *(None if frame is None else frame.rows("WEIGHT", *rows) for frame in (bias, flat)), marks > 0,
        )  # fmt: skip
    _measure(product, weight, products.planes(reduced), sky)
    product.bunit = "adu-2"
    products.write(product, {"WEIGHT": weight, "FLAGS": flags})


def _calibration(product: WeightFrame, role: str, shape: tuple[int, ...], products: Products) -> Planes | None:
    """Return image and inverse variance of a calibration of the frame; None if there is none."""
    frame = getattr(product, role)
    if frame is None:
        return None
    planes = products.planes(frame)
    if "IMAGE" not in planes or "WEIGHT" not in planes:
        raise BadFile(f"{frame}: its file {frame.filename} has no planes IMAGE and WEIGHT")
    if planes.shape != shape:
        raise ValueError(f"its {role} has {planes.shape} pixels (y, x), the frame {shape}")
    return planes


def _measure(product: WeightFrame, weight: np.ndarray, image: Planes, sky: SmoothImage) -> None:
    bad = weight == 0
    if bad.all():
        raise ValueError("all pixels of the frame are bad: no weight can be given")
    product.median_weight = float(np.median(sample(weight, bad)))
    product.bad_fraction = np.count_nonzero(bad) / bad.size
    step = max(1, weight.size // SAMPLE)
    pulls = _pulls(weight, image, sky, step)
    product.noise_ratio = clipped_statistics(pulls if pulls.size else _pulls(weight, image, sky, 1)).sigma


def _pulls(weight: np.ndarray, image: Planes, sky: SmoothImage, step: int) -> np.ndarray:
    """Return the good pixels of each so-many-th row less the sky, in units of the noise that the weight tells."""
    pulls = []
    for y in range(0, len(weight), step):
        good = weight[y] > 0
        light = image.rows("IMAGE", y, y + 1)[0] - sky.rows(y, y + 1)[0]
        pulls.append(light[good] * np.sqrt(weight[y][good]))
    return np.concatenate(pulls)
