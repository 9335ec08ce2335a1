"""`awe demo`: from nothing to pages that can be clicked through, with a simulated night or with real frames."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import click
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from awe.cli.failures import FAILED
from awe.cli.ingest import summary
from awe.cli.interruption import gracefully
from awe.cli.printing import plural, seconds_shown, table
from awe.cli.progress import Progress, not_started
from awe.cli.serving import free_port, serve_pages
from awe.cli.setup import prepare
from awe.cli.simulate import observe
from awe.cli.workplace import Workplace, works
from awe.config import Settings, load_settings
from awe.errors import AweError, BadRequest
from awe.instruments import load_definitions
from awe.model.catalogue import AssociateList, SourceList
from awe.model.coadd import Coadd
from awe.model.ingested import Verdict
from awe.model.instrument import Instrument
from awe.model.lineage import Wanted
from awe.model.persistent import Persistent
from awe.model.raw import RawScienceFrame
from awe.processing.catalogues import add_catalogue
from awe.processing.engine import Outcome, execute, get_ready
from awe.processing.ingest import Ingester, find_files
from awe.processing.plan import Plan
from awe.processing.plan import plan as plan_of
from awe.processing.requests import targets
from awe.simulation import PRESETS
from awe.store import Store

TARGETS = (Coadd, SourceList, AssociateList)


@dataclass
class Demo:
    """The state of a demonstration, and the rows of its summary."""

    place: Workplace
    settings: Settings
    store: Store
    rows: list[tuple[str, int, int, int, str]] = field(default_factory=list)
    """Step, made, reused, failed, time."""

    def note(self, step: str, made: int, reused: int, failed: int, seconds: float) -> None:
        """Remember a row of the summary, and say it."""
        self.rows.append((step, made, reused, failed, f"{seconds:.1f}"))
        self.place.say(f"{step}: {_said(made, reused, failed)} in {seconds_shown(seconds)}")


def _said(made: int, reused: int, failed: int) -> str:
    parts = [f"{made} new", f"{reused} there already" if reused else "", f"{failed} failed" if failed else ""]
    return ", ".join(part for part in parts if part)


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="folder of real raw frames, instead of a simulated night")
@click.option("--catalogue", "catalogues", multiple=True, metavar="FILE:FORM", help="reference catalogue to add")
@click.option("--size", type=click.Choice(list(PRESETS)), default="demo", show_default=True, help="of the night")
@click.option("--no-serve", is_flag=True, help="end after the summary")
@click.option("--port", type=int, help="port of the web pages")
@works
def demo(
    place: Workplace, data: Path | None, catalogues: tuple[str, ...], size: str, no_serve: bool, port: int | None
) -> int:
    """Observe a simulated night, make all products, serve the pages.

    Everything lies in the home folder (.demo here, unless --home says otherwise); a second run reuses what is there.
    With --data, real raw frames are taken in instead.

    \b
    Example: awe demo
             awe --home /tmp/real demo --data ../shared/data/efosc2
    """
    start = time.monotonic()
    place = _own_place(place, port)
    if data is not None and not data.exists():
        raise BadRequest(f"no folder {data}")
    for sentence in prepare(place.settings):
        place.say(sentence)
    with place.connected() as (settings, store):
        state = Demo(place, settings, store)
        with _compiling(state):
            _take_in(state, data, catalogues, size)
        outcome = _make(state)
        click.echo(_summary(state, outcome, time.monotonic() - start))
        if not no_serve:
            serve_pages(replace(settings, port=free_port(settings)))
    return FAILED if outcome.failed else 0


@contextmanager
def _compiling(state: Demo) -> Iterator[None]:
    """Compile the kernels in a process of its own meanwhile; at the end wait for it."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "awe.kernels.compile_ahead"], stdout=subprocess.DEVNULL)
    try:
        yield
        waited = time.monotonic()
        process.wait()
        if time.monotonic() - waited > 1:
            state.place.say(
                f"kernels compiled in {seconds_shown(time.monotonic() - began)}; they are kept for next time"
            )
    finally:
        process.kill()
        process.wait()


def _own_place(place: Workplace, port: int | None) -> Workplace:
    """Return a workplace in .demo, unless a home was given."""
    given = click.get_current_context().find_root().obj["given"]
    is_default = "home" not in given and place.settings.home == Settings().home
    settings = load_settings(**given, home=".demo") if is_default else place.settings
    return Workplace(replace(settings, port=port) if port else settings, place.quiet)


def _take_in(state: Demo, data: Path | None, catalogues: Sequence[str], size: str) -> None:
    known = [_catalogue(text) for text in catalogues]
    if data is None:
        began = time.monotonic()
        night, is_new = observe(state.settings.home / "night", size, {})
        exposures = len(night.files)
        state.note("simulated exposures", exposures * is_new, exposures * (not is_new), 0, time.monotonic() - began)
        data, known = night.folder / "raw", [(night.reference_catalogue, "plain"), *known]
    for path, form in known:
        _add_catalogue(state, path, form)
    _ingest(state, data)


def _catalogue(text: str) -> tuple[Path, str]:
    path, colon, form = text.rpartition(":")
    if not colon:
        raise BadRequest(f"a catalogue is given as FILE:FORM, such as gaia.fits:gaia, got {text!r}")
    return Path(path), form


