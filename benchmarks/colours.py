"""Colour pictures of three large images: by the pages, by astropy and Pillow, by stiff and ImageMagick."""

import os
import subprocess
import time
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
from astropy.io import fits

from awe.config import Settings
from awe.database import open_engine, upgrade
from awe.instruments import load_definitions
from awe.kernels.wcs import tan
from awe.local import start_data_server
from awe.processing.external import ExternalIngester
from awe.processing.external_facts import Stated
from awe.processing.worker import open_store
from awe.services.app import create_app
from benchmarks import peers
from benchmarks.child import Work

SIDE = 4000
BANDS = "irg"
QUALITY = 90


def rgb_awe(folder: Path, turned: bool = False) -> Work:
    """A colour picture of three coadds as JPEG with its place on the sky, with another Q each time: none is kept.

    What is warm are the files in the cache of the image server and the levels of the sky. `turned`: the green one is
    of another grid, and regridded.
    """
    place = folder / ("turned" if turned else "colours")
    settings = Settings(home=place / "home")
    server = start_data_server(settings.data_folder)
    settings = replace(settings, data_server=server.address)
    engine, store = open_engine(settings.database), open_store(settings)
    upgrade(engine)
    taken = ExternalIngester(engine, store, settings, load_definitions(), stated=Stated(unit="adu", zeropoint="30"))
    reports = list(taken.ingest(_images(place, turned)))
    numbers = [number for report in reports for number in report.frames]
    if len(numbers) != len(BANDS):
        raise RuntimeError("; ".join(report.reason for report in reports))
    address = f"/rgb/{','.join(map(str, numbers))}.jpg"
    client, looks = create_app(settings, engine, store).test_client(), count(int.from_bytes(os.urandom(3), "big"))

    def call() -> int:
        assert server.process is not None  # it lives as long as the call
        answer = client.get(f"{address}?q=8.{next(looks):09}")
        assert answer.status_code == 200, answer.text
        return len(answer.data)

    return Work(call, len(BANDS) * SIDE * SIDE / 1e6, "Mpix")


def rgb_astropy(folder: Path) -> Work:
    """The same by astropy from local files, and Pillow; levels are given, not measured."""
    from astropy.visualization import make_lupton_rgb
    from PIL import Image

    paths = _images(folder / "peer", False)

    def call() -> int:
        red, green, blue = (fits.getdata(path) for path in paths)
        picture = make_lupton_rgb(red, green, blue, minimum=-2, stretch=15, Q=8)
        Image.fromarray(picture[::-1]).save(folder / "astropy.jpg", quality=QUALITY)
        return (folder / "astropy.jpg").stat().st_size

    return Work(call, len(BANDS) * SIDE * SIDE / 1e6, "Mpix")


def rgb_stiff(folder: Path) -> Work:
    """The same by stiff to TIFF, and ImageMagick to JPEG."""
    paths = _images(folder / "peer", False)
    stiff, convert = peers.program("stiff"), peers.program("magick", "convert")
    assert stiff is not None
    assert convert is not None
    words = [stiff, *map(str, paths), "-OUTFILE_NAME", "stiff.tif", "-VERBOSE_TYPE", "QUIET"]

    def call() -> int:
        subprocess.run(words, cwd=folder, check=True)  # noqa: S603
        subprocess.run([convert, "stiff.tif", "-quality", str(QUALITY), "stiff.jpg"], cwd=folder, check=True)  # noqa: S603
        return (folder / "stiff.jpg").stat().st_size

    return Work(call, len(BANDS) * SIDE * SIDE / 1e6, "Mpix", external=True)


def _images(place: Path, turned: bool) -> list[Path]:
    """Write coadds in three bands unless they are there: sky, and blobs of many colours."""
    place.mkdir(parents=True, exist_ok=True)
    return [_image(place / f"{band}.fits", band, turned and band == "r") for band in BANDS]


def _image(path: Path, band: str, turned: bool) -> Path:
    with suppress(FileExistsError), open(path, "xb"):
        rng = np.random.default_rng(ord(band))
        image = rng.normal(0, 1, (SIDE, SIDE)).astype(np.float32)
        stamp = np.exp(-((np.mgrid[-10:11, -10:11] ** 2).sum(0)) / 18).astype(np.float32)
        for x, y in np.random.default_rng(1).integers(20, SIDE - 20, (4000, 2)):
            image[y - 10 : y + 11, x - 10 : x + 11] += rng.uniform(5, 200) * stamp
        header = fits.Header()
        header.update(tan(150.0, 2.0, 0.2, SIDE, SIDE, rotation=5.0 if turned else 0.0).cards)
        header.update({"OBJECT": "Field", "INSTRUME": "WFX", "FILTER": band, "DATE-OBS": "2026-01-01T00:00:00"})
        fits.writeto(path, image, header, overwrite=True)
        os.utime(path, (time.time() - 3600,) * 2)  # as if it had been written long ago
    return path
