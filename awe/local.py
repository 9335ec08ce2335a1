"""Start a data server on this machine, as a process of its own that ends with this one."""

import json
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from awe.errors import StoreUnavailable

START_SECONDS = 20.0
STOP_SECONDS = 15.0
FOLDER_BUSY = 3  # exit code of a data server that finds its folder served by another


@dataclass
class RunningDataServer:
    """A data server that answers at `address`; as a context it is stopped at the end."""

    address: str
    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def stop(self) -> None:
        """Let it end its requests and wait until it is gone; one that ran before is left alone."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        _close(self.process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_data_server(
    folder: Path, port: int = 0, host: str = "127.0.0.1", token_file: Path | None = None, options: Sequence[str] = ()
) -> RunningDataServer:
    """Start a data server and wait until it answers; port 0 is any free one. Its log is `server.log` in the folder.

    If the folder is being served already, that server is returned.
    """
    folder = Path(folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "dataservers", "--until-stdin-closes", "--folder", str(folder)]
    command += [
        "--host",
        host,
        "--port",
        str(port),
        *(["--token-file", str(token_file)] if token_file else []),
        *options,
    ]
    log = folder / "server.log"
    with open(log, "ab") as errors:
        # A session of its own: Ctrl-C is for the program that leads, which may still have files to store.
        process = subprocess.Popen(  # noqa: S603 - the command is ours
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    address = _first_line(process)
    if address:
        return RunningDataServer(address, folder, process)
    process.kill()
    _close(process)
    if process.wait() == FOLDER_BUSY:
        return RunningDataServer(_announced(folder), folder)
    said = log.read_text(errors="replace").strip().splitlines()[-1:] or [f"it said nothing for {START_SECONDS:g} s"]
    raise StoreUnavailable(f"the data server for {folder} did not start: {said[0]} (see {log})")


def _first_line(process: subprocess.Popen[bytes]) -> str:
    """Return the address that the server prints once it listens; empty if it ends or stays silent."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(START_SECONDS):
            return ""
    return process.stdout.readline().decode().strip()


def _announced(folder: Path) -> str:
    """Return the address that the server of this folder wrote down, as soon as it has."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        written = (folder / "server.json").read_text()
        if written.endswith("}"):
            return str(json.loads(written)["address"])
        time.sleep(0.05)
    raise StoreUnavailable(f"{folder} is held by a data server that does not say its address; stop it")


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
