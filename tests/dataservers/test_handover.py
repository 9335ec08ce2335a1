"""A file that lies on the disk of a data server is taken over without a copy; only what is right is kept."""

import hashlib
import os
from pathlib import Path

import pytest

from awe.local import start_data_server
from dataservers.folder import FORGOTTEN
from tests.dataservers.conftest import Answer, Client

CONTENT = b"0123456789" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = f"{'0f' * 16}.handed"


@pytest.fixture
def place(own: Client) -> Path:
    return Path(own.get("/?handover").json["folder"])


def put(client: Client, sha256: str = SHA256, name: str = NAME) -> Answer:
    return client.put("t.fits", b"", X_Handed_Over=name, X_Content_SHA256=sha256)


def test_a_file_that_is_handed_over_is_kept_as_it_is(own: Client, place: Path) -> None:
    (place / NAME).write_bytes(CONTENT)
    inode = (place / NAME).stat().st_ino

    assert put(own).status == 201

    assert own.get("/t.fits").body == CONTENT
    kept = next((own.server.folder / "files").glob("*/t.fits")).stat()
    assert (kept.st_ino, kept.st_mode & 0o777) == (inode, 0o444)
    assert not any(place.iterdir())


def test_without_a_checksum_it_is_computed(own: Client, place: Path) -> None:
    (place / NAME).write_bytes(CONTENT)
    assert put(own, sha256="").json["sha256"] == SHA256


def test_a_file_of_another_checksum_is_refused_and_nothing_is_kept(own: Client, place: Path) -> None:
    (place / NAME).write_bytes(CONTENT + b"x")

    refused = put(own)

    assert refused.status == 422
    assert "arrived damaged" in refused.error
    assert own.get("/t.fits").status == 404
    assert not any(place.iterdir())


def test_another_content_under_a_known_name_is_a_conflict(own: Client, place: Path) -> None:
    own.put("t.fits", b"first")
    (place / NAME).write_bytes(CONTENT)

    assert put(own, sha256="").status == 409
    assert own.get("/t.fits").body == b"first"


def test_a_file_that_is_not_there_is_to_be_sent(own: Client) -> None:
    refused = put(own)
    assert refused.status == 422
    assert "send it" in refused.error


@pytest.mark.parametrize("make", ["symlink", "fifo", "folder"])
def test_only_a_plain_file_is_taken_over(own: Client, place: Path, tmp_path: Path, make: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)
    handed = place / NAME
    {"symlink": lambda: handed.symlink_to(secret), "fifo": lambda: os.mkfifo(handed), "folder": handed.mkdir}[make]()

    refused = put(own)

    assert (refused.status, own.get("/t.fits").status) == (422, 404)
    assert "send it" in refused.error
    assert secret.stat().st_mode & 0o777 != 0o444


@pytest.mark.parametrize("name", ["../inventory.db", "/etc/passwd", "x.handed", NAME + "/..", f"../incoming/{NAME}"])
def test_a_name_that_leaves_the_place_is_refused(own: Client, place: Path, name: str) -> None:
    (place / NAME).write_bytes(CONTENT)
    refused = put(own, name=name)
    assert refused.status == 400
    assert "32 hexadecimal digits" in refused.error


def test_a_file_is_either_handed_over_or_sent(own: Client, place: Path) -> None:
    (place / NAME).write_bytes(CONTENT)
    refused = own.put("t.fits", CONTENT, X_Handed_Over=NAME, X_Content_SHA256=SHA256)
    assert refused.status == 400


def test_the_place_is_told_to_those_who_may_write(tmp_path: Path) -> None:
    with start_data_server(tmp_path / "files", token_file=tmp_path / "token") as server:
        client = Client(server)
        assert client.get("/?handover").status == 401
        token = (tmp_path / "token").read_text().strip()
        told = client.get("/?handover", Authorization=f"Bearer {token}").json["folder"]
        assert Path(told).is_relative_to(tmp_path / "files")


def test_what_was_put_there_and_forgotten_is_cleared(own: Client, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the date of a change of the inode can't be set: the server of this test is the folder itself, its clock put on
    import dataservers.folder as module

    (place / NAME).write_bytes(CONTENT)
    own.get("/?handover")
    assert (place / NAME).exists()
    own.server.stop()
    folder = module.Folder(own.server.folder)
    assert not (place / NAME).exists()
    (place / NAME).write_bytes(CONTENT)
    now = module.time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + FORGOTTEN + 1)
    assert folder.place_to_hand_over() == place
    assert not (place / NAME).exists()
    folder.close()
