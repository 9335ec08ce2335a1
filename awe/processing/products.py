"""Files of products: where a task reads its inputs and writes its result."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from sqlalchemy import Table

from awe import __version__
from awe.errors import BadFile
from awe.fits import Planes, open_planes, read_image
from awe.fits_sections import MappedPlane, mapped_plane
from awe.fits_writing import PlaneWriter, write_image
from awe.kernels.wcs import Wcs
from awe.model.frame import Calibration, FileBacked, Frame
from awe.model.science import BackgroundFrame
from awe.processing.provenance import cards_of
from awe.store import Store

if TYPE_CHECKING:
    from awe.kernels.mesh import SmoothImage

ROOM = 60
"""Characters that value and comment of a card may share."""
SPARE_CARDS = 72
"""Room in a header for what is measured while the pixels are written."""

ReadRows = Callable[[int, tuple[str, ...]], dict[str, np.ndarray]]
"""Reads columns of the rows of a source list, by its number."""


class Products:
    """Gives a task the pixels of its inputs, and takes the pixels and rows of its product.

    Bulk rows are kept in `rows` until the product has its number; the engine writes them with it.
    """

    def __init__(
        self, store: Store, folder: Path, project: str, read_rows: ReadRows, keep_regridded: bool = True
    ) -> None:
        self._store = store
        self._read_rows = read_rows
        self._folder = folder
        self._project = project
        self.keep_regridded = keep_regridded
        self.rows: list[tuple[Table, dict[str, Any]]] = []

    def path(self, product: Any) -> Path:
        """Return a local copy of the file of an object."""
        return self._store.retrieve(product.filename, product.sha256)

    def image(self, frame: Frame) -> np.ndarray:
        """Return the image of a frame as float32 (y, x)."""
        return read_image(self.path(frame), frame.hdu)[0]

    def header(self, frame: Frame) -> fits.Header:
        """Return the header of the image of a frame."""
        return read_image(self.path(frame), frame.hdu)[1]

    def planes(self, frame: Frame) -> Planes:
        """Return all planes of a product, to read in bands."""
        return open_planes(self.path(frame))

    def plane(self, frame: Frame, name: str) -> np.ndarray:
        """Return one named plane of a product: IMAGE, WEIGHT or FLAGS."""
        planes = self.planes(frame)
        if name not in planes:
            raise BadFile(f"{frame}: its file {frame.filename} has no plane {name}")
        return planes.rows(name)

    def table(self, product: Any, name: str = "") -> np.ndarray:
        """Return the table of an object, or the one of this name, as a structured array."""
        with fits.open(self.path(product), memmap=False) as hdus:
            return np.asarray(hdus[name or 1].data).view(np.recarray).copy()

    def sources(self, source_list: Any, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Return some columns of the rows of a source list that is an input."""
        return self._read_rows(source_list.object_id, names)

    def mapped(self, frame: Frame, name: str) -> MappedPlane:
        """Return one named plane of a product, of which sections are read."""
        return mapped_plane(self.path(frame), name)

    def sky(self, background: BackgroundFrame) -> "SmoothImage":
        """Return the sky of a frame, which is stored as a mesh."""
        from awe.kernels.mesh import SmoothImage  # it needs the compiler, which who only looks does without

        assert background.naxis1 is not None
        assert background.naxis2 is not None
        return SmoothImage(self.plane(background, "MESH"), (background.naxis2, background.naxis1))

    def write(self, product: Frame, planes: Mapping[str, np.ndarray], wcs: Wcs | None = None, **cards: Any) -> None:
        """Store the planes of a product, with header and provenance, and set its file, size and place on the sky."""
        first = next(iter(planes.values()))
        self._write(product, planes, (first.shape[0], first.shape[1]), wcs, cards)

    def write_meshes(self, product: Frame, meshes: Mapping[str, np.ndarray], shape: tuple[int, int]) -> None:
        """Store meshes of equal cells that span an image of this shape."""
        cards = {
            "IMNAXIS1": (shape[1], "[pixel] width of the image that the cells span"),
            "IMNAXIS2": (shape[0], "[pixel] height of the image that the cells span"),
        }
        self._write(product, meshes, shape, None, cards)

    def _write(
        self,
        product: Frame,
        planes: Mapping[str, np.ndarray],
        shape: tuple[int, int],
        wcs: Wcs | None,
        cards: Mapping[str, Any],
    ) -> None:
        self.describe(product, shape, wcs)
        with self.scratch() as folder:
            path = folder / "product.fits"
            flags = [name for name, plane in planes.items() if plane.dtype == np.uint8]
            product.hdu = int(next(iter(planes)) in flags)  # before a packed plane the primary HDU is empty
            digest = write_image(path, planes, _header(product, wcs, cards), packed=flags)
            self._keep(product, path, digest)

    @contextmanager
    def writer(
        self, product: Frame, planes: Mapping[str, Any], shape: tuple[int, int], wcs: Wcs
    ) -> Iterator[PlaneWriter]:
        """Yield what takes the planes of a product (their names and types) by rows; it is stored when the block ends.

        What is measured on the product within the block gets into the header.
        """
        self.describe(product, shape, wcs)
        with self.scratch() as folder:
            path = folder / "product.fits"
            with PlaneWriter(path, planes, shape, _header(product, wcs, {}), spare=SPARE_CARDS) as writer:
                yield writer
                writer.describe(_header(product, wcs, {}))
            self._keep(product, path, _sha256(path))

    def describe(self, product: Frame, shape: tuple[int, int], wcs: Wcs | None) -> None:
        """Set size, unit and place on the sky of a product."""
        product.naxis2, product.naxis1 = shape
        if product.bunit is None:  # the database would fill it in after the header is written
            product.bunit = Frame.__table__.c.bunit.default.arg
        place(product, wcs)

    def write_table(self, product: Any, table: np.ndarray, name: str, cards: Mapping[str, Any] | None = None) -> None:
        """Store a table, with cards in its own header, as the file of a product that has no image."""
        self.write_tables(product, {name: table}, cards)

    def write_tables(
        self, product: Any, tables: Mapping[str, np.ndarray], cards: Mapping[str, Any] | None = None
    ) -> None:
        """Store tables, the first one with cards in its own header, as the file of a product that has no image."""
        header = fits.Header()
        for keyword, value, comment in cards_of(product):
            header[keyword] = (value, comment[: max(0, ROOM - len(str(value)))])
        hdus = [fits.BinTableHDU(table, name=name) for name, table in tables.items()]
        hdus[0].header.update(cards or {})
        with self.scratch() as folder:
            path = folder / "product.fits"
            fits.HDUList([fits.PrimaryHDU(header=header), *hdus]).writeto(path, checksum=True)
            self._keep(product, path, _sha256(path))

    def add_rows(self, table: Table, columns: dict[str, Any]) -> None:
        """Remember rows of a plain table that belong to the product."""
        self.rows.append((table, columns))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield a folder for files of this task, removed at the end."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self._folder) as folder:
            yield Path(folder)

    def _keep(self, product: FileBacked, path: Path, digest: str) -> None:
        stored = self._store.put(path, file_name(product, self._project, digest), consume=True, sha256=digest)
        product.filename, product.size, product.sha256 = stored.filename, stored.size, stored.sha256


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _header(product: Frame, wcs: Wcs | None, cards: Mapping[str, Any]) -> fits.Header:
    header = fits.Header()
    header.update(wcs.cards if wcs is not None else {})
    for keyword, value, comment in cards_of(product):
        header[keyword] = (value, comment[: max(0, ROOM - len(str(value)))])
    header.update({k.replace("_", "-"): v for k, v in cards.items()})
    header["DATE"] = (datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "when this file was written (UTC)")
    header["CREATOR"] = (f"awe {__version__}", "software")
    return header


