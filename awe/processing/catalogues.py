"""Add reference catalogues: a normalised table on the data server, its sky cells in the database."""

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from astropy.io import fits
from sqlalchemy import Engine, select

from awe.catalogues import load_form, read_catalogue
from awe.config import Settings
from awe.database import short_transaction
from awe.model.frame import SkyCell
from awe.model.reference import ReferenceCatalogue
from awe.model.sky import cells_at
from awe.store import Store


def add_catalogue(
    engine: Engine, store: Store, settings: Settings, path: Path, name: str, form: str, astrometric: bool = True
) -> tuple[ReferenceCatalogue, bool]:
    """Store a catalogue and return it, and whether it is new; the same content under the same name is there once."""
    described = load_form(form)
    rows = read_catalogue(path, described)
    cells = cells_at(rows["ra"], rows["dec"])
    rows = rows[np.argsort(cells, kind="stable")]
    with TemporaryDirectory() as folder:
        table = Path(folder) / "catalogue.fits"
        fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(rows, name="STARS")]).writeto(table, checksum=False)
        digest = hashlib.sha256(table.read_bytes()).hexdigest()
        with short_transaction(engine) as session:
            known = session.scalars(select(ReferenceCatalogue).where(ReferenceCatalogue.sha256 == digest)).unique()
            for catalogue in known:
                if catalogue.name == name and catalogue.is_valid:
                    return catalogue, False
        stored = store.put(table, f"RefCat-{settings.project}-{_plain(name)}-{digest[:40]}.fits")
    magnitudes = [n for n in rows.dtype.names or () if n.startswith("mag_") and not n.endswith("_error")]
    catalogue = ReferenceCatalogue(
        name=name,
        description=described.description,
        epoch=described.epoch,
        astrometric=astrometric,
        bands=[n.removeprefix("mag_") for n in magnitudes],
        rows=len(rows),
        position_error=float(np.median(rows["ra_error"])),
        filename=stored.filename,
        size=stored.size,
        sha256=stored.sha256,
        creator=settings.user,
        project=settings.project,
    )
    catalogue.cells = [SkyCell(cell=int(c)) for c in np.unique(cells)]
    with short_transaction(engine) as session:
        session.add(catalogue)
    return catalogue, True


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._+" else "_" for c in name)
