"""Pictures of an image of 16,000 x 16,000 pixels: by the pages, and by the chain of 2008, imcopy, stiff and convert."""

import io
import json
import os
import subprocess
from datetime import date, datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from flask.testing import FlaskClient
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from awe.config import Settings
from awe.kernels.wcs import tan
from awe.local import start_data_server
from awe.services.app import create_app
from awe.services.pyramids import TILE
from awe.store import Store
from benchmarks.child import Work
from benchmarks.peers import program

SIDE = 16_000
SCREEN = 1400, 700
"""Pixels of the viewer on a page, x and y."""
NAME = "large.fits"


def prepare(folder: Path) -> Work:
    """Write the image, put it on a data server, and enter it into a database, unless that was done."""
    place = folder / "pictures"
    if not (place / "site.json").exists():
        place.mkdir(exist_ok=True)
        _write(place / NAME)
        with start_data_server(place / "files") as server:
            store = Store(server.address, place / "cache")
            stored = store.put(place / NAME)
            store.cache.forget(stored.filename)
        (place / "site.json").write_text(json.dumps(_entered(place, stored)))
    return Work(lambda: None, warm=False)


def _write(path: Path) -> None:
    """Write noise with stars in float32, a band of rows at a time."""
    header = fits.PrimaryHDU(header=fits.Header(tan(150.0, 2.0, 0.2, SIDE, SIDE).cards)).header
    header["BITPIX"], header["NAXIS"], header["OBJECT"] = -32, 2, "large"
    header.insert("NAXIS", ("NAXIS1", SIDE), after=True)
    header.insert("NAXIS1", ("NAXIS2", SIDE), after=True)
    draw = np.random.default_rng(5)
    with open(path, "wb") as file:
        file.write(header.tostring().encode())
        for _ in range(SIDE // 1000):
            band = draw.standard_normal((1000, SIDE), dtype=np.float32) * 10 + 100
            y, x = draw.integers(2, 998, 3000), draw.integers(2, SIDE - 2, 3000)
            for dy, dx in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)):
                band[y + dy, x + dx] += 400 if dx or dy else 1000
            file.write(band.astype(">f4").tobytes())
        file.write(b"\0" * (-file.tell() % 2880))


def _entered(place: Path, stored: Any) -> dict[str, Any]:
    from awe import model

    engine = create_engine(f"sqlite:///{place}/site.db")
    model.Base.metadata.create_all(engine)
    known = {"creator": "bench", "project": "default", "software_version": "0", "host": "here"}
    wcs = tan(150.0, 2.0, 0.2, SIDE, SIDE)
    with Session(engine) as session:
        telescope = model.Telescope(name="T", longitude=0.0, latitude=0.0, altitude=0.0, **known)
        camera = model.Instrument(name="C", telescope=telescope, definition="0" * 64, **known)
        grid = model.GridTarget(
            name="G",
            object="large",
            ra=150.0,
            dec=2.0,
            pixel_scale=0.2,
            naxis1=SIDE,
            naxis2=SIDE,
            wcs=wcs.cards,
            **known,
        )
        size = {"naxis1": SIDE, "naxis2": SIDE}
        moment = {"date_obs": datetime(2026, 1, 1), "mjd_obs": 61041.0, "night": date(2026, 1, 1)}
        file = {"filename": stored.filename, "sha256": stored.sha256}
        coadd = model.Coadd(instrument=camera, grid_target=grid, object="large", wcs=wcs.cards, **size, **moment, **file, **known)  # fmt: skip
        session.add(coadd)
        session.commit()
        return {"object_id": coadd.object_id}


def _site(folder: Path) -> tuple[FlaskClient, int, Any]:
    """Return a client of the pages, the number of the image, and what must be kept alive."""
    place = folder / "pictures"
    server = start_data_server(place / "files")
    number = json.loads((place / "site.json").read_text())["object_id"]
    engine = create_engine(f"sqlite:///{place}/site.db")
    store = Store(server.address, place / "cache")
    settings = Settings(home=place / f"home{os.getpid()}")
    return create_app(settings, engine, store).test_client(), number, server


