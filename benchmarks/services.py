"""Files and pages: the data server, and pictures of frames."""

import io
import os
import shutil
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from awe.database import open_engine
from awe.fits import section
from awe.local import RunningDataServer, start_data_server
from awe.model import Coadd
from awe.processing.worker import open_store
from awe.services.app import create_app
from awe.store import Store
from benchmarks.archive import summed
from benchmarks.child import Work
from benchmarks.scene import settings_in

FILE_MEGABYTES = 64
SECTION = 500
WIDTH = 1024


def _served(folder: Path) -> tuple[RunningDataServer, Store, Path]:
    """Return a data server with one large image."""
    place = folder / f"served{os.getpid()}"
    server = start_data_server(place / "files")
    side = int(np.sqrt(FILE_MEGABYTES * 1e6 / 4))
    path = place / "large.fits"
    image = np.random.default_rng(2).normal(0, 1, (side, side)).astype(np.float32)
    fits.writeto(path, image)
    return server, Store(server.address, place / "cache"), path


def _drain(address: str) -> int:
    total = 0
    with urllib.request.urlopen(address) as answer:  # noqa: S310  an address of ours
        while part := answer.read(1 << 20):
            total += len(part)
    return total


def get_awe(folder: Path) -> Work:
    """Get a large file from the data server."""
    server, store, path = _served(folder)
    name = store.put(path).filename
    return Work(_kept(server, lambda: _drain(f"{server.address}/{name}")), path.stat().st_size / 1e6, "MB")


def get_plain(folder: Path) -> Work:
    """Get the same from the standard library's file server."""
    path = _served(folder)[2]

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(path.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return Work(lambda: _drain(f"http://127.0.0.1:{server.server_port}/{path.name}"), path.stat().st_size / 1e6, "MB")


def put_awe(folder: Path) -> Work:
    """Put a large file on the data server: checksum, copy, sync to disk, rename."""
    server, store, path = _served(folder)
    numbers = count(1)

    def call() -> None:
        store.put(path, f"large{next(numbers)}.fits")

    return Work(_kept(server, call), path.stat().st_size / 1e6, "MB")


def put_copy(folder: Path) -> Work:
    """Copy the same file and sync it to disk."""
    path = _served(folder)[2]
    numbers = count(1)

    def call() -> None:
        copy = path.with_name(f"copy{next(numbers)}")
        shutil.copyfile(path, copy)
        with open(copy, "rb") as file:
            os.fsync(file.fileno())

    return Work(call, path.stat().st_size / 1e6, "MB")


def section_awe(folder: Path) -> Work:
    """Cut 500 x 500 pixels out of the large image, at the server: the file is not in the cache of the client."""
    server, owner, path = _served(folder)
    name = owner.put(path).filename
    store = Store(server.address, path.parent / "empty")
    starts = count(0)

    def call() -> Any:
        x = 7 * next(starts)
        return store.section(name, 0, x, x + SECTION, 1000, 1000 + SECTION)

    return Work(_kept(server, call), 1, "section")


def section_local(folder: Path) -> Work:
    """Cut the same out of a local file."""
    path = _served(folder)[2]
    starts = count(0)

    def call() -> Any:
        x = 7 * next(starts)
        return section(path, 0, x, x + SECTION, 1000, 1000 + SECTION)

    return Work(call, 1, "section")


def _kept(server: RunningDataServer, call: Callable[[], Any]) -> Callable[[], Any]:
    """Return the call, which keeps the server alive as long as it lives."""

    def called() -> Any:
        assert server.process is not None
        return call()

    return called


def picture_awe(folder: Path, warm: bool) -> Work:
    """A picture of the coadd, 1024 pixels wide, by the pages; cold: with other cuts each time."""
    settings = settings_in(folder)
    server = start_data_server(settings.data_folder)
    settings = replace(settings, data_server=server.address)
    engine = open_engine(settings.database)
    with Session(engine) as session:
        coadd = session.scalars(select(Coadd).order_by(Coadd.object_id)).unique().first()
        assert coadd is not None
        address, pixels = f"/imageview/{coadd.object_id}.png?fit={WIDTH}", coadd.naxis1 * coadd.naxis2
    client = create_app(settings, engine, open_store(settings)).test_client()
    levels = count(int.from_bytes(os.urandom(3), "big"))

    def call() -> int:
        extra = "" if warm else f"&cuts=-{next(levels)},5000"
        answer = client.get(address + extra)
        assert answer.status_code == 200, answer.text
        return len(answer.data)

    return Work(_kept(server, call), pixels / 1e6, "Mpix")


def picture_pillow(folder: Path) -> Work:
    """The same by astropy, numpy and Pillow from the local file: mean of blocks, zscale, PNG."""
    from astropy.visualization import ZScaleInterval
    from PIL import Image

    engine = open_engine(settings_in(folder).database)
    with Session(engine) as session:
        coadd = session.scalars(select(Coadd).order_by(Coadd.object_id)).unique().first()
        assert coadd is not None
        name = coadd.filename
    path = next(settings_in(folder).data_folder.rglob(str(name)))

    def call() -> int:
        image = fits.getdata(path).astype(np.float32)
        factor = -(-image.shape[1] // WIDTH)
        ny, nx = (size // factor * factor for size in image.shape)
        image = image[:ny, :nx].reshape(ny // factor, factor, nx // factor, factor).mean((1, 3))
        low, high = ZScaleInterval().get_limits(image)
        gray = (np.clip((image - low) / (high - low), 0, 1) * 255).astype(np.uint8)[::-1]
        buffer = io.BytesIO()
        Image.fromarray(gray).save(buffer, "PNG")
        return len(buffer.getvalue())

    return Work(call, fits.getdata(path).size / 1e6, "Mpix")


PAGES = {"object page": "/object/{}", "tree, with pictures": "/object/{}/tree", "three levels": "/object/{}?depth=3"}


def page_awe(folder: Path, page: str, frames: int) -> Work:
    """A page of a coadd of so many frames, in an archive of rows alone, on SQLite; and the statements it sends."""
    settings = settings_in(folder)
    server = start_data_server(folder / f"pages{frames}-{os.getpid()}")
    engine, coadd = summed(folder, frames)
    store = Store(server.address, folder / "pages")
    address = PAGES[page].format(coadd)
    client = create_app(settings, engine, store).test_client()
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: sent.append(given[2]))

    def call() -> dict[str, Any]:
        sent.clear()
        answer = client.get(address)
        assert answer.status_code == 200, answer.text
        return {"statements": len(sent), "kB": round(len(answer.data) / 1e3)}

    return Work(_kept(server, call), 1, "page", lambda told: told)
