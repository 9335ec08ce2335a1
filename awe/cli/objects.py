"""`awe info` and `awe judge`: single objects."""

from typing import Any

import click
from sqlalchemy.orm import Session

from awe.cli.printing import plural, print_json
from awe.cli.workplace import Workplace, object_with, works
from awe.database import short_transaction
from awe.errors import BadRequest
from awe.model.access import Person
from awe.model.description import as_dict, as_text
from awe.model.judgement import flags_named
from awe.model.judgement import judge as record
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
@click.option("--comment", metavar="TEXT", help="what else there is to say, or the reason for --flags")
@click.option("--flags", metavar="NAMES", help="its quality flags from now on, such as few_inputs,no_sources or none")
@works
def judge(place: Workplace, numbers: tuple[int, ...], flags: str | None, comment: str | None, **given: str) -> None:
    """Judge objects and comment on them: valid, invalid, proposed, quality flags.

    It is kept who said what, and shown on the page of the object. Only the creator of an object and members of its
    project may judge it; anybody may comment.

    \b
    Example: awe judge 812 813 --invalid "satellite"
             awe judge 812 --flags noise_out_of_range --comment "stripes"
    """
    validities = dict(zip(("invalid", "valid", "propose"), Validity, strict=True))
    reasons = [(validities[name], reason) for name, reason in given.items() if reason is not None]
    texts = [text for text in (*(reason for _, reason in reasons), comment) if text is not None]
    if len(reasons) > 1 or len(texts) != 1 or not texts[0].strip():
        raise BadRequest(
            'give one of --valid, --invalid, --propose with a reason, such as --invalid "satellite", or a --comment'
        )
    validity = reasons[0][0] if reasons else None
    wanted = None if flags is None else flags_named([] if flags.lower() == "none" else flags.split(","))
    who = Person(place.settings.user, place.settings.project)
    with short_transaction(place.engine) as session:
        for number in dict.fromkeys(numbers):
            click.echo(_judged(session, object_with(session, number), who, texts[0], validity, wanted))


def _judged(session: Session, found: Any, who: Person, text: str, validity: Validity | None, flags: int | None) -> str:
    before = Validity(found.is_valid)
    said = record(session, found, who, text, None if validity is None else int(validity), flags)
    changes = [f"flags {entry.change}" for entry in said if entry.subject == "quality_flags"]
    if validity is None:
        return f"{found}: {', '.join(changes) or 'comment'} ({text})"
    count = len(descendants(session, Persistent, [found.object_id]))
    used = f"; {plural(count, 'product')} made from it" if count else ""
    change = validity.name.lower() if before is validity else f"{before.name.lower()} -> {validity.name.lower()}"
    return f"{found}: {', '.join([change, *changes])} ({text}){used}"
