"""ZIP archives written while they are sent, so that only one file of them is in memory at a time."""

import io
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime


class _Outlet(io.RawIOBase):
    """Takes what the archive writes and gives it away; it can't be rewound, so sizes follow the files."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, part: object) -> int:
        content = bytes(part)  # type: ignore[call-overload]
        self._parts.append(content)
        return len(content)

    def taken(self) -> bytes:
        content = b"".join(self._parts)
        self._parts.clear()
        return content


def zip_stream(files: Iterable[tuple[str, bytes]], moment: datetime) -> Iterator[bytes]:
    """Yield the bytes of a ZIP archive with these files, uncompressed: pictures hardly get smaller."""
    outlet = _Outlet()
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files:
            entry = zipfile.ZipInfo(name, moment.timetuple()[:6])
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
            yield outlet.taken()
    yield outlet.taken()
