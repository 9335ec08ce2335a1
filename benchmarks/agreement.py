"""How far two coadds of the same exposures agree: pixel by pixel, and in the fluxes of stars."""

import json
from pathlib import Path

import numpy as np
from astropy.io import fits

from awe.kernels.wcs import tan
from benchmarks.child import Work

RADIUS = 10
"""Of the aperture of a star, pixel."""
SAME = 0.07
"""Weights that differ by less, relative to most, are of the same exposures."""


def compare(folder: Path, method: str, other: str = "swarp") -> Work:
    """Compare the coadd of awe with that of another program, both already made."""
    return Work(lambda: compared(folder, method, other), tell=lambda found: found, warm=False)


def compared(folder: Path, method: str, other: str) -> dict[str, float]:
    """Return median absolute deviation and tails of the difference over the noise, coverage, and ratio of fluxes.

    The tails of pixels besides of which both took the same exposures.
    """
    planes = [
        folder / f"{name}.{kind}fits"
        for name in (f"awe_{method}", f"{other}_{method.upper()}")
        for kind in ("", "weight.")
    ]
    ours, our_weight, theirs, their_weight = (fits.getdata(path) for path in planes)
    good = (our_weight > 0) & (their_weight > 0)
    noise = 1 / np.sqrt(np.median(our_weight[good]))
    difference = np.abs(ours - theirs)[good] / noise
    ratio = (our_weight / np.where(good, their_weight, 1))[good]
    same = np.abs(ratio / np.median(ratio) - 1) < SAME
    found = {
        "MAD": float(np.median(difference)),
        "above 0.1": float(np.mean(difference > 0.1)),
        "above 1": float(np.mean(difference > 1)),
        "same above 0.1": float(np.mean(difference[same] > 0.1)),
        "same above 1": float(np.mean(difference[same] > 1)),
        "only awe": float(np.mean((our_weight > 0) & ~(their_weight > 0))),
        "only other": float(np.mean(~(our_weight > 0) & (their_weight > 0))),
    }
    return found | _of_stars(folder, ours, theirs, good)


def _of_stars(folder: Path, ours: np.ndarray, theirs: np.ndarray, good: np.ndarray) -> dict[str, float]:
    """Return the ratio of the fluxes of stars in whose apertures all pixels are good, and their number."""
    known = json.loads((folder / "scene/scene.json").read_text())
    ny, nx = ours.shape
    x, y = tan(known["ra"], known["dec"], known["scale"], nx, ny).to_pixel(*np.array(known["stars"]).T)
    disc = np.hypot(*np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]) <= RADIUS
    fluxes = []
    for column, row in zip(np.rint(x).astype(int), np.rint(y).astype(int), strict=True):
        part = np.s_[row - RADIUS : row + RADIUS + 1, column - RADIUS : column + RADIUS + 1]
        if min(row, column) > RADIUS and good[part].shape == disc.shape and good[part][disc].all():
            fluxes.append([float(image[part][disc].sum(dtype=float)) for image in (ours, theirs)])
    if not fluxes:
        return {"stars": 0}
    one, two = np.array(fluxes).T
    return {"flux ratio": float(np.median(one / two)), "stars": len(fluxes)}
