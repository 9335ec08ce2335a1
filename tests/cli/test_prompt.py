"""The prompt and notebooks: the same names, and what they do."""

import subprocess
import sys
from pathlib import Path

import pytest

import awe as package
from awe import prompt
from awe.errors import NotFound
from awe.model.persistent import concrete_classes

from .conftest import ROOT, Command


@pytest.fixture
def connected(own_home: Path) -> prompt.Context:
    """The names of the prompt, connected to a home folder with products."""
    return prompt.connect(home=own_home, workers=1)


def test_all_classes_and_functions_are_in_reach() -> None:
    names: dict[str, object] = {}
    exec("from awe import *", names)
    assert {c.__name__ for c in concrete_classes()} <= names.keys()
    assert {
        "context",
        "connect",
        "plan",
        "make",
        "why",
        "why_not",
        "tree",
        "find",
        "info",
        "judge",
        "get",
        "image",
        "rgb",
        "cutouts",
    } <= names.keys()
    assert set(package.__all__) <= set(dir(package))


def test_a_wrong_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'coadd'"):
        _ = package.coadd


def test_queries_plans_and_reasons(connected: prompt.Context, capsys: pytest.CaptureFixture[str]) -> None:
    query = (prompt.RawScienceFrame.filter.name == "r") & (prompt.RawScienceFrame.exptime > 100)
    assert len(query) == 6
    assert len(prompt.find("RawScienceFrame", "exptime > 1000")) == 0
    (coadd,) = prompt.find(prompt.Coadd)
    assert prompt.get(coadd.object_id) is coadd
    assert "is up to date. It was made because: there is no Coadd for SIM-A " in prompt.why(coadd)
    assert prompt.plan(prompt.Coadd, object="SIM-A").steps == []
    assert len(prompt.plan("Coadd", object="SIM-A", threshold=5).steps) == 1
    assert len(prompt.plan("Coadd", {prompt.BiasFrame: {"sigma_clip": 5}}).steps) > 10
    prompt.info(coadd)
    prompt.tree(coadd, depth=1)
    shown = capsys.readouterr().out
    assert "limiting_magnitude" in shown
    assert "regridded_frames: RegriddedFrame" in shown
    assert "<table>" in coadd._repr_html_()
    assert "<table>" in query._repr_html_()


def test_make_and_judge(connected: prompt.Context, capsys: pytest.CaptureFixture[str]) -> None:
    (old,) = prompt.find("Coadd")
    (new,) = prompt.make("Coadd", object="SIM-A", threshold=5)
    assert new.object_id > old.object_id
    assert new.parameters.threshold == 5.0
    prompt.judge(new, 0, "too hard a clip")
    assert "is flagged invalid (too hard a clip)" in prompt.why(new.object_id)


def test_an_unknown_number_is_told(connected: prompt.Context) -> None:
    with pytest.raises(NotFound, match="no object 999999"):
        prompt.get(999999)


def test_the_project_can_be_set(connected: prompt.Context) -> None:
    connected.set_project("KIDS")
    assert connected.project == "KIDS"
    assert len(prompt.find("Coadd").project_only()) == 0


def test_code_can_be_run(awe: Command, made_home: Path) -> None:
    assert (
        awe("--home", made_home, "prompt", "-c", "print(len(find('RawFrame')), context.project)").out == "22 default\n"
    )


@pytest.mark.parametrize("plain", [True, False])
def test_the_prompt_starts_with_and_without_ipython(plain: bool, made_home: Path, tmp_path: Path) -> None:
    if not plain:
        pytest.importorskip("IPython")
    words = [sys.executable, "-m", "awe.cli", "--home", str(made_home), "prompt", *(["--plain"] if plain else [])]
    done = subprocess.run(
        words,
        input="print('there are', len(find('RawFrame')))\nexit()\n",
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TERM": "dumb"},
        check=False,
    )
    assert "there are 22" in done.stdout
    assert "find(RawFrame" in done.stdout + done.stderr
