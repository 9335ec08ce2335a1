"""Python packages of others that run in an environment of their own. Imports nothing of awe, which is not there."""

import json
import os
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.child import Work

PEERS = "AWE_BENCH_PYTHON"
"""Variable with the interpreter of a virtual environment in which peers are installed."""
_ASK = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"


@cache
def found(name: str) -> tuple[str, str]:
    """Return version and interpreter of a package, here or in the environment of the peers; ('', '') without it."""
    try:
        return installed(name), sys.executable
    except PackageNotFoundError:
        pass
    python = os.environ.get(PEERS, "")
    if not python:
        return "", ""
    done = subprocess.run([python, "-c", _ASK, name], capture_output=True, text=True, check=False)  # noqa: S603
    return (done.stdout.strip(), python) if done.returncode == 0 else ("", "")


def rates(mask: np.ndarray, folder: Path) -> dict[str, Any]:
    """Return how many pixels are flagged, and how well: against the pixels that the simulation hit."""
    charge, flags = (np.load(folder / f"scene/{name}0.npy") for name in ("charge", "flags"))
    usable = (flags & ~np.uint8(8)) == 0
    noise = 1 / np.sqrt(np.median(np.load(folder / "scene/weight0.npy")[usable]))
    mask, bright = mask & usable, usable & (charge > 5 * noise)
    completeness, purity = (mask & bright).sum() / bright.sum(), (mask & (charge > 0)).sum() / mask.sum()
    return {"flagged": int(mask.sum()), "completeness": float(completeness), "purity": float(purity)}


def cosmics_astroscrappy(folder: Path) -> Work:
    """Cosmic rays of one frame by astroscrappy, with its defaults."""
    import astroscrappy

    image, flags = (np.ascontiguousarray(np.load(folder / f"scene/{name}0.npy")) for name in ("image", "flags"))
    known = json.loads((folder / "scene/scene.json").read_text())
    mask, noise = (flags & ~np.uint8(8)) != 0, known["noise"] * known["gain"]

    def call() -> Any:
        return astroscrappy.detect_cosmics(image, inmask=mask, gain=known["gain"], readnoise=noise, sigclip=4.5)[0]

    return Work(call, image.size / 1e6, "Mpix", lambda found: rates(found, folder))
