"""A data server keeps whole files under safe names, says why when it refuses, and survives what happens to it."""

import base64
import hashlib
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from awe.local import start_data_server

from .conftest import Answer, Client

CONTENT = bytes(range(256)) * 4096  # 1 MiB


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


def parts(client: Client) -> list[Path]:
    return list((client.server.folder / "incoming").iterdir())


def test_a_file_comes_back_as_it_was_stored(client: Client) -> None:
    assert client.put("back.fits", CONTENT).status == 201

    answer = client.get("/back.fits")

    assert answer.body == CONTENT
    assert answer.headers["ETag"] == f'"{sha256(CONTENT)}"'
    assert answer.headers["Content-Length"] == str(len(CONTENT))


def test_an_empty_file_is_a_file(client: Client) -> None:
    assert client.put("empty", b"").status == 201
    assert client.get("/empty").body == b""


def test_the_same_content_again_is_fine_and_other_content_is_a_conflict(client: Client) -> None:
    client.put("same.fits", b"first")

    assert client.put("same.fits", b"first").status == 200
    assert client.put("same.fits", b"first", X_Content_SHA256=sha256(b"first")).status == 200

    for headers in ({}, {"X_Content_SHA256": sha256(b"other")}):
        conflict = client.put("same.fits", b"other", **headers)
        assert conflict.status == 409
        assert "never overwritten" in conflict.error
    assert client.get("/same.fits").body == b"first"


@pytest.mark.parametrize("size", [5, 3_000_000])
def test_a_wrong_checksum_is_refused_and_nothing_is_kept(client: Client, size: int) -> None:
    answer = client.put("wrong.fits", b"x" * size, X_Content_SHA256=sha256(b"y"))

    assert answer.status == 422
    assert f"announced was {sha256(b'y')}" in answer.error
    assert client.get("/wrong.fits").status == 404
    assert parts(client) == []


def test_the_checksum_can_be_announced_as_in_rfc_9530(client: Client) -> None:
    digest = base64.b64encode(hashlib.sha256(b"abc").digest()).decode()

    assert client.put("rfc.fits", b"abd", Content_Digest=f"sha-256=:{digest}:").status == 422
    assert client.put("rfc.fits", b"abc", Content_Digest=f"sha-256=:{digest}:").status == 201


@pytest.mark.parametrize("announced", ["abc", "g" * 64])
def test_a_checksum_that_is_none_is_refused(client: Client, announced: str) -> None:
    answer = client.put("none.fits", b"abc", X_Content_SHA256=announced)

    assert (answer.status, "64 hexadecimal digits" in answer.error) == (400, True)


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("/../x", "contains /"),
        ("/%2e%2e%2fx", "contains /"),
        ("/%2e%2e", "starts with a dot"),
        ("/..%5cx", "contains / or \\"),
        ("/a/b", "contains /"),
        ("/a%2fb", "contains /"),
        ("/.hidden", "starts with a dot"),
        ("/a..b", "contains .."),
        ("/a%00b", "printable ASCII"),
        ("/a%0d%0ab", "printable ASCII"),
        ("/%C3%A9.fits", "printable ASCII"),
        ("/%ff", "UTF-8"),
        ("/x.fits.part", ".part"),
        ("/" + "x" * 201, "longer than 200"),
        ("/", "is empty"),
    ],
)
def test_names_that_leave_the_folder_or_hide_in_it_are_refused(client: Client, path: str, rule: str) -> None:
    before = sorted(client.server.folder.rglob("*"))

    answer = client.ask("PUT", path, b"content")

    assert answer.status == 400
    assert rule in answer.error
    assert sorted(client.server.folder.rglob("*")) == before


def test_a_name_may_hold_all_that_astro_wise_names_hold(client: Client) -> None:
    name = "Sci-WVRIEND-WFI-----%23842-ccd52-Red---Sci-54489.4573311-2000-01-01T08:57:15.410_3+a=b@c.fits"

    assert client.put(name, b"x").status == 201
    assert client.get(f"/{name}").body == b"x"


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=100-", 100, 1000), ("bytes=-10", 990, 1000), ("bytes=990-5000", 990, 1000)],
)
def test_a_range_gives_those_bytes(client: Client, asked: str, start: int, end: int) -> None:
    client.put("range.fits", CONTENT[:1000])

    answer = client.get("/range.fits", Range=asked)

    assert (answer.status, answer.body) == (206, CONTENT[start:end])
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/1000"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=1-2", "bytes=-", "bytes=x-"])
def test_a_range_that_is_not_understood_gives_the_whole_file(client: Client, asked: str) -> None:
    client.put("range.fits", CONTENT[:1000])

    assert client.get("/range.fits", Range=asked).body == CONTENT[:1000]


