"""Tables as FITS binary tables: rows are read twice, first to learn how many there are and how long texts are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits

from awe.services.columns import Column
from awe.services.export import Exported

_BLOCK = 2880
_NONE = {"int": -(2**31), "long": -(2**63)}
"""What stands for no value in a column of whole numbers (TNULL)."""
_FORMATS = {
    "int": ("J", ">i4"),
    "long": ("K", ">i8"),
    "float": ("E", ">f4"),
    "double": ("D", ">f8"),
    "boolean": ("L", "u1"),
}
"""TFORM, and the type of numpy."""


@dataclass
class _Size:
    rows: int
    widths: list[int]


def fits_parts(table: Exported) -> Iterator[bytes]:
    """Yield the file, some rows at a time."""
    size = _measured(table)
    kind = np.dtype([(f"f{i}", _stored(c, w)) for i, (c, w) in enumerate(zip(table.columns, size.widths, strict=True))])
    yield fits.PrimaryHDU().header.tostring().encode("ascii") + _header(table, size, kind.itemsize)
    written = 0
    for rows in table.rows():
        rows = rows[: size.rows - written]  # noqa: PLW2901  never more than the header says
        written += len(rows)
        yield _packed(table.columns, rows, kind)
    if written != size.rows:
        raise RuntimeError(f"{size.rows} rows were counted, {written} read: the table changed in between")
    yield b"\0" * (-(written * kind.itemsize) % _BLOCK)


def _measured(table: Exported) -> _Size:
    texts = [i for i, c in enumerate(table.columns) if c.datatype not in _FORMATS]
    size = _Size(0, [1] * len(table.columns))
    for rows in table.rows():
        size.rows += len(rows)
        for i in texts:
            size.widths[i] = max(size.widths[i], *(len(_ascii(row[i])) for row in rows), 1)
    return size


def _ascii(text: Any) -> bytes:
    """Return a text as FITS holds it; characters it can't hold are written as in Python."""
    return b"" if text is None else str(text).encode("ascii", "backslashreplace").replace(b"\0", b" ")


def _stored(column: Column, width: int) -> str:
    return _FORMATS[column.datatype][1] if column.datatype in _FORMATS else f"S{width}"


def _header(table: Exported, size: _Size, width: int) -> bytes:
    cards: list[tuple[str, Any, str]] = [
        ("XTENSION", "BINTABLE", "binary table"),
        ("BITPIX", 8, ""),
        ("NAXIS", 2, ""),
        ("NAXIS1", width, "bytes of a row"),
        ("NAXIS2", size.rows, "rows"),
        ("PCOUNT", 0, ""),
        ("GCOUNT", 1, ""),
        ("TFIELDS", len(table.columns), "columns"),
        ("EXTNAME", table.title, ""),
    ]
    for number, (column, length) in enumerate(zip(table.columns, size.widths, strict=True), 1):
        form = _FORMATS[column.datatype][0] if column.datatype in _FORMATS else f"{length}A"
        cards += [(f"TTYPE{number}", column.name, ""), (f"TFORM{number}", form, "")]
        cards += [(f"TUNIT{number}", column.unit, "")] if column.unit else []
        cards += [(f"TNULL{number}", _NONE[column.datatype], "")] if column.datatype in _NONE else []
        cards += [(f"TUCD{number}", column.ucd, "")] if column.ucd else []
        cards += [(f"TCOMM{number}", _printable(column.doc), "")] if column.doc else []
    header = fits.Header([fits.Card(*card) for card in cards])
    header.add_history(_printable(f"selected: {table.query}"))
    text: str = header.tostring()
    return text.encode("ascii")


def _printable(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text)


def _packed(columns: tuple[Column, ...], rows: list[tuple[Any, ...]], kind: np.dtype[Any]) -> bytes:
    if not rows:
        return b""
    found = np.zeros(len(rows), kind)
    for i, (column, values) in enumerate(zip(columns, zip(*rows, strict=True), strict=True)):
        found[f"f{i}"] = _packable(column, values)
    return bytes(found.tobytes())


def _packable(column: Column, values: Sequence[Any]) -> Any:
    match column.datatype:
        case "int" | "long":
            none = _NONE[column.datatype]
            return [none if v is None else v for v in values]
        case "float" | "double":
            return np.array(values, float)  # None becomes NaN
        case "boolean":
            return [0 if v is None else ord("T" if v else "F") for v in values]
    return [_ascii(v) for v in values]