def _add_catalogue(state: Demo, path: Path, form: str) -> None:
    began = time.monotonic()
    name = path.name.partition(".")[0]
    _, is_new = add_catalogue(state.place.engine, state.store, state.settings, path, name, form)
    state.note(f"catalogue {name}", int(is_new), int(not is_new), 0, time.monotonic() - began)


def _ingest(state: Demo, data: Path) -> None:
    began = time.monotonic()
    extra = state.settings.instruments
    worker = Ingester(
        state.place.engine, state.store, state.settings, load_definitions(extra if extra != Path() else None)
    )
    paths = find_files([data])
    if not paths:
        raise BadRequest(f"no FITS file in {data}")
    reports = list(worker.ingest(paths))
    counts = Counter(report.verdict for report in reports)
    for report in reports:
        if report.verdict is Verdict.REFUSED:
            state.place.say(f"refused: {report.reason}")
    state.place.say(summary(counts))
    seconds = time.monotonic() - began
    state.note("ingested files", counts[Verdict.INGESTED], counts[Verdict.PRESENT], counts[Verdict.REFUSED], seconds)


def _make(state: Demo) -> Outcome:
    """Make coadds, source lists and associate lists of every target in every filter."""
    engine, place = state.place.engine, state.place
    get_ready(state.settings)
    with place.session() as session:
        before = _counts(session)
        plan = plan_everything(session)
        place.say(f"plan: {plural(len(plan.steps), 'step')}")
        for sentence in plan.impossible:
            place.say(f"can't be made: {sentence}")
    progress = Progress(quiet=place.quiet)
    with gracefully(engine, progress):
        outcome = execute(plan, engine, state.settings, progress)
    _note_classes(state, outcome, before)
    return outcome


def plan_everything(session: Session) -> Plan:
    """Return the plan for the coadds, source lists and associate lists of all targets."""
    wanted: list[Wanted] = []
    refused = []
    for instrument, target in _observed(session):
        try:
            for associated in targets(session, AssociateList, instrument=instrument, object=target):
                wanted.append(associated)
        except AweError as error:
            refused.append(f"{target}: {error}")
    plan = plan_of(session, wanted)
    if plan.impossible:  # a part that can't be made is no reason not to make the others
        plan = plan_of(session, [part for associated in wanted for part in _with_parts(associated)])
    plan.impossible += refused
    return plan


def _with_parts(associated: Wanted) -> list[Wanted]:
    """Return an associate list with its source lists and coadds: each is wanted even if another can't be made."""
    lists = associated.key["source_lists"]
    return [*(wanted.key["frame"] for wanted in lists), *lists, associated]


def _observed(session: Session) -> list[tuple[str, str]]:
    """Return (instrument, target) of all valid science frames."""
    query = select(RawScienceFrame.instrument_id, RawScienceFrame.object).where(RawScienceFrame.is_valid > 0)
    names = {i.object_id: i.name for i in session.scalars(select(Instrument)).unique()}
    return sorted({(names[number], target) for number, target in session.execute(query)})


def _counts(session: Session) -> dict[str, int]:
    query = select(Persistent.class_name, func.count()).where(Persistent.is_valid > 0).group_by(Persistent.class_name)
    return {row[0]: row[1] for row in session.execute(query)}


def _note_classes(state: Demo, outcome: Outcome, before: dict[str, int]) -> None:
    """Add a row for each class, in the order they were made; for one that was there, even if nothing was made."""
    from awe.cli.targets import make

    for name in make.list_commands(click.get_current_context()):
        own = [result for order, result in outcome.results if order.class_name == name]
        made = sum(result.object_id is not None and not result.found for result in own)
        failed = sum(result.object_id is None and not not_started(result) for result in own)
        if own or before.get(name):
            seconds = sum(result.seconds for result in own)
            state.rows.append((name, made, before.get(name, 0), failed, f"{seconds:.1f}"))


def _summary(state: Demo, outcome: Outcome, seconds: float) -> str:
    headers = ["step", "made", "reused", "failed", "time (s)"]
    keep = [0, 1, 2, *([3] if any(row[3] for row in state.rows) else []), 4]
    blocks = [table([headers[i] for i in keep], [[row[i] for i in keep] for row in state.rows])]
    reasons = [f"  {reason.splitlines()[0]}" for reason in outcome.failed.values()]
    if reasons:
        blocks.append("\n".join(["failed:", *reasons]))
    made = sum(row[1] for row in state.rows)
    reused = "all was there already" if not made else f"{plural(made, 'thing')} new"
    blocks.append(f"{reused}; {seconds_shown(seconds)} in all, on {plural(state.settings.workers, 'worker')}")
    blocks.append(_what_to_look_at(state))
    return "\n\n" + "\n\n".join(blocks)


def _what_to_look_at(state: Demo) -> str:
    awe = f"awe --home {_short(state.settings.home)}"
    with state.place.session() as session:
        found = [
            (cls.__name__, thing)
            for cls in TARGETS
            for thing in session.scalars(
                select(cls).where(cls.is_valid > 0).order_by(cls.object_id.desc()).limit(3)
            ).unique()
        ]
        lines = [f"  {awe} info {thing.object_id:<6}  {thing}" for _, thing in found]
        coadds = [thing for name, thing in found if name == "Coadd"]
        if coadds:
            lines += [f"  {awe} tree {coadds[0].object_id:<6}  what it was made from"]
            lines += [f"  {awe} why {coadds[0].object_id:<7}  why it was made"]
    return "\n".join(["look at:", *lines])


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
