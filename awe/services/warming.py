"""The compiled kernels of pictures, loaded before somebody waits for the first one."""

import threading

import numpy as np

from awe.kernels.binning import bin_mean
from awe.kernels.cutout import Axes, north_up
from awe.kernels.png import encode_png
from awe.kernels.stretch import Stretch, apply_stretch, zscale

SIDE = 64


def load_kernels() -> None:
    """Load the compiled kernels that pictures need, or compile them once; this takes seconds in a new process."""
    image = np.add.outer(np.arange(SIDE), np.arange(SIDE)).astype(np.float32)
    bin_mean(image, 2)
    encode_png(apply_stretch(image, *zscale(image), Stretch.LINEAR, False))
    north_up(image, (0, 0), SIDE / 2, SIDE / 2, Axes(-1.0, 0.0, 0.0, 1.0), SIDE // 2, SIDE // 2, 1.0)


def load_kernels_aside() -> threading.Thread:
    """Load them in a thread of their own, so that pages are served meanwhile."""
    thread = threading.Thread(target=load_kernels, name="kernels", daemon=True)
    thread.start()
    return thread
