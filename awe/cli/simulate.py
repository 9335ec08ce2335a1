"""`awe simulate`: a night of known truth."""

from pathlib import Path
from typing import Any

import click

from awe.errors import BadRequest
from awe.simulation import PRESETS, Night, NightPlan, holds_night, load_night, simulate_night

_CHOICES = ("seed", "chips", "exposures", "biases", "twilights", "domes", "darks", "standards", "exptime", "seeing")


def _plan_options(command: Any) -> Any:
    known = NightPlan.__dataclass_fields__
    for name in reversed(_CHOICES):
        declared = known[name]
        command = click.option(
            f"--{name}",
            type=type(declared.default),
            metavar="N",
            help=f"{declared.metadata['doc']} [{declared.default}]",
        )(command)
    return command


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--size", type=click.Choice(list(PRESETS)), default="demo", show_default=True, help="ready-made sizes")
@click.option("--filters", metavar="NAMES", help="filters, separated by commas")
@_plan_options
def simulate(folder: Path, size: str, filters: str | None, **changes: Any) -> None:
    """Write the raw files of a simulated night.

    The raw files lie in FOLDER/raw; reference catalogue and truth beside it. The same seed gives the same files.
    What options change is a detail of the ready-made size: numbers in brackets are those of `demo`.

    \b
    Example: awe simulate /tmp/night --size small --exposures 5
             awe ingest /tmp/night/raw
             awe catalogue add /tmp/night/reference.fits --name simulated --form plain
    """
    given = {name: value for name, value in changes.items() if value is not None}
    if filters:
        given["filters"] = tuple(filters.split(","))
    night, is_new = observe(folder, size, given)
    click.echo(f"{'simulated' if is_new else 'already there:'} {night}")
    click.echo(f"raw files: {night.folder / 'raw'}\nreference catalogue: {night.reference_catalogue} (form plain)")


def observe(folder: Path, size: str, changes: dict[str, Any]) -> tuple[Night, bool]:
    """Return the night of a plan in a folder, and whether it was simulated now."""
    try:
        plan = NightPlan(**{**PRESETS[size].__dict__, **changes})
        if holds_night(folder, plan):
            return load_night(folder), False
        return simulate_night(folder, plan), True
    except (ValueError, FileExistsError, NotADirectoryError) as error:
        raise BadRequest(str(error)) from error