def test_a_range_beyond_the_end_is_refused_with_the_size(client: Client) -> None:
    client.put("range.fits", CONTENT[:1000])

    answer = client.get("/range.fits", Range="bytes=1000-")

    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */1000")


def test_a_range_of_another_content_gives_the_whole_file(client: Client) -> None:
    client.put("range.fits", CONTENT[:1000])

    assert client.get("/range.fits", Range="bytes=0-1", If_Range='"older"').body == CONTENT[:1000]


def test_what_the_client_has_is_not_sent_again(client: Client) -> None:
    client.put("known.fits", b"known")

    answer = client.get("/known.fits", If_None_Match=f'"older", W/"{sha256(b"known")}"')

    assert (answer.status, answer.body) == (304, b"")


def test_head_tells_size_and_checksum(client: Client) -> None:
    client.put("head.fits", b"12345")

    answer = client.ask("HEAD", "/head.fits")

    assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, "5", b"")
    assert answer.headers["X-Content-SHA256"] == sha256(b"12345")
    assert client.ask("HEAD", "/absent.fits").status == 404


def test_a_removed_file_is_kept_aside_and_its_name_is_free(own: Client) -> None:
    own.put("gone.fits", b"old")

    kept = own.server.folder / own.ask("DELETE", "/gone.fits").json["kept_as"]

    assert kept.read_bytes() == b"old"
    assert own.get("/gone.fits").status == 404
    assert own.ask("DELETE", "/gone.fits").status == 404
    assert own.get("/").json["files"] == 0
    assert own.put("gone.fits", b"new").status == 201


def test_the_status_counts_files_and_bytes(own: Client) -> None:
    for i in range(3):
        own.put(f"f{i}", b"x" * 10)

    status = own.get("/").json

    assert (status["files"], status["bytes"], status["name"]) == (3, 30, "files")
    assert status["free"] > 0


def test_the_list_comes_in_pages_by_name(own: Client) -> None:
    for i in (3, 1, 2):
        own.put(f"f{i}", b"x" * i)

    first = own.get("/?list&limit=2").json
    second = own.get(f"/?list&limit=2&after={first['next']}").json

    assert [file["name"] for file in first["files"] + second["files"]] == ["f1", "f2", "f3"]
    assert (first["files"][0]["sha256"], first["files"][0]["size"]) == (sha256(b"x"), 1)
    assert second["next"] is None
    assert own.get("/?list&limit=0").status == 400


def test_the_list_tells_what_is_there_right_after_a_start_without_inventory(tmp_path: Path) -> None:
    with start_data_server(tmp_path / "files") as server:
        own = Client(server)
        for i in range(40):
            own.put(f"f{i:02d}", bytes([i]) * 1_000_000)
    (tmp_path / "files" / "inventory.db").unlink()
    with start_data_server(tmp_path / "files") as server:
        listed = Client(server).get("/?list").json["files"]
    assert [file["name"] for file in listed] == [f"f{i:02d}" for i in range(40)]


def test_the_list_tells_no_file_that_was_taken_away_by_hand(own: Client) -> None:
    for name in ("f1", "f2", "f3"):
        own.put(name, b"x")
    next(own.server.folder.rglob("f2")).unlink()
    assert [file["name"] for file in own.get("/?list").json["files"]] == ["f1", "f3"]