def cutout_awe(folder: Path, side: int, form: str, service: str = "imageview") -> Work:
    """A picture of another part of the image each time, with cuts of its own."""
    client, number, server = _site(folder)
    step = count(1)
    path = f"/imageview/{number}" if service == "imageview" else f"/cutouts/frame/{number}"

    def call() -> int:
        x, y = _place(next(step), side)
        answer = client.get(f"{path}.{form}?x={x}&y={y}&width={side}&height={side}")
        assert answer.status_code == 200, answer.text
        assert server.process is not None
        return len(answer.data)

    return Work(call, side * side / 1e6, "Mpix")


def _place(step: int, side: int) -> tuple[int, int]:
    """Return the middle of another part of the image for each step."""
    room = SIDE - side
    return side // 2 + 7919 * step % room, side // 2 + 6101 * step % room


def cutout_chain(folder: Path, side: int, form: str) -> Work:
    """The same by imcopy, stiff and convert, as the image server of 2008 had it."""
    place = folder / "pictures"
    cut, shown, picture = (place / f"cut.{suffix}" for suffix in ("fits", "tif", form))
    step = count(1)

    def call() -> int:
        x, y = _place(next(step), side)
        section = f"[{x - side // 2 + 1}:{x + side // 2},{y - side // 2 + 1}:{y + side // 2}]"
        cut.unlink(missing_ok=True)
        _run("imcopy", f"{place / NAME}{section}", str(cut))
        _run("stiff", str(cut), "-OUTFILE_NAME", str(shown), "-VERBOSE_TYPE", "QUIET", "-WRITE_XML", "N")
        _run("convert", str(shown), str(picture))
        return picture.stat().st_size

    return Work(call, side * side / 1e6, "Mpix", external=True)


def view_awe(folder: Path, kept: bool) -> Work:
    """The first view of the image in a viewer: the page, and all tiles that the screen shows, in a look nobody asked for.

    kept: the overview of the image was made before; else it is made, as when the first person looks at the image.
    """
    client, number, server = _site(folder)
    facts = client.get(f"/imageview/{number}.json").json
    zoom = min(length / SIDE for length in SCREEN)
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
            across = -(-SIDE // (TILE << level))
            for column in range(across):
                for row in range(across):
                    answer = client.get(f"/imageview/{number}/tiles/{look}/{level}/{column}_{row}.png")
                    assert answer.status_code == 200, answer.text
                    total += len(answer.data)
        return total

    return Work(call, SIDE * SIDE / 1e6, "Mpix")


def _forget(client: FlaskClient) -> None:
    folder = client.application.extensions["awe"].settings.cache_folder / "pictures"
    for path in folder.rglob("pyramid-*"):
        path.unlink()


def view_chain(folder: Path) -> Work:
    """The whole image as one picture, 8 times smaller, by stiff and convert."""
    place = folder / "pictures"
    shown, picture = place / "whole.tif", place / "whole.jpg"

    def call() -> int:
        options = ("-OUTFILE_NAME", str(shown), "-BINNING", "8", "-VERBOSE_TYPE", "QUIET", "-WRITE_XML", "N")
        _run("stiff", str(place / NAME), *options)
        _run("convert", str(shown), str(picture))
        return picture.stat().st_size

    return Work(call, SIDE * SIDE / 1e6, "Mpix", external=True)


def _run(name: str, *words: str) -> None:
    path = program(name)
    assert path is not None
    subprocess.run([path, *words], check=True, capture_output=True)  # noqa: S603


def whole_pillow(folder: Path) -> Work:
    """The same by a memory map, numpy and Pillow: mean of 8 x 8 pixels, percentile cuts, JPEG."""
    from PIL import Image

    path = folder / "pictures" / NAME

    def call() -> int:
        with fits.open(path, memmap=True) as hdus:
            blocks = hdus[0].data.reshape(SIDE // 8, 8, SIDE // 8, 8)
            image = np.concatenate([blocks[i : i + 100].mean((1, 3)) for i in range(0, SIDE // 8, 100)])
        low, high = np.percentile(image[::7, ::7], (0.25, 99.75))
        gray = (np.clip((image - low) / (high - low), 0, 1) * 255).astype(np.uint8)[::-1]
        buffer = io.BytesIO()
        Image.fromarray(gray).save(buffer, "JPEG", quality=90)
        return len(buffer.getvalue())

    return Work(call, SIDE * SIDE / 1e6, "Mpix")
