"""Make what belongs to one reduced frame: cosmic rays, tracks of satellites, background, weight."""

from typing import Any

import numpy as np

from awe.kernels.background import background_map
from awe.kernels.cosmics import flag_cosmic_rays
from awe.kernels.flags import PixelFlag
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


@makes(SatelliteMap, version=3)
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


@makes(WeightFrame, version=4)
def make_weight_frame(product: WeightFrame, products: Products) -> None:
    """Compute the inverse variance of each pixel of a reduced frame, and join its flags."""
    reduced = product.reduced
    flags = _flags(products, reduced, product.cosmics, product.satellites)
    sky = products.sky(product.background).rows()
    flat, flat_weight = _image_and_weight(product.flat, products)
    _, bias_weight = _image_and_weight(product.bias, products)
    if flat is not None:
        flags[flat < product.parameters.minimum_response] |= np.uint8(PixelFlag.COLD)
    response = 1.0 if flat is None else flat
    weight = inverse_variance(sky, response, reduced.gain, reduced.noise, bias_weight, flat_weight, flags > 0)
    _measure(product, weight, products.plane(reduced, "IMAGE"), sky)
    product.bunit = "adu-2"
    products.write(product, {"WEIGHT": weight, "FLAGS": flags})


def _image_and_weight(frame: Any, products: Products) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return image and inverse variance of a calibration; None if there is none."""
    if frame is None:
        return None, None
    return products.plane(frame, "IMAGE"), products.plane(frame, "WEIGHT")


def _measure(product: WeightFrame, weight: np.ndarray, image: np.ndarray, sky: np.ndarray) -> None:
    bad = weight == 0
    if bad.all():
        raise ValueError("all pixels of the frame are bad: no weight can be given")
    weights = sample(weight, bad)
    product.median_weight = float(np.median(weights))
    product.bad_fraction = np.count_nonzero(bad) / bad.size
    pulls = clipped_statistics((sample(image, bad) - sample(sky, bad)) * np.sqrt(weights))
    product.noise_ratio = pulls.sigma
