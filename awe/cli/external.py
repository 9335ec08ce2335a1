"""Options of `awe ingest --as`: what is said of calibrated frames that were made elsewhere."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from awe.cli.workplace import Workplace
from awe.errors import BadRequest
from awe.processing.external import Ask
from awe.processing.external_facts import Stated
from awe.processing.external_pixels import WeightKind

CLASSES = ("Coadd", "RegriddedFrame", "ReducedFrame")

_OPTIONS = (
    click.option("--as", "class_name", type=click.Choice(CLASSES, False), help="frames made elsewhere, as this class"),
    click.option("--weight", metavar="FILE", help="weight map; {stem} stands for the name of the image; FILE[HDU]"),
    click.option(
        "--weight-kind",
        type=click.Choice([kind.value for kind in WeightKind]),
        help="what it holds: inverse variance (weight), that but for a factor (relative), variance or rms",
    ),
    click.option("--flags", metavar="FILE", help="flag map, not 0 where a pixel is bad; {stem}, FILE[HDU] as above"),
    click.option("--filter", metavar="NAME", help="filter, where the header does not tell it"),
    click.option("--instrument", metavar="NAME", help="camera, where the header does not tell it"),
    click.option("--zeropoint", metavar="MAG", help="magnitude of 1 unit of the pixels, or `unknown`"),
    click.option("--per-second", is_flag=True, help="the zeropoint given is that of 1 adu/s"),
    click.option("--unit", metavar="UNIT", help="unit of the pixels: adu, adu/s, electron, nJy, ..."),
    click.option("--date", metavar="UTC", help="when it was observed, where the header does not tell it"),
    click.option("--project", "own_project", metavar="NAME", help="project of the frames"),
)


def external_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for frames made elsewhere to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def stated_by(place: Workplace, given: dict[str, Any]) -> tuple[Stated | None, Workplace]:
    """Return what is said of frames made elsewhere, None for raw frames; and the workplace in their project."""
    given = {name: value for name, value in given.items() if value not in (None, False)}
    project = given.pop("own_project", None)
    if project is not None:
        place = Workplace(replace(place.settings, project=project), place.quiet)
    if "class_name" not in given:
        if given:
            option = next(iter(given)).replace("_", "-")
            raise BadRequest(f"--{option} is for calibrated frames made elsewhere: say which by --as Coadd")
        return None, place
    if "weight_kind" in given:
        given["weight_kind"] = WeightKind(given["weight_kind"])
    return Stated(**given), place


def asking() -> Ask | None:
    """Return what asks the user on a terminal; None where nobody can answer. Answers are proposed for the next file."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    before: dict[str, str] = {}

    def ask(option: str, missing: str) -> str:
        click.echo(missing, err=True)
        before[option] = click.prompt(option, default=before.get(option), err=True)
        return before[option]

    return ask
