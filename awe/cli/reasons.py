"""`awe why` and `awe why-not`: reasons in sentences."""

from typing import Any

import click
from sqlalchemy.orm import Session

from awe.cli.printing import plural, print_json
from awe.cli.workplace import Workplace, object_with, works
from awe.model.description import plain
from awe.model.lineage import inputs, is_external
from awe.processing import staleness
from awe.processing.causes import making_again
from awe.processing.sentences import in_short


@click.command()
@click.argument("number", metavar="ID", type=int)
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@works
def why(place: Workplace, number: int, as_json: bool) -> None:
    """Say why an object was made, and whether it is up to date.

    \b
    Example: awe why 812
    """
    with place.session() as session:
        found = object_with(session, number)
        reasons = staleness.why_stale(session, found)
        if as_json:
            made = {"reason": found.job.reason if found.job else None, "process": str(found.process or "") or None}
            print_json(
                {"object_id": number, "label": str(found), "stale": bool(reasons), "reasons": reasons, "made": made}
            )
            return
        for line in [*_state(found, reasons), *_roots(session, found, reasons), *_origin(found)]:
            click.echo(line)


def _state(found: Any, reasons: list[str]) -> list[str]:
    if is_external(found):
        return reasons or [staleness.external(found)]
    if not reasons:
        return [f"{found} is {'up to date' if inputs(type(found)) else 'valid'}"]
    if not inputs(type(found)):
        return reasons
    return [f"{found} is stale:", *(f"  {reason}" for reason in in_short(reasons))]


def _roots(session: Session, found: Any, reasons: list[str]) -> list[str]:
    """Return what stands at the beginning of the reasons, and how much would be made again."""
    again = making_again(session, found, reasons)
    steps = [f"  to make it again takes {plural(again.steps, 'step')}"] if again.steps else []
    return [*(f"  the cause: {cause}" for cause in again.causes), *steps]


def _origin(found: Any) -> list[str]:
    when = f"{plain(found.creation_date)[:19]} by {found.creator}, project {found.project}"
    if found.job is None:
        name = getattr(found, "original_name", None) or getattr(found, "origin", None)
        remark = [f"  remark: {found.remark}"] if found.remark else []
        return [f"it was taken in {when}{f', from {name}' if name else ''}", *remark]
    said = [f"it was made {when}, by {found.process} (job {found.job.job_id})", f"  because: {found.job.reason}"]
    return [*said, f"  remark: {found.remark}"] if found.remark else said


@click.command(name="why-not")
@click.argument("calibration", type=int)
@click.argument("frame", type=int)
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@works
def why_not(place: Workplace, calibration: int, frame: int, as_json: bool) -> None:
    """Say why a calibration is not used for a frame.

    CALIBRATION and FRAME are numbers of objects. The failed conditions are named, and the nearest misses.

    \b
    Example: awe why-not 812 4711
    """
    with place.session() as session:
        said = staleness.why_not(session, object_with(session, calibration), object_with(session, frame))
    if as_json:
        print_json({"calibration": calibration, "frame": frame, "reasons": said})
        return
    click.echo("\n  ".join(said))
