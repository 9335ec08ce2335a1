"""The first view of a large image: by the pages, and by stiff and convert."""

import io
import json
import os
import subprocess
from datetime import date, datetime
from itertools import count
from pathlib import Path

import numpy as np
from astropy.io import fits
from flask.testing import FlaskClient
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from awe import model
from awe.config import Settings
from awe.kernels.wcs import Wcs, tan
from awe.local import RunningDataServer, start_data_server
from awe.services.app import create_app
from awe.services.pyramids import TILE
from awe.store import Store, StoredFile
from benchmarks.child import Work
from benchmarks.peers import CHAIN, program

BAND = 1000
"""Rows that are written at a time."""
SCREEN = 1400, 700
"""Pixels of the viewer on a page, x and y."""
NAME = "large.fits"


def prepare(folder: Path, side: int) -> Work:
    """Write the image, put it on a data server, and enter it into a database, unless that was done."""
    place = folder / "pictures"
    if not (place / "site.json").exists():
        place.mkdir(parents=True, exist_ok=True)
        _write(place / NAME, side)
        with start_data_server(place / "files") as server:
            store = Store(server.address, place / "cache")
            stored = store.put(place / NAME)
            store.cache.forget(stored.filename)
        (place / "site.json").write_text(json.dumps({"side": side, "object_id": _entered(place, stored, side)}))
    return Work(lambda: None, warm=False)


def _write(path: Path, side: int) -> None:
    """Write noise with stars in float32, a band of rows at a time."""
    cards = {"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": side, "NAXIS2": side, "OBJECT": "large"}
    header = fits.Header(cards | _wcs(side).cards)
    draw = np.random.default_rng(5)
    with open(path, "wb") as file:
        file.write(header.tostring().encode())
        for _ in range(side // BAND):
            band = draw.standard_normal((BAND, side), dtype=np.float32) * 10 + 100
            y, x = draw.integers(2, BAND - 2, 3000), draw.integers(2, side - 2, 3000)
            for dy, dx in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)):
                band[y + dy, x + dx] += 400 if dx or dy else 1000
            file.write(band.astype(">f4").tobytes())
        file.write(b"\0" * (-file.tell() % 2880))


def _wcs(side: int) -> Wcs:
    return tan(150.0, 2.0, 0.2, side, side)


def _entered(place: Path, stored: StoredFile, side: int) -> int:
    """Enter the image as a coadd into a database of its own, and return its number."""
    engine = create_engine(f"sqlite:///{place}/site.db")
    model.Base.metadata.create_all(engine)
    known = {"creator": "bench", "project": "default", "software_version": "0", "host": "here"}
    size = {"naxis1": side, "naxis2": side, "wcs": _wcs(side).cards}
    with Session(engine) as session:
        telescope = model.Telescope(name="T", longitude=0.0, latitude=0.0, altitude=0.0, **known)
        camera = model.Instrument(name="C", telescope=telescope, definition="0" * 64, **known)
        grid = model.GridTarget(name="G", object="large", ra=150.0, dec=2.0, pixel_scale=0.2, **size, **known)
        moment = {"date_obs": datetime(2026, 1, 1), "mjd_obs": 61041.0, "night": date(2026, 1, 1)}
        file = {"filename": stored.filename, "sha256": stored.sha256}
        coadd = model.Coadd(instrument=camera, grid_target=grid, object="large", **size, **moment, **file, **known)
        session.add(coadd)
        session.commit()
        return int(coadd.object_id)


def _facts(folder: Path) -> tuple[int, int]:
    """Return the number of the image, and its side."""
    found = json.loads((folder / "pictures/site.json").read_text())
    return found["object_id"], found["side"]


def _site(folder: Path) -> tuple[FlaskClient, RunningDataServer]:
    """Return a client of the pages, and the data server, which must be kept alive."""
    place = folder / "pictures"
    server = start_data_server(place / "files")
    engine = create_engine(f"sqlite:///{place}/site.db")
    store = Store(server.address, place / "cache")
    settings = Settings(home=place / f"home{os.getpid()}")
    return create_app(settings, engine, store).test_client(), server


def view_awe(folder: Path, kept: bool) -> Work:
    """The first view of the image: the page, and all tiles that the screen shows, in a look that nobody asked for.

    kept: the overview of the image was made before; else it is made, as when the first person looks at the image.
    """
    (client, server), (number, side) = _site(folder), _facts(folder)
    facts = client.get(f"/imageview/{number}.json").json
    zoom = min(length / side for length in SCREEN)
    first = facts["last_level"]
    levels = [level for level in range(first, -1, -1) if 2.0**level * zoom * 2 > 1 or level == first]
    low = count(int.from_bytes(os.urandom(2), "big") / 1e4)

    def call() -> int:
        if not kept:
            _forget(client)
        assert client.get(f"/imageview/{number}").status_code == 200
        assert server.process is not None
        total, look = 0, f"image~linear~{50 - next(low) / 7},200~gray~0"
        for level in levels:
            across = -(-side // (TILE << level))
            for column in range(across):
                for row in range(across):
                    answer = client.get(f"/imageview/{number}/tiles/{look}/{level}/{column}_{row}.png")
                    assert answer.status_code == 200, answer.text
                    total += len(answer.data)
        return total

    return Work(call, side * side / 1e6, "Mpix")


def _forget(client: FlaskClient) -> None:
    folder = client.application.extensions["awe"].settings.cache_folder / "pictures"
    for path in folder.rglob("pyramid-*"):
        path.unlink()


def view_chain(folder: Path) -> Work:
    """The whole image as one picture, 8 times smaller, by stiff and convert."""
    place, (_, side) = folder / "pictures", _facts(folder)
    shown, picture = place / "whole.tif", place / "whole.jpg"

    def call() -> int:
        options = ("-OUTFILE_NAME", str(shown), "-BINNING", "8", "-VERBOSE_TYPE", "QUIET", "-WRITE_XML", "N")
        _run("stiff", str(place / NAME), *options)
        _run("convert", str(shown), str(picture))
        return picture.stat().st_size

    return Work(call, side * side / 1e6, "Mpix", external=True)


def _run(name: str, *words: str) -> None:
    path = program(*CHAIN[name])
    assert path is not None
    subprocess.run([path, *words], check=True, capture_output=True)  # noqa: S603


def whole_pillow(folder: Path) -> Work:
    """The same by a memory map, numpy and Pillow: mean of 8 x 8 pixels, percentile cuts, JPEG."""
    from PIL import Image

    path, (_, side) = folder / "pictures" / NAME, _facts(folder)

    def call() -> int:
        with fits.open(path, memmap=True) as hdus:
            blocks = hdus[0].data.reshape(side // 8, 8, side // 8, 8)
            image = np.concatenate([blocks[i : i + 100].mean((1, 3)) for i in range(0, side // 8, 100)])
        low, high = np.percentile(image[::7, ::7], (0.25, 99.75))
        gray = (np.clip((image - low) / (high - low), 0, 1) * 255).astype(np.uint8)[::-1]
        buffer = io.BytesIO()
        Image.fromarray(gray).save(buffer, "JPEG", quality=90)
        return len(buffer.getvalue())

    return Work(call, side * side / 1e6, "Mpix")
