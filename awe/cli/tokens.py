"""`awe token`: who may judge and comment at the pages, and see what is not for all."""

import click
from sqlalchemy import select

from awe.cli.printing import print_json, table
from awe.cli.workplace import Workplace, works
from awe.database import short_transaction
from awe.model.access import AccessToken, issue_token, revoke_token
from awe.model.description import plain


@click.group()
def token() -> None:
    """Issue, list and revoke the tokens by which people sign in at the pages.

    \b
    Example: awe token add ann --project survey
    """


@token.command()
@click.argument("user")
@click.option("--project", default="", metavar="NAME", help="project whose objects it opens; without, only the user's")
@works
def add(place: Workplace, user: str, project: str) -> None:
    """Issue a token and print it; it is not kept, and is shown only this once.

    \b
    Example: awe token add ann --project survey
    """
    with short_transaction(place.engine) as session:
        issued, text = issue_token(session, user, project)
        said = str(issued)
    click.echo(text)
    place.say(f"{said}: keep it, it can't be shown again")


@token.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@works
def list_all(place: Workplace, as_json: bool) -> None:
    """List the tokens that were issued, and which were revoked.

    \b
    Example: awe token list
    """
    names = ("token_id", "user", "project", "created", "revoked")
    with place.session() as session:
        found = session.scalars(select(AccessToken).order_by(AccessToken.token_id)).all()
        rows = [[getattr(one, name) for name in names] for one in found]
    if as_json:
        print_json([{name: plain(value) for name, value in zip(names, row, strict=True)} for row in rows])
        return
    shown = [["-" if value in (None, "") else plain(value) for value in row] for row in rows]
    click.echo(table(("token", *names[1:]), shown) if rows else "no token: `awe token add USER` issues one")


@token.command()
@click.argument("numbers", metavar="TOKEN...", nargs=-1, required=True, type=int)
@works
def revoke(place: Workplace, numbers: tuple[int, ...]) -> None:
    """Take back tokens by their numbers; who signed in with them is signed out.

    \b
    Example: awe token revoke 3
    """
    with short_transaction(place.engine) as session:
        for number in dict.fromkeys(numbers):
            click.echo(f"{revoke_token(session, number)}: revoked")
