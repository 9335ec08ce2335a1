"""All headers of a raw file, as plain dictionaries."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astropy.io.fits import Header, VerifyError
from astropy.io.fits.card import Undefined

from awe.errors import BadFile
from awe.fits_layout import Hdu, file_contents, scan
from awe.fits_verify import verify
from awe.instruments.rules import normal_keyword

_COMMENTARY = {"", "COMMENT", "HISTORY", "CONTINUE", "END"}


@dataclass(frozen=True)
class RawHdu:
    """A header and data unit of a raw file: its keywords with their values, and the size of its image if it has one."""

    index: int
    cards: Mapping[str, Any]
    naxis1: int
    naxis2: int

    @property
    def is_image(self) -> bool:
        """Whether this unit holds a two-dimensional image."""
        return self.naxis1 > 0 and self.naxis2 > 0

    @property
    def extension(self) -> str:
        """EXTNAME, or empty."""
        return str(self.cards.get("EXTNAME", "")).strip()

    def __str__(self) -> str:
        return f"HDU {self.index}" + (f" ({self.extension})" if self.extension else "")


def read_headers(path: Path, check_sums: bool = True) -> tuple[RawHdu, ...]:
    """Return all headers of a FITS file, plain, gzipped or tile-compressed.

    Raises
    ------
    BadFile
        If it is not FITS, truncated, without an image, without some of the extensions that NEXTEND announces, or (if
        asked to check) its checksums are wrong.
    NotFound
        If there is no such file.
    """
    contents = file_contents(path)
    hdus = tuple(_raw_hdu(path, hdu) for hdu in scan(path, contents))
    problems = verify(path) if check_sums else []
    if problems:
        raise BadFile("; ".join(problems))
    announced = hdus[0].cards.get("NEXTEND", 0)
    if isinstance(announced, int) and len(hdus) - 1 < announced:
        raise BadFile(
            f"{path} lacks extensions: its primary header announces {announced} (NEXTEND), it has {len(hdus) - 1}; "
            "it was broken off between two of them: get it again"
        )
    if not any(hdu.is_image for hdu in hdus):
        raise BadFile(f"{path} has no image: none of its {len(hdus)} HDUs has two axes with pixels")
    return hdus


def _raw_hdu(path: Path, hdu: Hdu) -> RawHdu:
    naxis2, naxis1 = hdu.shape if hdu.is_image else (0, 0)
    return RawHdu(hdu.index, _cards(path, hdu.index, hdu.header), naxis1, naxis2)


def _cards(path: Path, index: int, header: Header) -> dict[str, Any]:
    cards: dict[str, Any] = {}
    for card in header.cards:
        try:
            keyword, value = normal_keyword(card.keyword), card.value
        except (VerifyError, ValueError) as error:
            raise BadFile(f"{path} has an unreadable card in HDU {index}: {card.image.rstrip()!r} ({error})") from error
        if keyword not in _COMMENTARY and not isinstance(value, Undefined) and value is not None:
            # of a keyword that comes twice the first counts, as in astropy
            cards.setdefault(keyword, value.strip() if isinstance(value, str) else value)
    return cards
