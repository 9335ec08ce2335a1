"""Write FITS images: planes of one file, each an HDU with its name and checksums."""

import hashlib
import os
import re
import secrets
from collections.abc import Collection, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
from astropy.io.fits import Header

from awe import fits_tiles
from awe.fits_layout import BLOCK

CARD = 80
_STRUCTURE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|GROUPS|BSCALE|BZERO|BLANK|(Z?CHECK|Z?DATA)SUM|ZHECKSUM"
    r"|EXTNAME|EXTVER|INHERIT|END"
)
_SIZE = re.compile(r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT")
_EMPTY = [("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)]
_WCS = re.compile(
    r"WCSAXES|C(TYPE|RVAL|RPIX|DELT|UNIT|ROTA)\d|(CD|PC|PV)\d_\d+|RADESYS|EQUINOX|L(ON|AT)POLE|[AB]P?_(\d_\d|ORDER)"
)
_KINDS = {np.dtype(name) for name in ("uint8", "int16", "int32", "int64", "float32", "float64")}
_LARGEST_PIECE = 2**26
_PIECE = 1 << 20
"""Numbers that are turned round, hashed and written at a time: systems take large pieces faster than small ones."""
_NO_LETTERS = {*range(0x3A, 0x41), *range(0x5B, 0x61)}


def write_image(
    path: Path,
    planes: Mapping[str, np.ndarray],
    header: Header | Mapping[str, Any] | None = None,
    packed: Collection[str] = (),
) -> str:
    """Write planes to a file and return the SHA-256 of the file.

    Each gets its EXTNAME and checksums. The header goes to the first of them, which is the primary HDU; the others get
    its WCS. Masks are written as uint8, floats as float32. Those named in `packed`, of uint8, are tile-compressed; if
    the first is, the primary HDU is empty. The file appears under its name when it is complete.
    """
    checksum: Any = hashlib.sha256()
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "xb", buffering=0) as file:
            end = 0
            for piece in _file_of(planes, header or {}, packed):
                checksum.update(piece)
                _write_all(file.fileno(), piece, end)
                end += len(piece)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return str(checksum.hexdigest())


def _file_of(
    planes: Mapping[str, np.ndarray], header: Header | Mapping[str, Any], packed: Collection[str]
) -> Iterator[memoryview]:
    """Yield a FITS file in pieces; what was yielded before is overwritten."""
    first = True
    for name, image in planes.items():
        stored = _storable(name, image)
        cards = plane_header(name, stored.dtype, image.shape, header, first=first)
        if name in packed:
            if first:
                yield memoryview(_with_checksums(Header(_EMPTY), 0, BLOCK))
            form, stored = fits_tiles.packed(stored)
            cards = _joined(form, cards)
        head = _with_checksums(cards, _word_sum(stored), _padded(len(_text(cards)) + 3 * CARD))
        yield from chain([memoryview(head)], _pieces(stored), [memoryview(bytes(-stored.nbytes % BLOCK))])
        first = False


def _joined(form: Header, cards: Header) -> Header:
    """Return the header of a packed plane: that of its table, and what its own says beside size and kind."""
    joined = form.copy()
    joined.extend([card for card in cards.cards if not _SIZE.fullmatch(card.keyword)], strip=False, unique=False)
    return joined


def plane_header(
    name: str, kind: np.dtype[Any], shape: tuple[int, int], header: Header | Mapping[str, Any], first: bool
) -> Header:
    """Return the header of a plane of a file: that of the first holds all, the others get the WCS of it."""
    bits = -8 * kind.itemsize if kind.kind == "f" else 8 * kind.itemsize
    own = Header([("SIMPLE", True) if first else ("XTENSION", "IMAGE"), ("BITPIX", bits), ("NAXIS", 2)])
    own.extend([("NAXIS1", shape[1]), ("NAXIS2", shape[0])], strip=False)
    own.extend([("EXTEND", True)] if first else [("PCOUNT", 0), ("GCOUNT", 1)], strip=False)
    cards = _plain_header(header).cards
    own.extend([card for card in cards if first or _WCS.fullmatch(card.keyword)])
    own["EXTNAME"] = (name, "name of this plane")
    return own


class PlaneWriter:
    """Writes a FITS file of planes of one shape whose rows come in bands; only what is written is in memory.

    Checksums are added up on the way, so each row must be written once. The header of the first plane can be replaced
    until the file is closed by one that has up to `spare` cards more: what is measured on the pixels is known late.
    The file is complete at the end of the `with` block.
    """

    def __init__(
        self,
        path: Path,
        planes: Mapping[str, Any],
        shape: tuple[int, int],
        header: Header | Mapping[str, Any],
        checksums: bool = True,
        spare: int = 0,
    ) -> None:
        self._shape, self._checksums, self._end = shape, checksums, 0
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        self._planes: dict[str, _Plane] = {}
        for name, kind in planes.items():
            self._planes[name] = self._begin(name, np.dtype(kind), header, 0 if self._planes else spare)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            os.ftruncate(self._file, self._end)
            for plane in self._planes.values():
                _write_all(self._file, memoryview(plane.finished_header(self._checksums)), plane.header_start)
        finally:
            os.close(self._file)

    def _begin(self, name: str, kind: np.dtype[Any], header: Header | Mapping[str, Any], spare: int) -> "_Plane":
        cards = plane_header(name, kind, self._shape, header, first=not self._planes)
        room = _padded(len(_text(cards)) + (spare + 3) * CARD)
        plane = _Plane(cards, self._end, room, kind)
        self._end += room + _padded(self._shape[0] * self._shape[1] * kind.itemsize)
        return plane

    def write(self, y0: int, rows: Mapping[str, np.ndarray]) -> None:
        """Write rows of some planes from row y0 on.

        Raises
        ------
        ValueError
            If the rows are not as wide as the planes, or reach beyond them.
        """
        for name, values in rows.items():
            plane = self._planes[name]
            if values.shape[1] != self._shape[1] or y0 + len(values) > self._shape[0]:
                raise ValueError(f"rows {y0} on of shape {values.shape} don't fit into a plane of shape {self._shape}")
            native = np.ascontiguousarray(values, plane.kind)
            place = plane.start + y0 * self._shape[1] * plane.kind.itemsize
            _write_all(self._file, native.astype(plane.kind.newbyteorder(">")).data.cast("B"), place)
            if self._checksums:
                plane.add(native, place - plane.start)

    def describe(self, header: Header | Mapping[str, Any]) -> None:
        """Replace the header of the first plane."""
        name, plane = next(iter(self._planes.items()))
        plane.header = plane_header(name, plane.kind, self._shape, header, first=True)


class _Plane:
    """Where a plane lies in the file, and the sum of its data."""

    def __init__(self, header: Header, header_start: int, room: int, kind: np.dtype[Any]) -> None:
        self.header, self.header_start, self.room, self.kind = header, header_start, room, kind
        self._sum = 0

    @property
    def start(self) -> int:
        """The first byte of the data."""
        return self.header_start + self.room

    def add(self, values: np.ndarray, offset: int) -> None:
        """Add the words of 4 bytes of some rows, of which the first byte lies at an offset in the data."""
        if self.kind.itemsize == 4:
            self._sum += int(values.view(np.uint32).sum(dtype=np.uint64))
            return
        data = values.astype(self.kind.newbyteorder(">")).view(np.uint8).ravel()
        before, after = offset % 4, -(offset + data.size) % 4
        if before or after:
            data = np.concatenate([np.zeros(before, np.uint8), data, np.zeros(after, np.uint8)])
        self._sum += int(data.view(">u4").sum(dtype=np.uint64))

    def finished_header(self, checksums: bool) -> bytes:
        """Return the header as bytes, as long as the room for it, with the checksums of data and HDU."""
        if not checksums:
            return _filled(self.header, self.room)
        return _with_checksums(self.header, self._sum, self.room)


def _with_checksums(header: Header, data: int, room: int) -> bytes:
    """Return a header as bytes, padded to the room for it, with the checksums of the HDU; `data`: sum of its words."""
    data = _folded(data)
    header["DATASUM"] = (str(data), "data unit checksum")
    header["CHECKSUM"] = ("0" * 16, "HDU checksum")
    words = np.frombuffer(_filled(header, room), ">u4")
    header["CHECKSUM"] = _as_text(~_folded(int(words.sum(dtype=np.uint64)) + data) & 0xFFFFFFFF)
    return _filled(header, room)


def _filled(header: Header, room: int) -> bytes:
    cards = _text(header)
    if len(cards) + CARD > room:
        raise ValueError(f"a header of {len(cards)} bytes does not fit into {room}")
    return (cards.ljust(room - CARD) + "END".ljust(CARD)).encode("ascii")


def _text(header: Header) -> str:
    """Return the cards of a header; long values take several."""
    return str(header.tostring(endcard=False, padding=False))


def _as_text(value: int) -> str:
    """Return 32 bits as 16 letters and digits whose sum they are (FITS standard 4.0, appendix J)."""
    columns = []
    for byte in value.to_bytes(4, "big"):
        quarter = byte // 4 + ord("0")
        four = [quarter + byte % 4, quarter, quarter, quarter]
        while any(code in _NO_LETTERS for code in four):
            for first in (0, 2):
                if four[first] in _NO_LETTERS or four[first + 1] in _NO_LETTERS:
                    four[first], four[first + 1] = four[first] + 1, four[first + 1] - 1
        columns.append(four)
    text = "".join(chr(columns[i][j]) for j in range(4) for i in range(4))
    return text[-1] + text[:-1]


def _write_all(file: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(file, data[:_LARGEST_PIECE], offset)
        data, offset = data[written:], offset + written


def _storable(name: str, image: np.ndarray) -> np.ndarray:
    """Return an image as it is written, in native byte order, row after row."""
    if image.ndim != 2:
        raise ValueError(f"plane {name} must be [y, x], got shape {image.shape}")
    kind = np.dtype(np.uint8) if image.dtype == bool else image.dtype.newbyteorder("=")
    kind = np.dtype(np.float32) if kind.kind == "f" else kind
    if kind not in _KINDS:
        raise ValueError(f"plane {name} has numbers of type {kind}: FITS knows {', '.join(sorted(map(str, _KINDS)))}")
    return np.ascontiguousarray(image, kind)


def _pieces(image: np.ndarray) -> Iterator[memoryview]:
    """Yield the numbers of an image as FITS wants them, big-endian; what was yielded before is overwritten."""
    numbers = image.reshape(-1)
    turned = np.empty(min(_PIECE, numbers.size), image.dtype.newbyteorder(">"))
    for first in range(0, numbers.size, _PIECE):
        piece = numbers[first : first + _PIECE]
        np.copyto(turned[: piece.size], piece)
        yield turned[: piece.size].data.cast("B")


def _word_sum(image: np.ndarray) -> int:
    """Return the sum of the big-endian words of 4 bytes that an image is written as."""
    if image.dtype.itemsize == 4:
        words = image.reshape(-1).view(np.uint32)
        return sum(int(words[i : i + _PIECE].sum(dtype=np.uint64)) for i in range(0, words.size, _PIECE))
    total = 0
    for piece in _pieces(image):
        padded = piece if len(piece) % 4 == 0 else bytes(piece).ljust(-(-len(piece) // 4) * 4, b"\0")
        total += int(np.frombuffer(padded, ">u4").sum(dtype=np.uint64))
    return total


def _folded(total: int) -> int:
    """Return a sum as the standard wants it: 32 bits, with carries added back in."""
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def _plain_header(header: Header | Mapping[str, Any]) -> Header:
    cards = header.cards if isinstance(header, Header) else Header(list(header.items())).cards
    return Header([card for card in cards if not _STRUCTURE.fullmatch(card.keyword)])


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
