"""`awe instrument`: what is known of instruments, and how files are read by it."""

from pathlib import Path

import click

from awe.cli.printing import print_json, table
from awe.cli.workplace import Workplace, works
from awe.errors import NotFound
from awe.instruments import InstrumentDefinition, as_table, explain, load_definitions
from awe.model.attributes import near_names


@click.group()
def instrument() -> None:
    """Show instruments, and how a file would be read.

    \b
    Example: awe instrument check frame.fits
    """


def _definitions(place: Workplace) -> dict[str, InstrumentDefinition]:
    folder = place.settings.instruments
    return load_definitions(folder if folder != Path() else None)


@instrument.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@works
def list_all(place: Workplace, as_json: bool) -> None:
    """List the instruments whose files can be read.

    \b
    Example: awe --instruments ~/my-instruments instrument list
    """
    found = _definitions(place).values()
    if as_json:
        print_json([{"name": d.name, "telescope": d.telescope.name, "chips": d.chip_names} for d in found])
        return
    rows = [(d.name, d.telescope.name, len(d.chip_names), d.description) for d in found]
    click.echo(table(("instrument", "telescope", "chips", "description"), rows))


@instrument.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@works
def check(place: Workplace, file: Path, as_json: bool) -> int:
    """Explain how a file would be read, keyword by keyword; the exit code is 10 if it would be refused.

    \b
    Example: awe instrument check frame.fits
    """
    findings = explain(file, _definitions(place))
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        click.echo(as_table(findings))
    return 10 if findings[-1].found == "refused" else 0


@instrument.command()
@click.argument("name")
@works
def show(place: Workplace, name: str) -> None:
    """Show what an instrument file says.

    \b
    Example: awe instrument show EFOSC2
    """
    known = {d.name.lower(): d for d in _definitions(place).values()}
    if name.lower() not in known:
        near = near_names(name, [d.name for d in known.values()]).replace("its attributes", "there are")
        raise NotFound(f"no instrument {name!r}; {near}")
    d = known[name.lower()]
    site = d.telescope
    rows = [
        ("instrument", d.name),
        ("description", d.description),
        ("telescope", f"{site.name}, longitude {site.longitude} deg, latitude {site.latitude} deg, {site.altitude} m"),
        ("chips", ", ".join(d.chip_names)),
        ("needs", ", ".join(d.calibration.required) or "no calibrations"),
        ("reach", ", ".join(f"{kind} {days:g} d" for kind, days in dict(d.calibration.days).items())),
        ("bands", ", ".join(f"{pattern} = {band}" for pattern, band in d.photometry.bands)),
        ("extinction", ", ".join(f"{band} {value:g} mag" for band, value in d.photometry.extinction)),
    ]
    for heading, text in rows:
        click.echo(f"{heading:12} {text or '-'}")
    click.echo("\nclass rules, the first that holds decides:")
    for rule in d.class_rules:
        click.echo(f"  {_words(rule)}")


def _words(rule: object) -> str:
    return ", ".join(f"{name}: {value}" for name, value in vars(rule).items() if value not in (None, (), ""))
