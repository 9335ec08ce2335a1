"""Pictures and FITS sections as the web services send them, for the prompt and notebooks."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, overload

import numpy as np
from astropy.io import fits
from PIL import Image

from awe.errors import BadRequest, NotFound
from awe.fits import from_bytes
from awe.kernels.png import encode_png
from awe.kernels.stretch import Cuts, apply_stretch, cuts

SUFFIXES = {"image/png": "png", "image/jpeg": "jpg", "image/tiff": "tif", "application/fits": "fits"}
SHOWN = 60
"""Cutouts that a notebook shows of a series; the others are there all the same."""
_OTHER_NAMES = {"jpeg": "jpg", "tiff": "tif", "fit": "fits", "fts": "fits"}


@dataclass(frozen=True)
class Picture:
    """A picture or FITS file from a web service, with how it came about."""

    content: bytes = field(repr=False)
    media_type: str
    address: str
    """Where it is from; the same address gives it again."""
    timings: dict[str, float] = field(default_factory=dict)
    """Milliseconds of each step on the server, and in all as `request`."""
    log: tuple[str, ...] = field(default=(), repr=False)
    """What was asked and answered, one line each."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What it shows: of a cutout its numbers, position and pixels; of others their binning and part."""

    @property
    def form(self) -> str:
        """Kind of file: png, jpg, tif or fits."""
        return SUFFIXES.get(self.media_type, "bin")

    @property
    def array(self) -> np.ndarray:
        """The pixels: of FITS float32 [y, x]; of a picture uint8 [y, x] or [y, x, colour], the top row first."""
        if self.form == "fits":
            return from_bytes(self.content, self.address)
        return np.asarray(Image.open(io.BytesIO(self.content)))

    @property
    def header(self) -> fits.Header:
        """The header of a FITS file."""
        if self.form != "fits":
            raise BadRequest(f"a {self.form} file has no FITS header: ask for form='fits'")
        return fits.getheader(io.BytesIO(self.content))

    def save(self, path: str | Path) -> Path:
        """Write the file as it came, and return its path; a folder gets it under a name that tells what it is."""
        path = Path(path).expanduser()
        if path.is_dir():
            path = path / self._name()
        suffix = path.suffix.lower().lstrip(".")
        if suffix and _OTHER_NAMES.get(suffix, suffix) != self.form:
            raise BadRequest(f"{path.name}: this is a {self.form} file; ask for form={suffix!r} to have another")
        path = path if suffix else path.with_name(f"{path.name}.{self.form}")
        path.write_bytes(self.content)
        return path

    def _name(self) -> str:
        plain = "".join(c if c.isalnum() or c in "._-" else "_" for c in self.address.partition("?")[0].strip("/"))
        return str(self.facts.get("file") or f"{plain.removesuffix('.' + self.form)}.{self.form}")

    def _repr_png_(self) -> bytes | None:
        """Show it in a notebook; a FITS file with zscale cuts, and TIFF, which browsers do not show, as PNG."""
        if self.form == "png":
            return self.content
        if self.form == "jpg":
            return None
        if self.form == "tif":
            return encode_png(np.ascontiguousarray(self.array))
        image = np.asarray(self.array, dtype=np.float32)
        return encode_png(apply_stretch(image, *cuts(image, Cuts.ZSCALE))[::-1])

    def _repr_jpeg_(self) -> bytes | None:
        """Show a JPEG file in a notebook."""
        return self.content if self.form == "jpg" else None

    def __repr__(self) -> str:
        took = f", {self.timings['request']:.0f} ms" if "request" in self.timings else ""
        return f"<{self.form} of {len(self.content):,} bytes{took} from {self.address}>"


class Pictures(Sequence[Picture]):
    """Cutouts of a series in their order, with those that could not be made and why."""

    def __init__(
        self,
        pictures: Sequence[Picture],
        address: str,
        missing: Sequence[dict[str, Any]],
        timings: dict[str, float],
        log: tuple[str, ...],
    ) -> None:
        self._pictures = list(pictures)
        self.address = address
        self.missing = list(missing)
        """What is known of each member that has no picture, with the reason."""
        self.timings = timings
        self.log = log

    def __len__(self) -> int:
        return len(self._pictures)

    @overload
    def __getitem__(self, index: int) -> Picture: ...
    @overload
    def __getitem__(self, index: slice) -> "Pictures": ...
    def __getitem__(self, index: int | slice) -> "Picture | Pictures":
        if isinstance(index, slice):
            return Pictures(self._pictures[index], self.address, [], self.timings, self.log)
        return self._pictures[index]

    def __iter__(self) -> Iterator[Picture]:
        return iter(self._pictures)

    def of(self, number: int, column: str = "sid") -> Picture:
        """Return the picture of a source (SID), or with `column="aid"` the first one of an associate."""
        for one in self._pictures:
            if one.facts.get(column) == number:
                return one
        raise NotFound(f"no cutout of {column} {number} among these {len(self)}")

    def save(self, folder: str | Path) -> list[Path]:
        """Write all files into a folder, made if it is not there, under the names that the service gives them."""
        folder = Path(folder).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        return [one.save(folder) for one in self._pictures]

    def _repr_html_(self) -> str:
        import base64

        cells = []
        for one in self._pictures[:SHOWN]:
            jpeg, png = one._repr_jpeg_(), one._repr_png_()
            kind, content = ("jpeg", jpeg) if jpeg else ("png", png or b"")
            source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
            words = escape(caption(one.facts))
            cells.append(
                f'<figure style="display:inline-block;margin:4px"><img src="{source}" alt="{words}" '
                f'style="image-rendering:pixelated;min-width:96px"><figcaption>{words}</figcaption></figure>'
            )
        more = f"<p>... and {len(self) - SHOWN} more</p>" if len(self) > SHOWN else ""
        return f"<div>{''.join(cells)}{more}</div>"

    def __repr__(self) -> str:
        without = f", {len(self.missing)} without" if self.missing else ""
        took = f", {self.timings['request']:.0f} ms" if "request" in self.timings else ""
        return f"<{len(self)} cutouts{without}{took} from {self.address}>"


def caption(facts: dict[str, Any]) -> str:
    """Return the numbers and the position of a cutout.

    >>> caption({"slid": 97, "sid": 3, "ra": 152.5, "dec": -1.0})
    'SLID 97 SID 3 152.50000 -1.00000'
    """
    numbers = [
        f"{name.upper()} {facts[name]}" for name in ("slid", "sid", "alid", "aid") if facts.get(name) is not None
    ]
    sky = [f"{facts[name]:.5f}" for name in ("ra", "dec") if isinstance(facts.get(name), float)]
    return " ".join([*numbers, *sky]) or str(facts.get("name") or "")
