"""Small raw files with headers like those of real instruments, for the tests."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from awe.instruments import load_definitions, read_exposure

Keywords = Mapping[str, Any]


def image_hdu(kind: type, nx: int, ny: int, keywords: Keywords) -> Any:
    """Return an HDU of nx x ny pixels with the given keywords; a keyword that is None is left out."""
    hdu = kind(np.zeros((ny, nx), np.int16))
    for keyword, value in keywords.items():
        if value is not None:
            hdu.header[f"HIERARCH {keyword}" if " " in keyword else keyword] = value
    return hdu


def write_single(path: Path, nx: int, ny: int, keywords: Keywords) -> Path:
    """Write a file with the image in the primary HDU."""
    image_hdu(fits.PrimaryHDU, nx, ny, keywords).writeto(path, checksum=True)
    return path


def write_mosaic(
    path: Path, keywords: Keywords, chips: list[tuple[int, int, Keywords]], kind: type = fits.ImageHDU
) -> Path:
    """Write a file with the exposure's keywords in an empty primary HDU, and an extension for each chip."""
    primary = fits.PrimaryHDU()
    for keyword, value in keywords.items():
        primary.header[keyword] = value
    hdus = fits.HDUList([primary, *(image_hdu(kind, *chip) for chip in chips)])
    hdus.writeto(path, checksum=True)
    return path


WCS = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 152.5656, "CRVAL2": -1.0106, "CRPIX1": 517.0,
    "CRPIX2": 488.25, "CD1_1": 6.688889e-05, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 6.688889e-05,
}  # fmt: skip

EFOSC2 = {
    "INSTRUME": "EFOSC", "OBJECT": "Q1010-0100", "EXPTIME": 180.0, "DATE-OBS": "2022-01-28T04:54:24.340",
    "RA": 152.5656, "DEC": -1.0106, "OBSERVER": "UNKNOWN", "ESO DPR CATG": "SCIENCE", "ESO DPR TECH": "IMAGE",
    "ESO DPR TYPE": "OBJECT", "ESO INS FILT1 NAME": "g#782", "ESO INS GRIS1 NAME": "Free", "ESO TEL AIRM START": 1.226,
    "ESO DET WIN1 BINX": 2, "ESO DET WIN1 BINY": 2, "ESO DET OUT1 CONAD": 1.1, "ESO DET OUT1 GAIN": 0.91,
    "ESO DET OUT1 RON": 7.8, "ESO OBS NAME": "Q1010-img", "ESO OBS START": "2022-01-28T04:51:31",
    "ESO OBS PROG ID": "108.22F6.001", **WCS,
}  # fmt: skip

NICKEL = {
    "INSTRUME": "Nickel Direct Camera", "OBSTYPE": "OBJECT", "OBJECT": "NGC_3982", "EXPTIME": 120,
    "DATE-BEG": "2024-05-13T04:50:25.62", "FILTNAM": "V", "AIRMASS": 1.05, "RA": "11:56:28.02", "DEC": "55:07:30.4",
    "DATASEC": "[1:1024,1:1024]", "GAIN": 1,
}  # fmt: skip

MEGACAM = {
    "INSTRUME": "MegaPrime", "DETECTOR": "MegaCam", "OBSTYPE": "OBJECT", "OBJECT": "D2", "EXPTIME": 360.0,
    "FILTER": "r.MP9601", "DATE-OBS": "2003-11-24", "UTC-OBS": "13:05:06.50", "MJD-OBS": 52967.545214, "AIRMASS": 1.1,
    "RA": "10:00:28.60", "DEC": "+02:12:21.0", "RUNID": "03BL03", "OBSERVER": "QSO Team",
}  # fmt: skip