def file_name(product: Any, project: str, digest: str) -> str:
    """Return the name of a product's file: kind, project, instrument, filter, chip, class, MJD, checksum."""
    like = product if isinstance(product, Frame) else getattr(product, "reduced", getattr(product, "frame", product))
    words = [
        "Cal" if isinstance(product, Calibration) else "Sci",
        project,
        *(getattr(getattr(like, name, None), "name", "") for name in ("instrument", "filter", "chip")),
        type(product).__name__,
        f"{getattr(like, 'mjd_obs', None) or 0.0:.7f}",
        digest[:40],
    ]
    return "-".join(re.sub(r"[^A-Za-z0-9_.#+]", "_", word) for word in words) + ".fits"


def place(product: Frame, wcs: Wcs | None) -> None:
    """Set the columns of a frame that say where it lies on the sky."""
    if wcs is None:
        return
    assert product.naxis1 is not None
    assert product.naxis2 is not None
    cards = dict(wcs.cards)
    product.wcs = cards
    for name in ("crval1", "crval2", "crpix1", "crpix2", "cd1_1", "cd1_2", "cd2_1", "cd2_2"):
        value = cards.get(name.upper())
        setattr(product, name, None if value is None else float(value))
    ra, dec = wcs.centre(product.naxis1, product.naxis2)
    product.ra, product.dec = float(ra), float(dec)
    product.pixel_scale = float(wcs.scale)
    product.footprint = [[float(a), float(d)] for a, d in wcs.footprint(product.naxis1, product.naxis2)]
