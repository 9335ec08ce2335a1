"""What is found in a frame of the scene, beside what was put into it. Imports nothing heavy."""

import json
from pathlib import Path
from typing import Any

import numpy as np

THREADS = 2
NEAR = 2.0
"""Pixels within which a source is the object."""
FALSE_RATE = 0.01
BRIGHT, ALONE = 100.0, 18.0
"""Signal to noise of a bright star; pixels within which it has no neighbour of more than 1 per mille of its light."""


def described(folder: Path) -> dict[str, Any]:
    """Return what is known of the scene."""
    found: dict[str, Any] = json.loads((folder / "scene/scene.json").read_text())
    return found


def truth(folder: Path, number: int = 0) -> Any:
    """Return x, y (from 0), flux (adu) and whether it is a star, of all objects on a frame."""
    return np.load(folder / f"scene/truth{number}.npy")


def nearest(objects: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Return distance and number of the object nearest to each place."""
    from scipy.spatial import cKDTree

    tree = cKDTree(np.column_stack([objects["x"], objects["y"]]))
    distance, place = tree.query(np.column_stack([np.nan_to_num(x, nan=-1e6), np.nan_to_num(y, nan=-1e6)]))
    return distance, place


def against_truth(folder: Path, x: Any, y: Any, flux: Any, error: Any) -> dict[str, Any]:
    """Return how many sources are false, and how complete the list is down to where 1 % of it is false.

    An object brighter than the faintest 5 % of what was found ought to be found; a source without one within two
    pixels that has a fifth of its flux or more is false.
    """
    objects = truth(folder)
    ny, nx = np.load(folder / "scene/image0.npy", mmap_mode="r").shape
    inside = (objects["x"] > 5) & (objects["x"] < nx - 6) & (objects["y"] > 5) & (objects["y"] < ny - 6)
    objects = objects[inside]
    weight = np.load(folder / "scene/weight0.npy", mmap_mode="r")
    limit = 12 * float(np.median(1 / np.sqrt(weight[weight > 0]))) * 3  # some 5 sigma in the area of a star
    bright = objects[objects["flux"] > limit / 4]
    distance, place = nearest(bright, x, y)
    own = (x > 5) & (x < nx - 6) & (y > 5) & (y < ny - 6)
    real = (distance < NEAR)[own]
    order = np.argsort(-(flux / error)[own], kind="stable")
    rate = np.cumsum(~real[order]) / np.arange(1, order.size + 1)
    deep = np.flatnonzero(rate <= FALSE_RATE)
    last = int(deep[-1]) + 1 if deep.size else 0
    found = np.unique(place[own][order[:last]][real[order[:last]]])
    wanted = np.flatnonzero(bright["flux"] > limit)
    return {
        "sources": len(x),
        "false": round(float((~real).mean()), 4),
        "complete at 1 % false": round(float(np.isin(wanted, found).mean()), 4),
    }


def keep_fluxes(folder: Path, x: Any, y: Any, flux: Any, error: Any, flags: Any) -> None:
    """Keep what awe measured, for `magnitudes_beside`."""
    np.save(folder / "fluxes.npy", np.stack([x, y, flux, error, flags]))


def magnitudes_beside(folder: Path, x: Any, y: Any, flux: Any, error: Any, flags: Any) -> dict[str, Any]:
    """Compare the magnitudes of unflagged sources that awe and another program measured on the same pixels.

    Both see the same noise, so that they should differ by much less than their errors.
    """
    path = folder / "fluxes.npy"
    if not path.exists():
        return {}
    own = dict(zip(("x", "y", "flux", "error", "flags"), np.load(path), strict=True))
    distance, place = nearest(own, x, y)
    clean = (distance < 1) & (flags == 0) & (own["flags"][place] == 0) & (flux > 5 * error)
    if not clean.any():
        return {}
    ratio, relative = (flux / own["flux"][place])[clean], (error / flux)[clean]
    return {
        "mag from awe's": round(float(np.median(-2.5 * np.log10(ratio))), 4),
        "% within their errors": round(100 * float((np.abs(ratio - 1) < relative).mean()), 1),
    }


def fluxes_against_truth(
    folder: Path, x: Any, y: Any, flux: Any, error: Any, spread: Any, flags: Any, unit: float = 1.0
) -> dict[str, Any]:
    """Return bias and pulls of the fluxes of stars that stand alone.

    `unit` is what 1 of these fluxes is in adu, where a program has a convention of its own.
    """
    objects = truth(folder)
    distance, place = nearest(objects, x, y)
    beside = _light_beside(objects)
    known = objects[place]
    alone = (distance < 1) & known["star"] & (beside[place] < 1e-3 * known["flux"]) & (flags == 0) & np.isfinite(flux)
    flux, error = flux * unit, error * unit
    bright = alone & (flux > BRIGHT * error)
    middling = alone & (flux > 10 * error) & (flux < BRIGHT * error)
    if not bright.any() or not middling.any():
        return {"sources": len(x), "bright stars": int(bright.sum())}
    ratio = flux[bright] / known["flux"][bright]
    pull = ((flux - known["flux"]) / error)[middling]
    spread_of = 1.4826 * np.median(np.abs(pull - np.median(pull)))
    galaxies = (distance < 1) & ~known["star"] & (flux > 30 * error)
    return {
        "sources": len(x),
        "bright stars": int(bright.sum()),
        "bias %": round(100 * float(np.median(ratio) - 1), 3),
        "sigma of pulls": round(float(spread_of), 3),
        "stars as stars": round(float((np.abs(spread[bright]) < 0.003).mean()), 3),
        "galaxies as galaxies": round(float((spread[galaxies] > 0.003).mean()), 3),
    }


def _light_beside(objects: Any) -> Any:
    from scipy.spatial import cKDTree

    tree = cKDTree(np.column_stack([objects["x"], objects["y"]]))
    out = np.zeros(len(objects))
    for one, other in tree.query_pairs(ALONE):
        out[one] += objects["flux"][other]
        out[other] += objects["flux"][one]
    return out
