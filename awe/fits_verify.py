"""Find what is wrong with a FITS file before it is taken in."""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io.fits import VerifyError

from awe.errors import AweError
from awe.fits_layout import BLOCK, Hdu, file_contents, scan

_MODULUS = 0xFFFFFFFF  # a sum in ones' complement of 32 bits is a sum modulo 2**32 - 1


def verify(path: Path) -> list[str]:
    """Return what is wrong with a file, one sentence each; empty if it is a whole FITS file with an image.

    Found are: not FITS, truncated, a wrong CHECKSUM or DATASUM (of any HDU that has one), no image.
    """
    problems: list[str] = []
    hdus: list[Hdu] = []
    try:
        contents = file_contents(path)
        for hdu in scan(path, contents):
            hdus.append(hdu)
            problems += _wrong_sums(path, contents, hdu)
    except AweError as error:
        return [*problems, str(error)]
    if not any(hdu.is_image for hdu in hdus):
        problems.append(f"{path} holds no image: {', '.join(str(hdu) for hdu in hdus)}")
    return problems


def _wrong_sums(path: Path, contents: Any, hdu: Hdu) -> list[str]:
    data = _sum(contents, hdu.data_start, hdu.data_bytes)
    wrong = []
    if (said := _said(hdu, "DATASUM")) and not (said.isdigit() and int(said) % _MODULUS == data):
        wrong.append(f"{path} is damaged: DATASUM of HDU {hdu.index} is {data}, its header says {said}")
    if (
        _said(hdu, "CHECKSUM")
        and (data + _sum(contents, hdu.header_start, hdu.data_start - hdu.header_start)) % _MODULUS
    ):
        wrong.append(f"{path} is damaged: CHECKSUM of HDU {hdu.index} is wrong")
    return wrong


def _said(hdu: Hdu, keyword: str) -> str:
    try:
        return str(hdu.header.get(keyword, "")).strip()
    except VerifyError:
        return "an unreadable value"


def _sum(contents: Any, start: int, count: int) -> int:
    """Return the sum of the big-endian 32-bit words, modulo 2**32 - 1; padding that the file lacks counts as zero."""
    count = min(-(-count // BLOCK) * BLOCK, len(contents) - start)
    rest = bytes(contents[start + count - count % 4 : start + count]).ljust(4, b"\0")
    words = np.frombuffer(contents, ">u4", count // 4, start) if count >= 4 else np.zeros(0, ">u4")
    return (int(words.sum(dtype=np.uint64)) + int.from_bytes(rest, "big")) % _MODULUS
