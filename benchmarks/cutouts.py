"""Cutouts as pictures: by the pages, and by imcopy, stiff and ImageMagick, which is the chain of the original."""

import io
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from flask.testing import FlaskClient
from sqlalchemy import insert, update

from awe.config import Settings
from awe.database import open_engine, short_transaction, upgrade
from awe.instruments import load_definitions
from awe.kernels.wcs import tan
from awe.local import RunningDataServer, start_data_server
from awe.model import SourceList
from awe.model.catalogue import SOURCES
from awe.model.lineage import bind
from awe.model.persistent import Persistent, Privileges
from awe.processing.external import ExternalIngester
from awe.processing.external_facts import Stated
from awe.processing.worker import open_store
from awe.services.app import create_app
from benchmarks import peers
from benchmarks.child import Work
from benchmarks.measuring import OFTEN

SIDE = 4000
SKY = tan(150.0, 2.0, 0.2, SIDE, SIDE)
SOURCES_OF_LIST = 1000


@dataclass
class Site:
    """Pages over a coadd with a source list; its data server lives as long as it does."""

    client: FlaskClient
    coadd: int
    slid: int
    server: RunningDataServer


def cutout_awe(folder: Path, size: int, form: str, kind: str, closed: bool = False) -> Work:
    """A cutout as a picture: `kept` from before, `local` from the file in the cache, or cut at the `server`.

    What is timed is the time of the server: in this process, from the request to the bytes of the answer. On a
    `closed` site the database is asked for each request whether the image may be seen.
    """
    site, starts = _site(folder, closed), count(1)
    where = {"kept": "imageserver", "local": "imageserver", "server": "dataserver"}[kind]

    def call() -> int:
        shift = 0 if kind == "kept" else next(starts)
        place = f"x={1100 + shift}&y=1900&size={size}"
        answer = site.client.get(f"/cutouts/frame/{site.coadd}.{form}?{place}&where={where}")
        assert answer.status_code == 200, answer.text
        return len(answer.data)

    return Work(_lasting(site, call), size * size / 1e6, "Mpix", often=OFTEN if size < 1000 else OFTEN // 5)


def cutout_chain(folder: Path, size: int, form: str) -> Work:
    """The same by imcopy from a local file, stiff to TIFF, and ImageMagick to PNG or JPEG."""
    path, starts = _image(folder), count(1)
    imcopy, stiff, convert = peers.program("imcopy"), peers.program("stiff"), peers.program("magick", "convert")
    assert imcopy is not None
    assert stiff is not None
    assert convert is not None

    def run(*words: str) -> None:
        subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S603

    def call() -> int:
        x, y = 1100 - size // 2 + next(starts), 1900 - size // 2
        run(imcopy, f"{path}[{x}:{x + size - 1},{y}:{y + size - 1}]", "!cut.fits")
        run(stiff, "cut.fits", "-OUTFILE_NAME", "cut.tif", "-VERBOSE_TYPE", "QUIET", "-WRITE_XML", "N")
        run(convert, "cut.tif", f"cut.{form}")
        return (folder / f"cut.{form}").stat().st_size

    return Work(call, size * size / 1e6, "Mpix", external=True, often=OFTEN // 5 if size < 1000 else 1)


def series_awe(folder: Path, size: int) -> Work:
    """A zip of the cutouts of 1,000 sources as PNG, sections cut at the data server; none is kept."""
    site, levels = _site(folder), count(1)

    def call() -> int:
        address = f"/cutouts/sources/{site.slid}.zip?size={size}&where=dataserver&cuts=-{next(levels)},500"
        answer = site.client.get(address)
        assert answer.status_code == 200, answer.text
        return len(answer.data)

    return Work(_lasting(site, call), SOURCES_OF_LIST, "cutouts")


def series_astropy(folder: Path, size: int) -> Work:
    """The same by astropy, numpy and Pillow from a local file."""
    from astropy.nddata import Cutout2D
    from PIL import Image

    path = _image(folder)

    def call() -> int:
        image, total = fits.getdata(path), 0
        for x, y in _positions():
            cut = Cutout2D(image, (x, y), size, mode="partial").data
            gray = (np.clip(np.nan_to_num(cut) / 500, 0, 1) * 255).astype(np.uint8)[::-1]
            buffer = io.BytesIO()
            Image.fromarray(gray).save(buffer, "PNG")
            total += len(buffer.getvalue())
        return total

    return Work(call, SOURCES_OF_LIST, "cutouts")


def _lasting(site: Site, call: Callable[[], Any]) -> Callable[[], Any]:
    """Return the call, which keeps the data server alive as long as it lives."""

    def called() -> Any:
        assert site.server.process is not None
        return call()

    return called


def _site(folder: Path, closed: bool = False) -> Site:
    """Return the pages over the image as a coadd from elsewhere, with sources at random places."""
    place = folder / f"cutouts{os.getpid()}"
    settings = Settings(home=place / "home", open_reading=not closed)
    server = start_data_server(settings.data_folder)
    settings = replace(settings, data_server=server.address)
    engine, store = open_engine(settings.database), open_store(settings)
    upgrade(engine)
    taken = ExternalIngester(engine, store, settings, load_definitions(), stated=Stated(unit="adu", zeropoint="30"))
    (report,) = taken.ingest([_image(folder)])
    if not report.frames:
        raise RuntimeError(report.reason)
    slid = _listed(engine, report.frames[0])
    with short_transaction(engine) as session:
        session.execute(update(Persistent).values(privileges=Privileges.WORLD))
    return Site(create_app(settings, engine, store).test_client(), report.frames[0], slid, server)


def _listed(engine: Any, coadd: int) -> int:
    """Enter the sources of a coadd, and return the number of their list."""
    from awe.model import Coadd

    with short_transaction(engine) as session:
        listed = SourceList(name="list", n_sources=SOURCES_OF_LIST)
        listed.parameters = SourceList.Parameters()
        listed.creator, listed.project, listed.software_version, listed.host = "bench", "default", "0", "here"
        bind(listed, "frame", session.get(Coadd, coadd))
        session.add(listed)
        session.flush()
        empty: dict[str, Any] = {c.name: 0 for c in SOURCES.columns if not c.nullable}
        places = _positions()
        ra, dec = SKY.to_sky(places[:, 0], places[:, 1])
        rows = [
            empty | {"SLID": listed.object_id, "SID": i, "XWIN_IMAGE": x, "YWIN_IMAGE": y, "RA": a, "DEC": d}
            for i, ((x, y), a, d) in enumerate(zip(places.tolist(), ra.tolist(), dec.tolist(), strict=True))
        ]
        session.execute(insert(SOURCES), rows)
        return int(listed.object_id)


def _positions() -> np.ndarray:
    return np.random.default_rng(3).uniform(50, SIDE - 50, (SOURCES_OF_LIST, 2))


def _image(folder: Path) -> Path:
    """Write the image unless it is there: sky and stars."""
    path = folder / "large.fits"
    with suppress(FileExistsError), open(path, "xb"):
        rng = np.random.default_rng(5)
        image = rng.normal(0, 5, (SIDE, SIDE)).astype(np.float32)
        stamp = np.exp(-((np.mgrid[-10:11, -10:11] ** 2).sum(0)) / 18).astype(np.float32)
        for x, y in np.rint(_positions()).astype(int):
            image[y - 10 : y + 11, x - 10 : x + 11] += rng.uniform(50, 2000) * stamp
        header = fits.Header()
        header.update(SKY.cards)
        header.update({"OBJECT": "Field", "INSTRUME": "WFX", "FILTER": "r", "DATE-OBS": "2026-01-01T00:00:00"})
        fits.writeto(path, image, header, overwrite=True)
        os.utime(path, (time.time() - 3600,) * 2)  # as if it had been written long ago
    return path
