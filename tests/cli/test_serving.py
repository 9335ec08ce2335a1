"""serve and demo: real servers that answer, and end by Ctrl-C."""

import re
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from .conftest import Command, start


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def address_in(process: Any) -> str:
    """Return the address that a server prints."""
    for line in process.stdout:
        if found := re.search(r"http://\S+", line):
            return found[0]
    raise AssertionError(process.stderr.read())


def patient_get(address: str) -> str:
    """Return a page, as soon as the server that announced its address listens."""
    for _ in range(50):
        with suppress(requests.ConnectionError):
            return requests.get(address, timeout=20).text
        time.sleep(0.1)
    raise AssertionError(f"{address} does not answer")


def interrupted(process: Any) -> int:
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    return int(process.returncode)


def test_the_pages_are_served_until_ctrl_c(made_home: Path) -> None:
    process = start(made_home, "serve", "--port", str(free_port()))
    address = address_in(process)
    assert "SIM-A" in patient_get(f"{address}/table/Coadd")
    assert interrupted(process) == 0


def test_a_data_server_is_served_until_ctrl_c(own_home: Path, awe: Command) -> None:
    process = start(own_home, "serve", "dataserver", "--port", "0")
    address = address_in(process)
    assert requests.get(address, timeout=20).json()["files"] > 20
    again = awe("--home", own_home, "serve", "dataserver")
    assert (again.code, "is being served already" in again.err) == (2, True)
    assert interrupted(process) == 0


def test_a_port_that_is_taken_is_told(awe: Command, made_home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = awe("--home", made_home, "serve", "--port", port)
    assert (result.code, f"port {port} of 127.0.0.1 is in use" in result.err) == (2, True)


@pytest.mark.slow
def test_a_demonstration_makes_all_and_a_second_one_reuses_it(awe: Command, tmp_path: Path) -> None:
    words = ("--home", tmp_path / "home", "demo", "--size", "tiny", "--no-serve")
    first, second = awe(*words), awe(*words)
    assert first.code == second.code == 0
    table = {line.split("  ")[0]: line.split()[-3:] for line in first.out.splitlines() if re.search(r"\d\.\d$", line)}
    assert table["Coadd"][:2] == ["1", "0"]
    assert table["AssociateList"][:2] == ["1", "0"]
    assert "look at:" in first.out
    assert "all was there already" in second.out


@pytest.mark.slow
@pytest.mark.real
def test_a_demonstration_with_real_frames(awe: Command, tmp_path: Path, real_data: Path) -> None:
    result = awe("--home", tmp_path / "home", "-q", "demo", "--data", real_data / "efosc2", "--no-serve")
    assert result.code == 0
    rows = {line.split("  ")[0]: line.split()[-3:] for line in result.out.splitlines() if re.search(r"\d\.\d$", line)}
    assert rows["Coadd"][0] == "2"
    assert rows["SourceList"][0] == "2"


def test_a_demonstration_of_a_folder_that_is_not_there_is_refused(awe: Command, tmp_path: Path) -> None:
    result = awe("--home", tmp_path / "home", "demo", "--data", "/nowhere")
    assert (result.code, "no folder /nowhere" in result.err) == (2, True)