SIMCAM = {
    "INSTRUME": "SIMCAM", "DETECTOR": "SIMCAM", "OBSTYPE": "OBJECT", "OBJECT": "field", "EXPTIME": 60.0, "FILTER": "g",
    "DATE-OBS": "2026-01-02T03:00:00.000", "AIRMASS": 1.2, "RA": 152.57, "DEC": -1.01, "PROGRAM": "SIM-001",
    "OBSBLOCK": "field-g",
}  # fmt: skip


def simcam_chip(number: int, nx: int = 64, ny: int = 48, **changes: Any) -> tuple[int, int, Keywords]:
    """Return an extension of the simulated camera: 16 columns of overscan behind nx columns of data."""
    keywords = {
        "EXTNAME": f"ccd{number}", "GAIN": 1.5, "RDNOISE": 4.5, "SATURATE": 60000, "DATASEC": f"[1:{nx},1:{ny}]",
        "BIASSEC": f"[{nx + 1}:{nx + 16},1:{ny}]", **WCS,
    }  # fmt: skip
    return nx + 16, ny, {**keywords, **changes}


def megacam_chip(number: int, **changes: Any) -> tuple[int, int, Keywords]:
    """Return an extension of MegaCam, with two amplifiers."""
    keywords = {
        "EXTNAME": f"ccd{number:02}", "DATASEC": "[33:2080,1:4612]", "BIASSEC": "[2081:2112,1:4644]",
        "BSECA": "[1:32,1:4644]", "BSECB": "[2081:2112,1:4644]", "DSECA": "[33:1056,1:4612]",
        "DSECB": "[1057:2080,1:4612]", "GAINA": 1.6, "GAINB": 1.7, "RDNOISEA": 4.0, "RDNOISEB": 4.4,
        "MAXLINA": 62000, "MAXLINB": 60000,
    }  # fmt: skip
    return 2112, 4644, {**keywords, **changes}


@pytest.fixture(scope="session")
def definitions():
    return load_definitions()


@pytest.fixture
def read(definitions):
    """Read a file as if it were the start of 2026-11-01."""
    return lambda path: read_exposure(path, definitions, now=datetime(2026, 11, 1))


@pytest.fixture
def efosc2(tmp_path):
    """Write an exposure of EFOSC2, with changes to its keywords (underscores stand for spaces)."""

    def write(nx: int = 1030, ny: int = 1030, name: str = "efosc2.fits", **changes: Any) -> Path:
        spelled = {keyword.replace("__", "-").replace("_", " "): value for keyword, value in changes.items()}
        spelled = {keyword.replace("CD1 1", "CD1_1"): value for keyword, value in spelled.items()}
        return write_single(tmp_path / name, nx, ny, {**EFOSC2, **spelled})

    return write


@pytest.fixture
def nickel(tmp_path):
    """Write an exposure of the Nickel camera, with changes to its keywords."""
    return lambda nx=1056, **changes: write_single(tmp_path / "nickel.fits", nx, 1024, {**NICKEL, **changes})


@pytest.fixture
def megacam(tmp_path):
    """Write a tile-compressed exposure of MegaCam of some chips; `chip` are changes to the keywords of each."""

    def write(numbers: range = range(36), chip: Keywords | None = None, **changes: Any) -> Path:
        chips = [megacam_chip(number, **(chip or {})) for number in numbers]
        keywords = {**MEGACAM, **{keyword.replace("_", "-"): value for keyword, value in changes.items()}}
        return write_mosaic(tmp_path / "megacam.fits.fz", keywords, chips, fits.CompImageHDU)

    return write


@pytest.fixture
def simcam(tmp_path):
    """Write an exposure of the simulated camera of four chips; `chip` are changes to the keywords of each."""

    def write(chip: Keywords | None = None, numbers: tuple[int, ...] = (1, 2, 3, 4), **changes: Any) -> Path:
        chips = [simcam_chip(number, **(chip or {})) for number in numbers]
        keywords = {**SIMCAM, **{keyword.replace("_", "-"): value for keyword, value in changes.items()}}
        return write_mosaic(tmp_path / "simcam.fits", keywords, chips)

    return write
