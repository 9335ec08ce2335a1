"""Commands that set the system up: init, upgrade, config, bench, completion."""

import os
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
from click.shell_completion import get_completion_class

from awe.cli.printing import plural, print_json, table
from awe.cli.workplace import Workplace, works
from awe.config import Settings, load_settings
from awe.database import check_exists, database_url, newest_revision, open_engine, revision, short_transaction
from awe.database import upgrade as upgrade_schema
from awe.errors import BadRequest
from awe.processing.tasks import register_processes


@click.command()
@works
def init(place: Workplace) -> None:
    """Create the home folder, the database and its tables.

    What exists already is kept, and brought up to date.

    \b
    Example: awe --home ~/survey init
    """
    said = prepare(place.settings)
    for sentence in said or ["everything is there already"]:
        click.echo(sentence)
    click.echo("next: awe ingest FILES")


def prepare(settings: Settings) -> list[str]:
    """Create what is missing of folder, database, tables and process catalogue; return what was done."""
    done = []
    if not settings.home.is_dir():
        settings.home.mkdir(parents=True)
        done.append(f"created {settings.home}")
    url = database_url(settings.database)
    if url.drivername == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    return done + _brought_up_to_date(settings)


def _brought_up_to_date(settings: Settings) -> list[str]:
    engine, done = open_engine(settings.database), []
    before, head = revision(engine), newest_revision()
    if before != head:
        upgrade_schema(engine)
        name = engine.url.render_as_string(hide_password=True)
        done.append(
            f"created the tables in {name}" if before is None else f"database {name}: schema {before} -> {head}"
        )
    with short_transaction(engine) as session:
        said = register_processes(session)
    if said and before is None:
        return [*done, f"registered {plural(len(said), 'task')}"]
    return done + said


@click.command()
@works
def upgrade(place: Workplace) -> None:
    """Bring database and process catalogue up to this version.

    \b
    Example: awe upgrade
    """
    check_exists(place.settings.database)
    for sentence in _brought_up_to_date(place.settings) or ["everything is up to date"]:
        click.echo(sentence)


@click.group()
def config() -> None:
    """Show the settings and where each comes from.

    \b
    Example: awe config show
    """


@config.command()
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@click.pass_context
def show(context: click.Context, as_json: bool) -> None:
    """Show each setting, its value, and where the value comes from.

    \b
    Example: awe config show --json
    """
    given = context.find_root().obj["given"]
    settings = load_settings(**given)
    rows = [(f.name, _public(f.name, getattr(settings, f.name)), _origin(f.name, given)) for f in fields(Settings)]
    if as_json:
        print_json({name: {"value": value, "from": origin} for name, value, origin in rows})
    else:
        click.echo(table(("setting", "value", "from"), rows))


def _public(name: str, value: Any) -> Any:
    if name == "database":
        return database_url(value).render_as_string(hide_password=True)
    if isinstance(value, Path):
        return "-" if value == Path() else str(value)
    return value


def _origin(name: str, given: dict[str, Any]) -> str:
    if name in given:
        return f"option --{name.replace('_', '-')}"
    if f"AWE_{name.upper()}" in os.environ:
        return f"environment AWE_{name.upper()}"
    path = Path(os.environ.get("AWE_CONFIG", "awe.toml"))
    if path.is_file() and name in tomllib.loads(path.read_text()):
        return str(path.absolute())
    return "default"


@click.command()
@click.argument("chapters", nargs=-1, metavar="[CHAPTER]...")
@click.option("--quick", is_flag=True, help="smaller frames, fewer repeats: some minutes")
@click.option("--json", "figures", type=click.Path(path_type=Path), metavar="FILE", help="write the figures as JSON")
@click.option("--write-docs", is_flag=True, help="write docs/benchmarks.md of a clone of the source")
@click.option(
    "--folder", type=click.Path(path_type=Path, exists=True, file_okay=False), help="where to work (default: /tmp)"
)
@click.option(
    "--night",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="raw frames for the chapters nights and survey",
)
@click.option("--catalogue", default="", metavar="FILE:FORM", help="reference catalogue for these")
def bench(
    chapters: tuple[str, ...], quick: bool, figures: Path | None, write_docs: bool, folder: Path | None,
    night: Path | None, catalogue: str,
) -> None:  # fmt: skip
    """Rate this machine: measure awe beside the programs that do the same.

    The chapters are kernels, compilation, coadds, chip, memory, plans, nights, survey, astrometry, system and images;
    each is printed as soon as it is there. No peer is needed: what is missing is said, with the package that has it.

    \b
    Example: awe bench kernels --quick        how fast this machine is, in a few minutes
             awe bench                        all, an hour
             awe bench --json figures.json    all, as numbers too
             awe bench nights --night DIR     from these raw frames to their source lists
             awe bench survey --night DIR --catalogue FILE:FORM
                                              the same for their largest coadd, beside other programs
    """
    from benchmarks.chapters import CHAPTERS
    from benchmarks.running import PAGE, run

    names = [chapter.name for chapter in CHAPTERS]
    for unknown in sorted(set(chapters) - set(names)):
        raise BadRequest(f"there is no chapter {unknown!r} of the benchmarks: choose from {', '.join(names)}")
    if write_docs and not PAGE.parent.is_dir():
        raise BadRequest(f"{PAGE.parent} is not there: --write-docs works in a clone of the source of awe only")
    if night is not None and not (chapters and {*chapters} <= {"nights", "survey"}):
        raise BadRequest("--night gives the raw frames for two chapters: awe bench nights survey --night DIR")
    if night is not None and write_docs:
        raise BadRequest("--write-docs is for the simulated nights: without --night")
    if catalogue and (night is None or not catalogue.rpartition(":")[0]):
        raise BadRequest(f"--catalogue FILE:FORM goes with --night, got {catalogue!r}")
    path, _, form = catalogue.rpartition(":")
    if catalogue and not Path(path).is_file():
        raise BadRequest(f"there is no catalogue {path}: give one as --catalogue FILE:FORM")
    if night is not None and "survey" in chapters and not catalogue:
        raise BadRequest("the chapter survey needs a reference catalogue for SCAMP: --catalogue FILE:FORM")
    run(chapters, quick, figures, write_docs, folder, night, f"{Path(path).absolute()}:{form}" if catalogue else "")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes awe commands in a shell.

    \b
    Example: eval "$(awe completion bash)"     (in ~/.bashrc)
    """
    from awe.cli import cli

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(cli, {}, "awe", "_AWE_COMPLETE").source())