def test_an_upload_without_length_is_refused(client: Client) -> None:
    with socket.create_connection(client.place, timeout=20) as connection:
        connection.sendall(b"PUT /chunked HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert b" 411 " in connection.recv(1000)


def test_a_refusal_comes_before_the_body_if_the_client_waits_for_it(client: Client) -> None:
    with socket.create_connection(client.place, timeout=20) as connection:
        head = b"PUT /.bad HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head)
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_two_uploads_of_one_name_at_once_leave_one_whole_file(own: Client) -> None:
    contents = [bytes([i]) * 2_000_000 for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        other = sorted(a.status for a in pool.map(lambda content: own.put("race.fits", content), contents))
        same = sorted(a.status for a in pool.map(lambda _: own.put("same.fits", contents[0]), range(4)))

    assert other == [201, 409, 409, 409]
    assert same == [200, 200, 200, 201]
    assert own.get("/race.fits").body in contents
    assert parts(own) == []


def test_a_connection_that_is_cut_leaves_nothing(own: Client) -> None:
    connection = own.begin_upload("cut.fits", CONTENT, len(CONTENT) // 2)
    assert within(5, lambda: bool(parts(own)))

    connection.close()

    assert within(5, lambda: not parts(own))
    assert own.get("/cut.fits").status == 404
    assert own.put("cut.fits", CONTENT).status == 201


@pytest.mark.parametrize("sent", [0, 1, len(CONTENT) // 2, len(CONTENT) - 1])
def test_a_server_killed_during_an_upload_leaves_nothing_visible(own: Client, sent: int) -> None:
    own.put("before.fits", b"before")
    with own.begin_upload("killed.fits", CONTENT, sent):
        assert within(5, lambda: bool(parts(own)))
        assert own.server.process is not None
        own.server.process.send_signal(signal.SIGKILL)
        own.server.process.wait()

    with start_data_server(own.server.folder) as server:
        again = Client(server)
        assert parts(again) == []
        assert [file["name"] for file in again.get("/?list").json["files"]] == ["before.fits"]
        assert again.get("/killed.fits").status == 404
        assert again.put("killed.fits", CONTENT).status == 201


def test_a_server_killed_at_any_moment_has_all_files_that_it_confirmed(tmp_path: Path) -> None:
    confirmed: list[str] = []
    for cycle in range(3):
        with start_data_server(tmp_path / "files") as server:
            process = server.process
            assert process is not None
            threading.Timer(0.15 + 0.1 * cycle, process.kill).start()
            for i in range(10_000):
                name = f"c{cycle}.{i}.fits"
                try:
                    status = Client(server).put(name, name.encode() * 1000).status
                except (OSError, http.client.HTTPException):
                    break
                assert status == 201
                confirmed.append(name)

    with start_data_server(tmp_path / "files") as server:
        client = Client(server)
        assert len(confirmed) > 10
        assert [name for name in confirmed if client.get(f"/{name}").body != name.encode() * 1000] == []
        assert within(10, lambda: client.get("/").json["files"] >= len(confirmed))


def test_a_full_disk_is_said_and_leaves_nothing(own: Client) -> None:
    assert own.server.process is not None
    resource.prlimit(own.server.process.pid, resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))

    answer = own.put("full.fits", CONTENT * 16)

    assert answer.status == 507
    assert "no room for full.fits" in answer.error
    assert own.get("/full.fits").status == 404
    assert parts(own) == []
    assert own.put("small.fits", CONTENT[:1000]).status == 201


def test_a_file_larger_than_the_disk_is_refused_before_it_is_sent(client: Client) -> None:
    answer = client.ask("PUT", "/huge", None, Content_Length=str(10**15), Expect="100-continue")

    assert (answer.status, "are free" in answer.error) == (507, True)


@pytest.mark.parametrize("lost", ["removed", "damaged"])
def test_the_inventory_is_rebuilt_from_the_files(tmp_path: Path, lost: str) -> None:
    with start_data_server(tmp_path) as server:
        Client(server).put("a.fits", b"a")
        Client(server).put("b.fits", b"b")
    inventory = tmp_path / "inventory.db"
    inventory.unlink()
    if lost == "damaged":
        inventory.write_bytes(b"this is not a database, " * 100)

    with start_data_server(tmp_path) as server:
        client = Client(server)
        assert client.get("/a.fits").headers["ETag"] == f'"{sha256(b"a")}"'
        assert within(5, lambda: client.get("/").json["files"] == 2)


def test_files_that_come_and_go_behind_the_server_are_noticed(tmp_path: Path) -> None:
    with start_data_server(tmp_path) as server:
        Client(server).put("stays.fits", b"a")
        Client(server).put("goes.fits", b"b")
        place = next((tmp_path / "files").rglob("stays.fits"))
        place.write_bytes(b"changed")
        assert Client(server).get("/stays.fits").headers["ETag"] == f'"{sha256(b"changed")}"'
    next((tmp_path / "files").rglob("goes.fits")).unlink()

    with start_data_server(tmp_path) as server:
        assert within(5, lambda: [f["name"] for f in Client(server).get("/?list").json["files"]] == ["stays.fits"])


@pytest.fixture
def guarded(tmp_path: Path) -> Path:
    return tmp_path / "token"


def test_who_writes_must_know_the_token(tmp_path: Path, guarded: Path) -> None:
    with start_data_server(tmp_path / "files", token_file=guarded) as server:
        client = Client(server)
        token = guarded.read_text().strip()
        answers: dict[str, Answer] = {
            given: client.put("t.fits", b"x", **({"Authorization": given} if given else {}))
            for given in ("", "Basic abc", "Bearer wrong", f"Bearer {token}")
        }

        assert [answer.status for answer in answers.values()] == [401, 401, 403, 201]
        assert "Authorization: Bearer" in answers[""].error
        assert client.ask("DELETE", "/t.fits").status == 401
        assert client.get("/t.fits").body == b"x"
    assert guarded.stat().st_mode & 0o777 == 0o600


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dataservers", *arguments], capture_output=True, text=True, timeout=20, check=False
    )


def test_a_token_that_others_can_read_is_refused(tmp_path: Path, guarded: Path) -> None:
    guarded.write_text("secret")
    guarded.chmod(0o644)

    ended = run("--folder", str(tmp_path / "files"), "--token-file", str(guarded))

    assert ended.returncode == 1
    assert f"chmod 600 {guarded}" in ended.stderr


def test_a_server_for_other_machines_needs_a_token(tmp_path: Path) -> None:
    ended = run("--folder", str(tmp_path), "--host", "0.0.0.0", "--port", "0")

    assert (ended.returncode, "--token-file" in ended.stderr) == (1, True)


def test_a_folder_is_served_by_one_process(own: Client) -> None:
    ended = run("--folder", str(own.server.folder), "--port", "0")

    assert ended.returncode == 3
    assert own.server.address in ended.stderr
    assert start_data_server(own.server.folder).address == own.server.address


def test_a_port_that_is_taken_is_said(own: Client, tmp_path: Path) -> None:
    ended = run("--folder", str(tmp_path / "other"), "--port", str(own.place[1]))

    assert ended.returncode == 1
    assert "Address already in use" in ended.stderr


def test_help_shows_examples() -> None:
    ended = run("--help")

    assert ended.returncode == 0
    assert "examples:" in ended.stdout


def test_sigterm_lets_a_running_upload_end(own: Client) -> None:
    assert own.server.process is not None
    with own.begin_upload("late.fits", CONTENT, 1000) as connection:
        assert within(5, lambda: bool(parts(own)))
        own.server.process.terminate()
        time.sleep(0.5)
        connection.sendall(CONTENT[1000:])
        assert connection.recv(1000).startswith(b"HTTP/1.1 201 ")

    assert own.server.process.wait(10) == 0
    with start_data_server(own.server.folder) as server:
        assert Client(server).get("/late.fits").body == CONTENT


def test_a_server_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys; from awe.local import start_data_server;"
        f"server = start_data_server(pathlib.Path({str(tmp_path)!r})); print(server.process.pid); sys.stdout.flush();"
        "os.kill(os.getpid(), 9)"
    )
    started = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)

    assert within(5, lambda: not is_running(int(started.stdout)))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_the_log_can_be_json(tmp_path: Path) -> None:
    with start_data_server(tmp_path, options=["--json-log"]) as server:
        Client(server).get("/absent.fits")
    lines = [json.loads(line) for line in (tmp_path / "server.log").read_text().splitlines()]

    asked = next(line for line in lines if "status" in line)
    assert (asked["method"], asked["path"], asked["status"]) == ("GET", "/absent.fits", 404)


def test_the_data_server_imports_nothing_of_awe() -> None:
    program = "import sys, dataservers.server; print([m for m in sys.modules if m.split('.')[0] == 'awe'])"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=os.getcwd(), timeout=30, check=False
    )

    assert ended.stdout.strip() == "[]"


def test_many_clients_at_once_are_served(client: Client) -> None:
    client.put("many.fits", CONTENT)
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda _: client.get("/many.fits").body == CONTENT, range(200)))

    assert answers == [True] * 200


def test_a_body_that_nobody_asked_for_is_not_taken_as_a_request(client: Client) -> None:
    with socket.create_connection(client.place, timeout=20) as connection:
        smuggled = b"DELETE /x HTTP/1.1\r\nHost: x\r\n\r\n"
        connection.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(smuggled)}\r\n\r\n".encode() + smuggled)
        answer = b""
        while piece := connection.recv(4096):
            answer += piece

    assert answer.count(b"HTTP/1.1 ") == 1


def test_one_connection_serves_many_requests(client: Client) -> None:
    connection = http.client.HTTPConnection(*client.place, timeout=20)
    for i in range(3):
        connection.request("PUT", f"/kept{i}.fits", b"x" * i, {"X-Content-SHA256": sha256(b"wrong")})
        assert connection.getresponse().read() != b""
        first = connection.sock
        connection.request("GET", f"/kept{i}.fits")
        assert connection.getresponse().read() != b""
        assert connection.sock is first
    connection.close()
