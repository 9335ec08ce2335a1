"""Polynomials between pixels and the tangent plane as world coordinates: written as TPV or as SIP."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from awe.kernels.wcs import Card, Wcs, tangent_cards, tangent_plane

Array = NDArray[np.float64]

HIGHEST_DEGREE = 4
SIP_BOUND = 1e-4
"""Largest error (pixel) of world coordinates that are written as SIP."""

# exponents (of the own axis, of the other axis) of the TPV terms; those missing are odd powers of the radius
TPV_TERMS = {
    0: (0, 0), 1: (1, 0), 2: (0, 1), 4: (2, 0), 5: (1, 1), 6: (0, 2), 7: (3, 0), 8: (2, 1), 9: (1, 2), 10: (0, 3),
    12: (4, 0), 13: (3, 1), 14: (2, 2), 15: (1, 3), 16: (0, 4),
}  # fmt: skip


def polynomial_wcs(
    pole: tuple[float, float], x: Array, y: Array, xi: Array, eta: Array, degree: int, root: Array | None = None
) -> Wcs:
    """Return the world coordinates whose tangent plane is a polynomial of the pixels: TAN, or TPV above degree 1.

    Parameters
    ----------
    pole : (ra, dec), deg
        Where the plane touches the sky.
    x, y : arrays of n, pixel
    xi, eta : arrays of n, deg
        Gnomonic coordinates at these pixels.
    degree : int
        1 to `HIGHEST_DEGREE`.
    root : array of n, optional
        Square roots of weights; by default all weigh the same.
    """
    root = np.ones(len(x)) if root is None else root
    linear = _linear(x, y, xi, eta, root)
    cards = tangent_cards(*pole, *-np.linalg.solve(linear[:, :2], linear[:, 2]), linear[:, :2])
    if degree > 1:
        cards |= _distortion(linear[:, :2] @ [x, y] + linear[:, 2:], np.array([xi, eta]), root, degree)
    return Wcs.from_header(cards)


def as_sip(wcs: Wcs, nx: int, ny: int, degree: int = HIGHEST_DEGREE) -> Wcs:
    """Return the world coordinates of an image of nx x ny pixels with the distortion written as SIP.

    SIP (Shupe et al. 2005, ASPC 347, 491) adds polynomials of the pixels to these, TPV polynomials of the linear
    coordinates to those: each holds all polynomials of a degree, so that nothing is lost. The inverse terms, which
    some programs want, are good to some thousandths of a pixel; awe itself inverts the direct ones.

    Parameters
    ----------
    wcs : Wcs
        TAN or TPV.
    degree : int
        Of the polynomials, at least that of the TPV terms.

    Raises
    ------
    ValueError
        If `wcs` is of another projection, or its distortion no polynomial of this degree over the image.
    """
    cards = wcs.cards
    if str(cards["CTYPE1"]) not in ("RA---TAN", "RA---TPV"):
        raise ValueError(f"CTYPE1 is {cards['CTYPE1']}: only TAN and TPV can be written as SIP")
    x, y = (a.ravel() for a in np.meshgrid(*(_nodes(n, degree) for n in (nx, ny))))
    pole = float(cards["CRVAL1"]), float(cards["CRVAL2"])
    plane = np.array(tangent_plane(*pole, *wcs.to_sky(x, y)))
    matrix = np.array([[float(cards[f"CD{i}_{j}"]) for j in (1, 2)] for i in (1, 2)])
    pixel = np.array([x - float(cards["CRPIX1"]) + 1, y - float(cards["CRPIX2"]) + 1])
    moved = np.linalg.solve(matrix, plane)
    written: dict[str, Any] = {k: v for k, v in cards.items() if not k.startswith("PV")}
    written |= {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}
    written |= _sip_terms(("A", "B"), pixel, moved - pixel, degree, least=0)
    written |= _sip_terms(("AP", "BP"), moved, pixel - moved, degree, least=0)
    found = Wcs.from_header(written)
    # judged between the nodes, and at the corners
    x, y = (a.ravel() for a in np.meshgrid(*(np.linspace(0, n - 1, 4 * degree + 8) for n in (nx, ny))))
    true = np.array(tangent_plane(*pole, *wcs.to_sky(x, y)))
    off = np.abs(np.array(tangent_plane(*pole, *found.to_sky(x, y))) - true).max() / np.sqrt(abs(np.linalg.det(matrix)))
    if not off < SIP_BOUND:
        raise ValueError(f"a SIP polynomial of degree {degree} misses the distortion by {off:.2g} pixel")
    return found


def grid(nx: int, ny: int, degree: int) -> tuple[Array, Array]:
    """Return x, y (pixel) of nodes that determine every polynomial of a degree over an image."""
    x, y = np.meshgrid(_nodes(nx, degree), _nodes(ny, degree))
    return x.ravel(), y.ravel()


def _nodes(size: int, degree: int) -> Array:
    """Return Chebyshev nodes on the pixels of an axis."""
    count = 2 * degree + 3
    return (size - 1) / 2 * (1 - np.cos(np.pi * (np.arange(count) + 0.5) / count))


def _linear(x: Array, y: Array, xi: Array, eta: Array, root: Array) -> Array:
    """Return the 2 x 3 matrix that takes (x, y, 1) to (xi, eta)."""
    x0, y0 = x.mean(), y.mean()
    design = np.column_stack([x - x0, y - y0, np.ones(len(x))]) * root[:, None]
    solution, *_ = np.linalg.lstsq(design, np.column_stack([xi, eta]) * root[:, None], rcond=None)
    matrix = solution.T
    matrix[:, 2] -= matrix[:, :2] @ [x0, y0]
    return matrix


def _distortion(linear: Array, true: Array, root: Array, degree: int) -> dict[str, Card]:
    """Return the TPV cards that take the linear coordinates (2 x n, deg) to the true ones."""
    terms = {m: powers for m, powers in TPV_TERMS.items() if sum(powers) <= degree}
    # unit-sized coordinates keep the normal equations well conditioned
    size = float(np.abs(linear).max())
    cards: dict[str, Card] = {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"}
    for axis in (0, 1):
        own, other = linear[axis] / size, linear[1 - axis] / size
        design = np.column_stack([own**p * other**q for p, q in terms.values()]) * root[:, None]
        solution, *_ = np.linalg.lstsq(design, true[axis] * root, rcond=None)
        for (m, powers), value in zip(terms.items(), solution, strict=True):
            cards[f"PV{axis + 1}_{m}"] = float(value / size ** sum(powers))
    return cards


def _sip_terms(names: tuple[str, str], at: Array, values: Array, degree: int, least: int) -> dict[str, Card]:
    size = float(np.abs(at).max())
    powers = [(p, q) for p in range(degree + 1) for q in range(degree + 1 - p) if p + q >= least]
    design = np.column_stack([(at[0] / size) ** p * (at[1] / size) ** q for p, q in powers])
    cards: dict[str, Card] = {f"{name}_ORDER": degree for name in names}
    for name, wanted in zip(names, values, strict=True):
        solution, *_ = np.linalg.lstsq(design, wanted, rcond=None)
        terms = zip(powers, solution, strict=True)
        cards |= {f"{name}_{p}_{q}": float(value / size ** (p + q)) for (p, q), value in terms}
    return cards
