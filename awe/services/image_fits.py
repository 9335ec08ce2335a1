"""Sections of images as FITS files, with the coordinates of the section."""

import io
import re
from collections.abc import Iterator
from copy import copy

import numpy as np
from astropy.io import fits
from astropy.io.fits import Header

from awe.kernels.sections import Section

_STRUCTURE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|(IM)?NAXIS\d*|EXTEND|PCOUNT|GCOUNT|GROUPS|BSCALE|BZERO|BLANK|(Z?CHECK|Z?DATA)SUM|Z.*|EXTNAME"
    r"|EXTVER|INHERIT|END|"
)
_ORIGIN = re.compile(r"(CRPIX|LTV)([12])[A-Z]?")
_STEP = re.compile(r"CD[12]_[12][A-Z]?|CDELT[12][A-Z]?|LTM1_1|LTM2_2")
_SIP = re.compile(r"[AB]P?_(\d)_(\d)")


def fits_section(pixels: np.ndarray, header: Header, region: Section, factor: int) -> bytes:
    """Return pixels [y, x] of a section as the bytes of a FITS file; `header` is that of the whole image."""
    unit = fits.PrimaryHDU(np.ascontiguousarray(pixels), section_header(header, region, factor))
    buffer = io.BytesIO()
    unit.writeto(buffer, output_verify="silentfix+ignore")
    return buffer.getvalue()


def section_header(header: Header, region: Section, factor: int) -> Header:
    """Return the header of a section: a pixel p of the image becomes (p - start - 0.5) / bin + 0.5 (the first is 1)."""
    # cards are copied one by one: a header made of cards of another one would change those
    found = Header([copy(card) for card in header.cards if not _STRUCTURE.fullmatch(card.keyword)])
    start = {"1": region.x0, "2": region.y0}
    for axis in "12":
        found.setdefault(f"LTV{axis}", 0.0)
        found.setdefault(f"LTM{axis}_{axis}", 1.0)
    for keyword, axis in _origins(found):
        found[keyword] = (float(found[keyword]) - start[axis] - 0.5) / factor + 0.5
    if factor > 1:
        _scale(found, factor)
    found["AWESECT"] = (str(region), "section of the image, first pixel is 1")
    found["AWEBIN"] = (factor, "side of the blocks that were averaged")
    return found


def _origins(header: Header) -> Iterator[tuple[str, str]]:
    for keyword in list(header):
        if match := _ORIGIN.fullmatch(keyword):
            yield keyword, match[2]


def _scale(header: Header, factor: int) -> None:
    for keyword in list(header):
        if _STEP.fullmatch(keyword):
            header[keyword] = header[keyword] / factor if keyword.startswith("LTM") else header[keyword] * factor
        elif match := _SIP.fullmatch(keyword):
            header[keyword] = header[keyword] * float(factor) ** (int(match[1]) + int(match[2]) - 1)
