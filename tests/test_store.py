"""Files go to the data server and come back whole; what can't be had is said with the way out."""

import errno
import http.server
import multiprocessing
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import awe.store
from awe.errors import BadFile, BadRequest, NotAllowed, NotFound, StoreUnavailable
from awe.file_cache import FileCache
from awe.fits_writing import write_image
from awe.local import RunningDataServer, start_data_server
from awe.store import Store, StoredFile

RNG = np.random.default_rng(3)
IMAGE = RNG.normal(100, 3, (70, 50)).astype(np.float32)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningDataServer]:
    with start_data_server(tmp_path / "files") as running:
        yield running


@pytest.fixture
def store(server: RunningDataServer, tmp_path: Path) -> Store:
    return Store(server.address, tmp_path / "cache")


@pytest.fixture
def elsewhere(server: RunningDataServer, tmp_path: Path) -> Store:
    """The same files, seen from a machine that has nothing cached."""
    return Store(server.address, tmp_path / "cache of another")


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    path = tmp_path / "frame.fits"
    write_image(path, {"IMAGE": IMAGE, "WEIGHT": 1 / IMAGE, "FLAGS": IMAGE > 103}, {"OBJECT": "Q1010"})
    return path


def test_a_file_comes_back_from_cache_and_server(store: Store, elsewhere: Store, frame: Path) -> None:
    stored = store.put(frame, "Sci-#1:2.fits")

    assert (stored.filename, stored.size) == ("Sci-#1:2.fits", frame.stat().st_size)
    for place in (store, elsewhere, elsewhere):
        assert place.retrieve("Sci-#1:2.fits", stored.sha256).read_bytes() == frame.read_bytes()
    assert store.find("Sci-#1:2.fits") == stored
    assert frame.exists()


@pytest.mark.parametrize("address", ["", "localhost:8001", "ftp://127.0.0.1", "http://", "/files"])
def test_what_is_no_address_of_a_server_is_refused_at_once(address: str, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="has an address such as"):
        Store(address, tmp_path)


def test_a_file_goes_by_its_own_name_unless_one_is_given(store: Store, frame: Path) -> None:
    assert store.put(frame).filename == "frame.fits"


