"""World coordinates as IRAF writes them, TNX and ZPX, in the terms of the standard: TPV and ZPN.

The polynomials of these stand as text in cards WATi_nnn, which astropy does not read. TNX adds them to the coordinates
on the tangent plane, so that TPV holds the same in other words, without loss.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.polynomial import Chebyshev, Legendre, Polynomial
from numpy.typing import NDArray

Array = NDArray[np.float64]

CARD_LENGTH = 68
"""Characters of the text that a card holds; spaces at its end are lost in FITS."""
HIGHEST_DEGREE = 7
_BASES = {1: Chebyshev, 2: Legendre, 3: Polynomial}
_NONE, _FULL = 0, 1


def standard_cards(header: Mapping[str, Any]) -> dict[str, float | str]:
    """Return the cards that replace CTYPE and the WAT cards of a TNX or ZPX header; none for other headers.

    Raises
    ------
    ValueError
        If the text is not as IRAF writes it, its polynomial is of more than `HIGHEST_DEGREE`, or a ZPX header has
        corrections besides its radial polynomial.
    """
    kind = str(header.get("CTYPE1", ""))[4:].strip("-")
    if kind not in ("TNX", "ZPX"):
        return {}
    texts = [_text(header, axis) for axis in (1, 2)]
    surfaces = [_correction(text, name) for text, name in zip(texts, ("lngcor", "latcor"), strict=True)]
    if kind == "TNX":
        return _types(header, "TPV") | _tpv_terms(1, surfaces[0]) | _tpv_terms(2, surfaces[1].T)
    if any(surface.any() for surface in surfaces):
        raise ValueError("WCS of ZPX with lngcor or latcor: no standard projection holds these corrections")
    radial = {int(power): float(value) for power, value in re.findall(r"projp(\d+)\s*=\s*([-+.\deEdD]+)", texts[1])}
    return _types(header, "ZPN") | {f"PV2_{power}": value for power, value in (radial or {1: 1.0}).items()}


def _types(header: Mapping[str, Any], kind: str) -> dict[str, float | str]:
    return {f"CTYPE{i}": str(header.get(f"CTYPE{i}", ""))[:5] + kind for i in (1, 2)}


def _text(header: Mapping[str, Any], axis: int) -> str:
    keys = sorted(key for key in header if re.fullmatch(rf"WAT{axis}_\d{{3}}", str(key)))
    return "".join(str(header[key]).ljust(CARD_LENGTH) for key in keys)


def _correction(text: str, name: str) -> Array:
    """Return the coefficients of a correction, of xi^a eta^b at [a, b]."""
    found = re.search(rf'{name}\s*=\s*"([^"]*)"', text)
    if found is None:
        return np.zeros((1, 1))
    try:
        numbers = [float(word) for word in found[1].split()]
        (kind, nx, ny, cross), limits = (int(number) for number in numbers[:4]), numbers[4:8]
        terms = [(i, j) for j in range(ny) for i in range(nx) if _is_there(i, j, nx, ny, cross)]
        factors = np.zeros((nx, ny))
        factors[tuple(np.array(terms).T)] = numbers[8:]
        along, up = (_powers(kind, *sizes) for sizes in ((nx, limits[:2]), (ny, limits[2:])))
    except (ValueError, KeyError, IndexError) as cause:
        raise ValueError(f"{name} in the WAT cards is no surface as IRAF writes it: {found[1].strip()!r}") from cause
    return np.asarray(along.T @ factors @ up)


def _is_there(i: int, j: int, nx: int, ny: int, cross: int) -> bool:
    if cross == _NONE:
        return i == 0 or j == 0
    return cross == _FULL or i + j < max(nx, ny)


def _powers(kind: int, count: int, limits: list[float]) -> Array:
    """Return the coefficients of the powers of a coordinate in each function of a basis."""
    out = np.zeros((count, count))
    for order in range(count):
        more = {} if kind == 3 else {"domain": limits}  # plain polynomials are not normalised
        powers = _BASES[kind].basis(order, **more).convert(kind=Polynomial).coef
        out[order, : powers.size] = powers
    return out


def _tpv_terms(axis: int, correction: Array) -> dict[str, float | str]:
    """Return the PV cards of a coordinate: itself and its correction, of own^a other^b at [a, b]."""
    terms: dict[str, float | str] = {f"PV{axis}_1": 1.0}
    for a, b in zip(*np.nonzero(correction), strict=True):
        if a + b > HIGHEST_DEGREE:
            raise ValueError(f"the TNX correction is of degree {a + b}: TPV holds {HIGHEST_DEGREE} at most")
        key = f"PV{axis}_{_number(int(a + b), int(b))}"
        terms[key] = float(terms.get(key, 0.0)) + float(correction[a, b])
    return terms


def _number(degree: int, other: int) -> int:
    """Return the number of a TPV term: by degree, then by the power of the other axis; odd powers of r between."""
    return degree * (degree + 1) // 2 + degree // 2 + other
