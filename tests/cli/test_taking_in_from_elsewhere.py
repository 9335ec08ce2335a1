"""ingest --as: calibrated frames made elsewhere, with what their headers lack said by options or at the terminal."""

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from awe.kernels.wcs import tan

from .conftest import ROOT, Command

SHAPE = (40, 60)


@pytest.fixture
def home(awe: Command, tmp_path: Path) -> Path:
    """An empty home folder."""
    assert awe("--home", tmp_path / "home", "init").code == 0
    return tmp_path / "home"


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A stack whose header tells neither the unit of its pixels nor their zeropoint, with a weight map beside it."""
    header = fits.Header()
    header.update(tan(30.0, 10.0, 0.2, SHAPE[1], SHAPE[0]).cards)
    header.update({"OBJECT": "A370", "INSTRUME": "WFX", "FILTER": "r", "DATE-OBS": "2024-01-01T03:00:00"})
    image = np.random.default_rng(3).normal(0, 2, SHAPE).astype(np.float32)
    for name, pixels in (("stack.fits", image), ("stack.weight.fits", np.full(SHAPE, 0.25, np.float32))):
        fits.writeto(tmp_path / name, pixels, header)
        os.utime(tmp_path / name, (time.time() - 3600,) * 2)
    return tmp_path / "stack.fits"


def test_what_the_header_lacks_must_be_said(awe: Command, home: Path, stack: Path) -> None:
    words = ("--home", home, "ingest", "--as", "Coadd", stack)
    without_unit, without_zeropoint = awe(*words), awe(*words, "--unit", "adu")

    assert without_unit.code != 0
    assert "say the unit of the pixels by --unit" in without_unit.out
    assert "say the magnitude of 1 adu by --zeropoint, or --zeropoint unknown" in without_zeropoint.out
    assert '"total": 0' in awe("--home", home, "find", "Coadd", "--json").out


def test_a_frame_with_its_weight_is_there_and_says_where_it_is_from(awe: Command, home: Path, stack: Path) -> None:
    said = ("--unit", "adu", "--zeropoint", "27.5", "--weight", "{stem}.weight.fits")
    taken = awe("--home", home, "ingest", "--as", "coadd", stack, *said)
    found = awe("--home", home, "find", "Coadd", "external", "--columns", "object_id,zeropoint,bunit", "--csv")

    assert taken.code == 0, taken.out
    assert "external Coadd, WFX, filter r, zeropoint 27.5000 mag for 1 adu (--zeropoint)" in taken.out
    number, zeropoint, unit = found.out.splitlines()[-1].split(",")
    assert (float(zeropoint), unit) == (27.5, "adu")
    assert "stack.fits, stack.weight.fits" in awe("--home", home, "why", number).out


def test_options_of_such_frames_are_not_for_raw_ones(awe: Command, home: Path, stack: Path) -> None:
    result = awe("--home", home, "ingest", stack, "--zeropoint", "27.5")

    assert result.code == 2
    assert "--zeropoint is for calibrated frames made elsewhere: say which by --as Coadd" in result.err


def test_on_a_terminal_it_is_asked_for(awe: Command, home: Path, stack: Path) -> None:
    command = [sys.executable, "-m", "awe.cli", "--home", str(home), "ingest", "--as", "Coadd", str(stack)]
    ours, theirs = pty.openpty()
    os.write(ours, b"adu\n26.25\n")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command,
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        timeout=120,
        check=True,
    )
    asked = os.read(ours, 10_000).decode()
    for end in (ours, theirs):
        os.close(end)

    assert "the header has no BUNIT" in asked
    assert "the header has no zeropoint" in asked
    assert "zeropoint 26.2500 mag for 1 adu" in done.stdout
