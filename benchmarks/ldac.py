"""Catalogues in the form that SExtractor writes for SCAMP, and SCAMP reads: FITS_LDAC."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import ArrayLike

NEEDED = ("XWIN_IMAGE", "YWIN_IMAGE", "ERRAWIN_IMAGE", "ERRBWIN_IMAGE", "FLUX_AUTO", "SNR_WIN", "FLAGS")
"""Columns that awe uses."""


def write_reference(
    path: Path,
    ra: ArrayLike,
    dec: ArrayLike,
    error: float,
    magnitude: ArrayLike,
    magnitude_error: ArrayLike,
    epoch: ArrayLike,
) -> None:
    """Write a reference catalogue; `error` (deg) is that of each coordinate of all stars."""
    count = len(np.asarray(ra))
    values = [
        *(("X_WORLD", "1D", "deg", ra), ("Y_WORLD", "1D", "deg", dec)),
        *((name, "1E", "deg", error) for name in ("ERRA_WORLD", "ERRB_WORLD")),
        *(("ERRTHETA_WORLD", "1E", "deg", 0.0), ("MAG", "1E", "mag", magnitude)),
        *(("MAGERR", "1E", "mag", magnitude_error), ("OBSDATE", "1D", "yr", epoch), ("FLAGS", "1I", None, 0)),
    ]
    columns = [fits.Column(n, kind, unit, array=np.broadcast_to(value, count)) for n, kind, unit, value in values]
    plain = (
        "SIMPLE  =                    T",
        "BITPIX  =                    8",
        "NAXIS   =                    0",
        "END",
    )
    write(path, [("".join(card.ljust(80) for card in plain), fits.ColDefs(columns))])


def write(path: Path, extensions: Sequence[tuple[str, Any]]) -> None:
    """Write pairs of a header (its cards in one string) and columns."""
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for cards, columns in extensions:
        # text would lose the blanks behind END, without which SCAMP crashes
        data = np.array([(np.frombuffer(cards.encode(), np.uint8),)], [("Field Header Card", "u1", (len(cards),))])
        head = fits.BinTableHDU(data)
        head.header["EXTNAME"] = "LDAC_IMHEAD"
        objects = fits.BinTableHDU.from_columns(columns)
        objects.header["EXTNAME"] = "LDAC_OBJECTS"
        hdus += [head, objects]
    hdus.writeto(path, overwrite=True)


def read(path: Path) -> list[tuple[fits.Header, Any]]:
    """Return header and rows of each extension."""
    found = []
    with fits.open(path, memmap=False) as hdus:
        for head, objects in zip(hdus[1::2], hdus[2::2], strict=True):
            cards = np.ravel(head.data["Field Header Card"][0])
            kept = cards.dtype.kind == "u"
            text = cards.tobytes().decode() if kept else "".join(str(card).ljust(80) for card in cards)
            found.append((fits.Header.fromstring(text), objects.data))
    return found