def test_an_empty_file_can_be_stored(store: Store, elsewhere: Store, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    assert store.put(tmp_path / "empty").size == 0
    assert elsewhere.retrieve("empty").read_bytes() == b""


def test_storing_again_is_fine_and_other_content_is_refused(store: Store, frame: Path) -> None:
    first = store.put(frame)
    assert store.put(frame) == first
    frame.write_bytes(b"other")

    with pytest.raises(BadFile, match="files never change, choose another name"):
        store.put(frame)
    assert store.retrieve("frame.fits").read_bytes() != b"other"


def test_a_consumed_file_moves_into_the_cache(store: Store, frame: Path) -> None:
    store.put(frame, consume=True)

    assert not frame.exists()
    assert store.retrieve("frame.fits").exists()


def test_a_consumed_file_is_not_lost_if_it_can_not_be_stored(
    server: RunningDataServer, store: Store, frame: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awe.store, "PAUSE", 0.0)
    server.stop()

    with pytest.raises(StoreUnavailable):
        store.put(frame, consume=True)
    assert frame.exists()


def kept(server: RunningDataServer, filename: str) -> Path:
    """Return where the data server keeps a file."""
    return next((server.folder / "files").glob(f"*/{filename}"))


@pytest.mark.parametrize("consume", [True, False])
def test_a_data_server_on_the_same_disk_takes_a_file_over_without_a_copy(
    server: RunningDataServer, store: Store, elsewhere: Store, frame: Path, consume: bool
) -> None:
    content = frame.read_bytes()

    store.put(frame, "t.fits", consume=consume)

    assert store.retrieve("t.fits").samefile(kept(server, "t.fits"))
    assert elsewhere.retrieve("t.fits").read_bytes() == content
    assert consume or not frame.samefile(store.retrieve("t.fits"))
    assert not any((server.folder / "incoming").iterdir())


def test_a_file_on_another_disk_is_sent(
    server: RunningDataServer, store: Store, frame: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(awe.store.os, "link", refuse)
    store.put(frame, "t.fits")

    assert kept(server, "t.fits").read_bytes() == frame.read_bytes()
    assert not store.retrieve("t.fits").samefile(kept(server, "t.fits"))


def test_a_file_that_is_handed_over_at_a_wrong_place_is_sent(
    server: RunningDataServer, store: Store, frame: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(awe.store._places, server.address, tmp_path)

    store.put(frame, "t.fits")

    assert kept(server, "t.fits").read_bytes() == frame.read_bytes()
    assert not list(tmp_path.glob("*.handed"))
    assert server.address not in awe.store._places


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize(("plane", "expected"), [(None, IMAGE), ("WEIGHT", 1 / IMAGE), (2, IMAGE > 103)])
def test_a_section_is_that_part_of_the_plane(
    store: Store, elsewhere: Store, frame: Path, plane: Any, expected: np.ndarray, cached: bool
) -> None:
    store.put(frame)

    pixels = (store if cached else elsewhere).section("frame.fits", plane, 5, 25, 60, 70)

    np.testing.assert_array_equal(pixels, expected[60:70, 5:25])
    assert pixels.dtype == (np.uint8 if plane == 2 else np.float32)


def test_a_binned_section_has_the_means(store: Store, frame: Path) -> None:
    store.put(frame)

    pixels = store.section("frame.fits", None, 10, 30, 0, 70, binning=10)

    np.testing.assert_allclose(pixels, IMAGE[:, 10:30].reshape(7, 10, 2, 10).mean(axis=(1, 3)), rtol=1e-6)


@pytest.mark.parametrize("cached", [True, False])
def test_a_section_outside_is_refused_with_the_size(store: Store, elsewhere: Store, frame: Path, cached: bool) -> None:
    store.put(frame)

    with pytest.raises(BadRequest, match="50 x 70"):
        (store if cached else elsewhere).section("frame.fits", None, 0, 51, 0, 5)


def test_a_header_comes_without_the_file(elsewhere: Store, store: Store, frame: Path) -> None:
    store.put(frame)

    assert elsewhere.header("frame.fits")["OBJECT"] == "Q1010"
    assert elsewhere.header("frame.fits", 1)["EXTNAME"] == "WEIGHT"
    assert elsewhere.cache.find("frame.fits") is None


def test_all_files_are_listed(store: Store, tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"f{i}").write_bytes(b"x" * i)
        store.put(tmp_path / f"f{i}")

    assert [(file.filename, file.size) for file in store.list()] == [("f0", 0), ("f1", 1), ("f2", 2)]
    assert store.status()["files"] == 3


def test_a_deleted_file_is_gone_here_and_there(store: Store, frame: Path) -> None:
    store.put(frame)
    store.delete("frame.fits")

    assert not store.exists("frame.fits")
    with pytest.raises(NotFound, match=r"no file frame\.fits"):
        store.retrieve("frame.fits")


@pytest.mark.parametrize("ask", [Store.retrieve, Store.header, Store.delete])
def test_an_unknown_file_is_not_found(store: Store, ask: Any) -> None:
    with pytest.raises(NotFound, match=r"no file absent\.fits"):
        ask(store, "absent.fits")


def test_a_local_file_that_is_not_there_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"absent\.fits can't be read: No such file"):
        store.put(tmp_path / "absent.fits")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", ".x"])
def test_names_that_leave_the_folder_are_refused(store: Store, frame: Path, name: str) -> None:
    with pytest.raises(BadRequest):
        store.put(frame, name)
    with pytest.raises(BadRequest):
        store.retrieve(name)


def test_another_checksum_than_the_database_remembers_is_refused(store: Store, elsewhere: Store, frame: Path) -> None:
    store.put(frame)

    with pytest.raises(BadFile, match="the database remembers 000"):
        elsewhere.retrieve("frame.fits", "0" * 64)
    assert elsewhere.cache.find("frame.fits") is None


def test_a_server_that_is_down_is_said_with_the_way_out(
    tmp_path: Path, frame: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awe.store, "PAUSE", 0.01)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        store = Store(address, tmp_path / "cache")

        for ask in (
            lambda: store.put(frame),
            lambda: store.retrieve("x"),
            lambda: store.section("x", None, 0, 1, 0, 1),
        ):
            with pytest.raises(StoreUnavailable, match=rf"{address} can't be used: .*Connection refused.*awe serve"):
                ask()


def test_a_server_that_comes_back_is_found_again(
    store: Store, server: RunningDataServer, frame: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awe.store, "PAUSE", 0.5)  # 7.5 s in all: a start takes longer on a busy machine
    store.put(frame)
    port = int(server.address.rsplit(":", 1)[1])
    server.stop()
    with ThreadPoolExecutor(1) as pool:
        again = pool.submit(start_data_server, server.folder, port)

        assert store.exists("frame.fits")

    again.result().stop()


def test_a_token_is_sent_and_asked_for(tmp_path: Path, frame: Path) -> None:
    token = tmp_path / "token"
    with start_data_server(tmp_path / "files", token_file=token) as server:
        with pytest.raises(NotAllowed, match="token_file"):
            Store(server.address, tmp_path / "cache").put(frame)
        writer = Store(server.address, tmp_path / "cache", token=token.read_text().strip())
        assert writer.put(frame).filename == "frame.fits"
        assert "token" not in repr(writer)


@contextmanager
def unreliable(answers: list[bytes]) -> Iterator[str]:
    """A server that sends the given answers, one for each connection, and hangs up."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.close_connection = True
            self.wfile.write(answers.pop(0))

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=[0.05]).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nX-Content-SHA256: " + b"0" * 64 + b"\r\n\r\nhalf"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
SHA256 = b"a591a6d40bf420404a011733cfb7b190d62c65bf0bcda32b57b277d9ad9f146e"
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nX-Content-SHA256: " + SHA256 + b"\r\n\r\nHello World"
WRONG = WHOLE.replace(b"World", b"Earth")


CUT_PIXELS = b"HTTP/1.1 200 OK\r\nX-Pixels: uint8\r\nContent-Length: 4\r\n\r\nab"
FEW_PIXELS = CUT_PIXELS.replace(b"Length: 4", b"Length: 2")
ALL_PIXELS = CUT_PIXELS + b"cd"


def test_pixels_that_are_cut_or_put_off_are_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awe.store, "PAUSE", 0.01)
    with unreliable([CUT_PIXELS, BUSY, FEW_PIXELS, ALL_PIXELS]) as address:
        pixels = Store(address, tmp_path / "cache").section("x", None, 0, 2, 0, 2)

    assert pixels.tolist() == [[97, 98], [99, 100]]


def test_a_data_server_that_sends_no_plain_pixels_is_named(tmp_path: Path) -> None:
    with unreliable([WHOLE]) as address, pytest.raises(StoreUnavailable, match=f"{address} .*too old"):
        Store(address, tmp_path / "cache").section("x", None, 0, 2, 0, 2)


def test_a_download_that_is_cut_or_put_off_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awe.store, "PAUSE", 0.01)
    with unreliable([CUT, BUSY, b"", WHOLE]) as address:
        assert Store(address, tmp_path).retrieve("hello").read_bytes() == b"Hello World"


def test_a_download_that_is_cut_each_time_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awe.store, "PAUSE", 0.01)
    with unreliable([CUT] * awe.store.ATTEMPTS) as address:
        store = Store(address, tmp_path)
        with pytest.raises(StoreUnavailable, match="hello was cut off"):
            store.retrieve("hello")

    assert store.cache.find("hello") is None
    assert list((tmp_path / "incoming").iterdir()) == []


def test_a_download_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    with unreliable([WRONG]) as address, pytest.raises(BadFile, match="hello arrived damaged"):
        Store(address, tmp_path).retrieve("hello")


def fill(cache: FileCache, *names: str, size: int = 1000) -> None:
    for name in names:
        with cache.part(name) as part:
            part.write_bytes(b"x" * size)
        time.sleep(0.01)


def test_the_cache_keeps_to_its_size_and_drops_what_was_not_used_for_longest(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, 3000, keep_seconds=0)
    fill(cache, "a", "b", "c")
    cache.find("a")
    time.sleep(0.01)

    fill(cache, "d")

    assert [name for name in "abcd" if cache.find(name)] == ["a", "c", "d"]


def test_the_cache_never_drops_what_was_just_handed_out(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, 3000)

    fill(cache, *"abcdef")

    assert [name for name in "abcdef" if cache.find(name)] == list("abcdef")


def test_a_file_larger_than_the_cache_can_be_had(
    store: Store, server: RunningDataServer, frame: Path, tmp_path: Path
) -> None:
    store.put(frame)
    small = Store(server.address, tmp_path / "small cache", cache_bytes=10)

    assert small.retrieve("frame.fits").read_bytes() == frame.read_bytes()


def test_an_evicted_file_is_fetched_again(server: RunningDataServer, store: Store, frame: Path, tmp_path: Path) -> None:
    store.put(frame)
    small = Store(server.address, tmp_path / "small cache", cache_bytes=10, keep_seconds=0)

    for name in ("1", "2"):
        small.put(frame, name)

    assert small.cache.find("1") is None
    assert small.retrieve("1").read_bytes() == frame.read_bytes()
    assert small.cache.find("2") is None


def digest_of(store: Store, name: str) -> int:
    return len(store.retrieve(name).read_bytes())


def test_processes_and_threads_share_store_and_cache(
    elsewhere: Store, store: Store, tmp_path: Path, server: RunningDataServer
) -> None:
    for i in range(6):
        (tmp_path / f"f{i}").write_bytes(bytes([i]) * 500_000)
        store.put(tmp_path / f"f{i}")
    names = [f"f{i % 6}" for i in range(60)]

    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        sizes = list(pool.map(digest_of, [elsewhere] * 60, names))
    with ThreadPoolExecutor(8) as threads:
        sizes += list(threads.map(digest_of, [elsewhere] * 60, names))

    assert sizes == [500_000] * 120
    log = (server.folder / "server.log").read_text()
    assert [log.count(f"GET /f{i} 200") for i in range(6)] == [1] * 6


def test_a_store_can_be_pickled(store: Store, frame: Path) -> None:
    copy: Store = pickle.loads(pickle.dumps(store))

    assert copy.put(frame) == StoredFile("frame.fits", frame.stat().st_size, store.put(frame).sha256)


def test_a_server_that_can_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(StoreUnavailable, match=r"did not start: .*Address already in use"):
            start_data_server(tmp_path / "folder", taken.getsockname()[1])
