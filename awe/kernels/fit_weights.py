"""Which stars carry a polynomial fit: leverage, and the scatter without which too few would."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

EFFECTIVE_STARS_PER_TERM = 1.5
"""A fit rests on at least so many stars per term, as weights count them, or errors are taken to be larger."""
_HALVINGS = 27
"""Of an interval of 100 times the largest variance: to a millionth of that."""


def leverage(x: Array, y: Array, sigma: Array, used: NDArray[np.bool_], degree: int) -> Array:
    """Return which part of its own residual each used star hides by pulling the fit; 0 for the others.

    Parameters
    ----------
    x, y, sigma : arrays of n, pixel
        Positions and their standard deviations, all in the same unit.
    used : array of n, bool
    degree : int
        Of the polynomial that is fitted.
    """
    parts = np.zeros(len(x))
    u, v = ((c - c[used].mean()) / max(float(np.ptp(c[used])), 1.0) for c in (x, y))
    terms = [u**i * v**j for i in range(degree + 1) for j in range(degree + 1 - i)]
    design = np.column_stack(terms)[used] / sigma[used, None]
    parts[used] = np.sum(np.linalg.qr(design)[0] ** 2, axis=1)
    return np.minimum(parts, 0.99)


def least_scatter(sigma: Array, degree: int) -> float:
    """Return the smallest variance that, added to those of all stars, has enough of them carry a fit of this degree.

    Weights w count as many stars as (sum w)^2 / sum w^2 (Kish 1965, Survey Sampling, section 11.7).

    Parameters
    ----------
    sigma : array of n
        Standard deviations of the stars, in any unit; the result has its square.
    degree : int
        Of the polynomial in x and y.
    """
    wanted = min(EFFECTIVE_STARS_PER_TERM * (degree + 1) * (degree + 2) / 2, 0.9 * len(sigma))

    def suffices(scatter: float) -> bool:
        weight = 1 / (sigma**2 + scatter)
        return bool(weight.sum() ** 2 >= wanted * np.sum(weight**2))

    if suffices(0.0):
        return 0.0
    low, high = 0.0, 100 * float(np.max(sigma**2))
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high
