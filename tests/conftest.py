"""What all tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from awe.local import RunningDataServer, start_data_server
from awe.store import Store


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real frames, beside the project; the test is skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder} of real frames")
    return folder


@pytest.fixture(scope="module")
def data_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDataServer]:
    """A data server, a process of its own with an empty folder, shared by the tests of a module."""
    with start_data_server(tmp_path_factory.mktemp("data_server")) as server:
        yield server


@pytest.fixture
def store(data_server: RunningDataServer, tmp_path: Path) -> Store:
    """A client of the data server with an empty cache; use names of your own, files are never overwritten."""
    return Store(data_server.address, tmp_path / "cache")
