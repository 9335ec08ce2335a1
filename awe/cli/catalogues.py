"""`awe catalogue`: reference catalogues."""

from pathlib import Path

import click
from sqlalchemy import select

from awe.catalogues import forms
from awe.cli.printing import plural, print_json, table
from awe.cli.workplace import Workplace, works
from awe.model.description import as_dict
from awe.model.reference import ReferenceCatalogue
from awe.processing.catalogues import add_catalogue


@click.group()
def catalogue() -> None:
    """Add and list reference catalogues.

    \b
    Example: awe catalogue add gaia.fits --name gaia --form gaia
    """


@catalogue.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="name of the catalogue")
@click.option("--form", required=True, help=f"how the file is written: {', '.join(forms())}, or a .toml file of yours")
@click.option("--photometric-only", is_flag=True, help="its positions are not good enough for astrometry")
@works
def add(place: Workplace, file: Path, name: str, form: str, photometric_only: bool) -> None:
    """Add a catalogue of stars, for astrometry and photometry.

    \b
    Example: awe catalogue add landolt.dat --name landolt --form landolt --photometric-only
    """
    engine = place.engine
    with place.connected() as (settings, store):
        added, is_new = add_catalogue(engine, store, settings, file, name, form, astrometric=not photometric_only)
    bands = f", bands {', '.join(added.bands)}" if added.bands else ""
    what = f"{added} ({added.object_id}): {plural(added.rows, 'star')}{bands}"
    click.echo(f"added {what}" if is_new else f"already there: {what}")


@catalogue.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@works
def list_all(place: Workplace, as_json: bool) -> None:
    """List the catalogues.

    \b
    Example: awe catalogue list
    """
    with place.session() as session:
        found = list(session.scalars(select(ReferenceCatalogue).order_by(ReferenceCatalogue.object_id)).unique())
        if as_json:
            print_json([as_dict(c) for c in found])
            return
        headers = ("id", "name", "stars", "bands", "astrometry", "description")
        rows = [(c.object_id, c.name, c.rows, " ".join(c.bands), c.astrometric, c.description) for c in found]
        click.echo(table(headers, rows) if rows else "no catalogue yet: awe catalogue add FILE --name NAME --form FORM")
