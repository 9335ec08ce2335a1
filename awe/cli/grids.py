"""`awe grid`: grid targets, the pixels on the sky that frames are regridded to."""

import click
from sqlalchemy import select

from awe.cli.printing import print_json, table
from awe.cli.workplace import Workplace, works
from awe.database import short_transaction
from awe.errors import BadRequest
from awe.kernels.sky_systems import AXES
from awe.model.description import as_dict
from awe.model.observation import GridTarget
from awe.model.raw import RawScienceFrame
from awe.processing.grids import lay_out


class Pair(click.ParamType):
    """Two numbers with a comma between."""

    def __init__(self, kind: type, what: str) -> None:
        self.kind, self.name = kind, what

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Return the two numbers."""
        if isinstance(value, tuple):
            return value
        try:
            first, second = (self.kind(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{self.name} are two numbers such as 150.1,2.2, not {value!r}", param, ctx)
        return first, second


@click.group()
def grid() -> None:
    """Lay out and list grid targets: the pixels on the sky that frames are regridded to.

    \b
    Example: awe grid add "M67 galactic" --object M67 --projection ZEA --system galactic
    """


@grid.command()
@click.argument("name")
@click.option("--object", "target", metavar="NAME", help="target whose exposures it is for; default: all that overlap")
@click.option("--projection", default="TAN", show_default=True, metavar="CODE", help="of FITS: TAN, ZEA, CAR, AIT ...")
@click.option(
    "--system", type=click.Choice(list(AXES)), default="equatorial", show_default=True, help="whose north is up"
)
@click.option("--centre", type=Pair(float, "RA,DEC"), metavar="RA,DEC", help="degrees; by default that of the frames")
@click.option("--scale", type=click.FloatRange(min=0, min_open=True), metavar="ARCSEC", help="size of a pixel")
@click.option("--size", type=Pair(int, "NX,NY"), metavar="NX,NY", help="by default all frames of the target fit in")
@works
def add(
    place: Workplace, name: str, target: str | None, projection: str, system: str,
    centre: tuple[float, float] | None, scale: float | None, size: tuple[int, int] | None,
) -> None:  # fmt: skip
    """Lay out a grid target; what is not given follows from the exposures of the target.

    \b
    Example: awe grid add "M67 wide" --object M67 --scale 0.5
             awe grid add field --centre 150.1,2.2 --scale 0.2 --size 8000,6000 --projection CAR
    """
    with short_transaction(place.engine) as session:
        if session.scalars(select(GridTarget.object_id).where(GridTarget.name == name)).first() is not None:
            raise BadRequest(f"there is a grid target {name!r} already; products may lie on it, so choose another name")
        query = select(RawScienceFrame).where(RawScienceFrame.object == target, RawScienceFrame.is_valid > 0)
        raws = list(session.scalars(query).unique()) if target is not None else []
        if target is not None and not raws:
            raise BadRequest(f"there is no valid science exposure of {target!r}: `awe find RawScienceFrame` lists all")
        added = lay_out(name, raws, projection, system, centre, scale, size)
        added.creator, added.project = place.settings.user, place.settings.project
        session.add(added)
        session.flush()
        click.echo(f'added {added} ({added.object_id}): {added.naxis1} x {added.naxis2} pixels of {added.pixel_scale}"')


@grid.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@works
def list_all(place: Workplace, as_json: bool) -> None:
    """List the grid targets.

    \b
    Example: awe grid list
    """
    with place.session() as session:
        found = list(session.scalars(select(GridTarget).order_by(GridTarget.object_id)).unique())
        if as_json:
            print_json([as_dict(target) for target in found])
            return
        headers = ("id", "name", "object", "projection", "ra", "dec", "scale", "pixels")
        rows = [
            (t.object_id, t.name, t.object, t.wcs["CTYPE1"], f"{t.ra:.5f}", f"{t.dec:.5f}", t.pixel_scale,
             f"{t.naxis1} x {t.naxis2}")
            for t in found
        ]  # fmt: skip
        click.echo(table(headers, rows) if rows else "no grid target yet: awe grid add NAME --object NAME")
