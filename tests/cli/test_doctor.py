"""doctor: what is left over or damaged is found, and repaired where that can be."""

import json
from pathlib import Path

from sqlalchemy import select, update

from awe.database import open_engine, short_transaction
from awe.local import start_data_server
from awe.model.persistent import Job, Persistent
from awe.store import Store

from .conftest import Command


def test_a_healthy_home_has_no_finding(awe: Command, own_home: Path) -> None:
    result = awe("--home", own_home, "doctor", "--all", "--deep")
    assert (result.code, result.out.startswith("all is well")) == (0, True)


def test_a_job_whose_process_is_gone_is_marked_as_lost(awe: Command, own_home: Path) -> None:
    engine = open_engine(f"sqlite:///{own_home / 'awe.db'}")
    with short_transaction(engine) as session:
        session.execute(update(Job).where(Job.job_id == 1).values(state="running", pid=2**22 + 1, claim="x"))
    found = awe("--home", own_home, "doctor")
    assert found.code == 9
    assert "jobs:" in found.out
    assert "its process 4194305" in found.out
    assert "1 left" in found.out
    assert "marked as lost" in awe("--home", own_home, "doctor", "--repair").out
    with short_transaction(engine) as session:
        assert session.get_one(Job, 1).state == "lost"
    engine.dispose()


def test_scratch_of_a_dead_process_is_removed(awe: Command, own_home: Path) -> None:
    scratch = own_home / "cache" / "work" / str(2**22 + 1)
    scratch.mkdir(parents=True)
    assert awe("--home", own_home, "doctor").code == 9
    assert awe("--home", own_home, "doctor", "--repair").code == 0
    assert not scratch.exists()


def test_a_file_of_no_object_is_put_aside_once_it_is_old_enough(awe: Command, own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "stray.fits").write_bytes(b"x" * 10)
    with start_data_server(own_home / "files") as server:
        Store(server.address, tmp_path / "cache").put(tmp_path / "stray.fits")
    assert awe("--home", own_home, "doctor").code == 0
    found = json.loads(awe("--home", own_home, "doctor", "--all", "--json").out)
    assert [(f["subject"], f["repaired"]) for f in found] == [("files", False)]
    assert "belongs to no object" in found[0]["text"]
    assert "put aside" in awe("--home", own_home, "doctor", "--all", "--repair").out
    assert awe("--home", own_home, "doctor", "--all").code == 0


def test_a_product_whose_file_is_lost_is_judged_invalid_and_made_again(awe: Command, own_home: Path) -> None:
    engine = open_engine(f"sqlite:///{own_home / 'awe.db'}")
    with short_transaction(engine) as session:
        number = session.scalars(select(Persistent.object_id).where(Persistent.class_name == "Coadd")).one()
    engine.dispose()
    (lost,) = (own_home / "files" / "files").rglob("*-Coadd-*")
    lost.unlink()
    found = awe("--home", own_home, "doctor")
    assert f"Coadd {number}: its file" in found.out
    assert "is not on the data server" in found.out
    assert "judged invalid" in awe("--home", own_home, "doctor", "--repair").out
    assert awe("--home", own_home, "-q", "make", "Coadd").code == 0
    assert awe("--home", own_home, "doctor").code == 0


def test_a_raw_frame_whose_file_changed_needs_a_person(awe: Command, own_home: Path) -> None:
    damaged = min((own_home / "files" / "files").rglob("Raw-*"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    result = awe("--home", own_home, "doctor", "--repair")
    assert result.code == 9
    assert "put the file back from a copy" in result.out


def test_a_changed_process_catalogue_is_told(awe: Command, own_home: Path) -> None:
    engine = open_engine(f"sqlite:///{own_home / 'awe.db'}")
    with short_transaction(engine) as session:
        session.execute(update(Persistent.__mapper__.relationships["process"].mapper.class_).values(code_hash="x"))
    engine.dispose()
    assert "changed without a new version" in awe("--home", own_home, "doctor").out
    assert awe("--home", own_home, "doctor", "--repair").code == 0
    assert awe("--home", own_home, "doctor").code == 0
