"""`awe info` and `awe judge`: single objects."""

import click
from sqlalchemy.orm import Session

from awe.cli.printing import plural, print_json
from awe.cli.workplace import Workplace, object_with, works
from awe.database import short_transaction
from awe.errors import BadRequest
from awe.model.description import as_dict, as_text
from awe.model.lineage import descendants
from awe.model.persistent import Persistent, Validity


@click.command()
@click.argument("numbers", metavar="ID...", nargs=-1, required=True, type=int)
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@works
def info(place: Workplace, numbers: tuple[int, ...], as_json: bool) -> None:
    """Show all about an object: values with units, parameters, inputs, history.

    \b
    Example: awe info 812
             awe info --json 812 813
    """
    with place.session() as session:
        found = [object_with(session, number) for number in numbers]
        if as_json:
            print_json(as_dict(found[0]) if len(found) == 1 else [as_dict(o) for o in found])
        else:
            click.echo("\n\n".join(as_text(o) for o in found))


@click.command()
@click.argument("numbers", metavar="ID...", nargs=-1, required=True, type=int)
@click.option("--valid", metavar="REASON", help="it is good")
@click.option("--invalid", metavar="REASON", help="it must not be used: what was made from it becomes stale")
@click.option("--propose", metavar="REASON", help="it is proposed for promotion")
@works
def judge(
    place: Workplace, numbers: tuple[int, ...], valid: str | None, invalid: str | None, propose: str | None
) -> None:
    """Flag objects as valid, invalid or proposed, with a reason.

    \b
    Example: awe judge 812 813 --invalid "satellite"
    """
    given = [(v, r) for v, r in zip(Validity, (invalid, valid, propose), strict=True) if r is not None]
    if len(given) != 1 or not given[0][1].strip():
        raise BadRequest('give one of --valid, --invalid, --propose with a reason, such as --invalid "satellite"')
    validity, reason = given[0]
    with short_transaction(place.engine) as session:
        for number in dict.fromkeys(numbers):
            click.echo(_judged(session, number, validity, reason))


def _judged(session: Session, number: int, validity: Validity, reason: str) -> str:
    found = object_with(session, number)
    before = Validity(found.is_valid)
    found.is_valid, found.judgement = int(validity), reason
    count = len(descendants(session, Persistent, [number]))
    used = f"; {plural(count, 'product')} made from it" if count else ""
    change = validity.name.lower() if before is validity else f"{before.name.lower()} -> {validity.name.lower()}"
    return f"{found}: {change} ({reason}){used}"
