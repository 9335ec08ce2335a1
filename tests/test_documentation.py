"""What the documentation says is so: pages made from the code are fresh, names are there, commands parse, code runs."""

import ast
import inspect
import re
import runpy
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from sqlalchemy.orm import Session

from awe import model
from awe.cli import cli
from awe.cli.commands import COMMANDS
from awe.config import Settings
from awe.database import open_engine
from awe.instruments import load_definitions
from awe.kernels.flags import PixelFlag
from awe.model import reference_pages
from awe.model.persistent import concrete_classes
from awe.model.queries import connect_queries
from awe.processing import products, provenance
from awe.processing.ingest import Ingester
from awe.services import reference
from awe.simulation import PRESETS, simulate_night
from awe.store import Store

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TEXT = {path: path.read_text(encoding="utf-8") for path in DOCUMENTS}
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)


def blocks(path: Path, language: str) -> list[str]:
    """Return the code blocks of a language in a document."""
    return [body for name, body in _BLOCK.findall(path.read_text(encoding="utf-8")) if name == language]


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


PAGES = {**reference_pages.PAGES, **reference.PAGES}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_made_from_the_code_is_up_to_date(name: str) -> None:
    assert (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("path", DOCUMENTS, ids=names(DOCUMENTS))
def test_links_lead_to_files_and_headings_that_exist(path: Path) -> None:
    broken = []
    for link in re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", _BLOCK.sub("", TEXT[path])):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        found = (path.parent / target).resolve() if target else path
        if not found.exists() or (anchor and anchor not in headings(found)):
            broken.append(link)
    assert broken == []


def headings(path: Path) -> set[str]:
    """Return the anchors of the headings of a document."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_class_is_documented() -> None:
    written = headings(ROOT / "docs/reference/classes.md")
    assert [c.__name__ for c in concrete_classes() if c.__name__.lower() not in written] == []


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text()
    assert [f.name for f in fields(Settings) if f"`AWE_{f.name.upper()}`" not in page] == []


def test_every_command_is_documented() -> None:
    everything = "\n".join(TEXT.values())
    assert [name for name in COMMANDS if not re.search(rf"\bawe {name}\b", everything)] == []


def test_every_keyword_of_products_is_documented() -> None:
    page = (ROOT / "docs/reference/fits-headers.md").read_text()
    assert sorted(k for k in written_keywords() if f"`{k}`" not in page) == []


def written_keywords() -> set[str]:
    """Return the keywords in the source of the modules that write headers; a number at the end is i."""
    found = {keyword for keyword, _, _ in (*provenance._EXPOSURE, *provenance._MEASURED)}
    for node in ast.walk(ast.parse(inspect.getsource(provenance))):
        if isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple):
            found.add(keyword_of(node.value.elts[0]))
    found |= set(re.findall(r'header\["([A-Z-]+)"\]', inspect.getsource(products)))
    return {"HIERARCH AWE NAME" if k.startswith("HIERARCH AWE") else k for k in found if k}


def keyword_of(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "i" for part in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else ""


def test_every_bit_of_the_flag_map_is_documented() -> None:
    page = (ROOT / "docs/reference/fits-headers.md").read_text()
    assert [f.name for f in PixelFlag if f"{f.value} {str(f.name).lower().split('_')[0]}" not in page] == []


def console_lines() -> list[tuple[str, str]]:
    """Return (document, command) for each line that a reader may type."""
    found = []
    for path in DOCUMENTS:
        for block in blocks(path, "console"):
            found += [(path.name, line[2:]) for line in block.splitlines() if line.startswith("$ awe ")]
    return found


@pytest.mark.parametrize(("document", "line"), console_lines(), ids=[line for _, line in console_lines()])
def test_a_command_that_a_reader_may_type_exists_with_its_options(document: str, line: str) -> None:
    _, *words = shlex.split(line.replace("night/*.fits", "a.fits").replace("night/raw/*.fits", "a.fits"))
    parse(cli, "awe", words)


def parse(command: click.Command, name: str, words: list[str], parent: click.Context | None = None) -> None:
    """Parse the words of a command down to its last sub-command, without calling it."""
    with command.make_context(name, words, parent=parent) as context:
        if isinstance(command, click.Group):
            found, sub_command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
            assert sub_command is not None
            parse(sub_command, str(found), rest, context)


@pytest.mark.parametrize("path", DOCUMENTS, ids=names(DOCUMENTS))
def test_a_command_that_is_mentioned_exists(path: Path) -> None:
    mentioned = set(re.findall(r"`awe ([a-z][a-z-]*)", TEXT[path]))
    assert sorted(mentioned - set(COMMANDS)) == []


def test_a_make_target_that_is_mentioned_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    everything = "\n".join(TEXT.values())
    mentioned = set(re.findall(r"`make ([a-z]+)", everything)) | set(re.findall(r"^make ([a-z]+)", everything, re.M))
    assert sorted(mentioned - targets) == []


@pytest.fixture
def names_at_the_prompt() -> Iterator[dict[str, Any]]:
    """The classes, by name; queries are disconnected at the end."""
    yield {name: getattr(model, name) for name in model.__all__}
    connect_queries(None)


def test_the_python_of_the_readme_runs(names_at_the_prompt: dict[str, Any], tmp_path: Path, store: Store) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/awe.db")
    runpy.run_path(str(ROOT / "tests/web_world.py"))["build"](engine, store, tmp_path)
    run(blocks(ROOT / "README.md", "python"), engine, names_at_the_prompt)
    assert len(names_at_the_prompt["query"]) == 3


def test_the_python_of_the_tutorial_runs(
    names_at_the_prompt: dict[str, Any], tmp_path: Path, data_server: Any, store: Store
) -> None:
    night = simulate_night(tmp_path / "night", PRESETS["tiny"])
    engine = open_engine(f"sqlite:///{tmp_path}/awe.db")
    model.Base.metadata.create_all(engine)
    settings = Settings(home=tmp_path, data_server=data_server.address)
    reports = list(Ingester(engine, store, settings, load_definitions()).ingest(night.files))
    assert {report.verdict.value for report in reports} == {"ingested"}
    run(blocks(ROOT / "docs/tutorial.md", "python"), engine, names_at_the_prompt)
    assert len(names_at_the_prompt["query"]) == 6


def run(code: list[str], engine: Any, names: dict[str, Any]) -> None:
    """Execute blocks of code that query a database."""
    assert code
    with Session(engine) as session:
        connect_queries(lambda: session, "ann", "default")
        for block in code:
            exec(compile(block, "documentation", "exec"), names)
    engine.dispose()
