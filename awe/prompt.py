"""The names of the `awe` prompt and of notebooks: all classes, and plan, make, why, find and their like."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from sqlalchemy.orm import Session

from awe import model
from awe.config import Settings, load_settings
from awe.database import open_checked
from awe.errors import BadRequest, MissingInput, NotFound
from awe.model import *  # noqa: F403  the classes are what people come for
from awe.model import judgement
from awe.model.access import Person
from awe.model.description import as_text, pages
from awe.model.filters import parse_filter
from awe.model.lineage import is_external, parameters_of
from awe.model.persistent import Persistent, persistent_class
from awe.model.queries import Query, connect_queries
from awe.processing import plan as planning
from awe.processing import requests, staleness
from awe.processing.engine import Outcome, execute, get_ready
from awe.processing.orders import Order
from awe.processing.worker import Result
from awe.services.image_client import ImageClient, form_of
from awe.services.lineage_graph import load_graph
from awe.services.pictures_by_address import Picture, Pictures
from awe.services.rgb_frames import frame_named, frames_of_target
from awe.services.table_asked import rows_asked, table_asked

_SELECTION = ("object", "filter", "chip", "instrument", "night", "frame", "grid", "source_lists")


class Context:
    """Settings, user, project and database session of this prompt."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._session: Session | None = None
        self._images: ImageClient | None = None

    @property
    def settings(self) -> Settings:
        """The settings; from the environment and awe.toml, unless `connect` was given others."""
        if self._settings is None:
            self._settings = load_settings()
        return self._settings

    @property
    def session(self) -> Session:
        """The database session; opened when it is first needed."""
        if self._session is None:
            self._session = Session(open_checked(self.settings.database), autoflush=False)
        return self._session

    @property
    def images(self) -> ImageClient:
        """What gets pictures from the web services; made when it is first needed."""
        if self._images is None:
            self._images = ImageClient(self.settings)
        return self._images

    @property
    def user(self) -> str:
        """Who works here."""
        return self.settings.user

    @property
    def project(self) -> str:
        """The project of new objects."""
        return self.settings.project

    def set_project(self, name: str) -> None:
        """Make new objects in another project."""
        self.connect(self.settings_with(project=name))

    def settings_with(self, **changed: Any) -> Settings:
        """Return the settings with some changed."""
        return Settings(**{**vars(self.settings), **changed})

    def connect(self, settings: Settings) -> None:
        """Use other settings from now on; an open session is kept if the database is the same."""
        if self._session is not None and self.settings.database != settings.database:
            self._session.close()
            self._session = None
        if self._images is not None:
            self._images.close()
            self._images = None
        self._settings = settings
        connect_queries(lambda: self.session, settings.user, settings.project)
        pages.set(f"http://{settings.host}:{settings.port}")

    def __repr__(self) -> str:
        return f"<user {self.user}, project {self.project}, home {self.settings.home}>"


context = Context()
connect_queries(lambda: context.session)


def connect(**settings: Any) -> Context:
    """Connect to a database: `connect(home="~/survey")`, or `connect(project="KIDS", database="postgresql://...")`."""
    context.connect(load_settings(**settings))
    _ = context.session
    return context


def _class(given: Any) -> Any:
    return persistent_class(given) if isinstance(given, str) else given


def get(number: int) -> Any:
    """Return the object with a number."""
    context.session.expire_all()
    found = context.session.get(Persistent, number)
    if found is None:
        raise NotFound(f"no object {number}: find(Class) lists those there are")
    return context.session.get(persistent_class(found.class_name), number)


def _object(given: Any) -> Any:
    return get(given) if isinstance(given, int) else given


def plan(cls: Any, parameters: dict[Any, dict[str, Any]] | None = None, **given: Any) -> Any:
    """Return what would be made: `plan(Coadd, object="M67", filter="g", threshold=3)`.

    Names that select are object, filter, chip, instrument, night, frame, grid, source_lists; all others are process
    parameters of the class. `parameters` are those of classes on the way: `{BiasFrame: {"sigma_clip": 5}}`.
    """
    context.session.expire_all()
    return _plan(context.session, _class(cls), parameters, given)


def _plan(session: Session, cls: Any, parameters: dict[Any, dict[str, Any]] | None, given: dict[str, Any]) -> Any:
    selection = {name: value for name, value in given.items() if name in _SELECTION}
    wish = {name: value for name, value in given.items() if name not in _SELECTION}
    others = {_class(c): parameters_of(_class(c), **values) for c, values in (parameters or {}).items()}
    wanted = requests.targets(session, cls, **selection)
    return planning.plan(session, wanted, others, parameters_of(cls, **wish) if wish else None)


def make(cls: Any, parameters: dict[Any, dict[str, Any]] | None = None, **given: Any) -> list[Any]:
    """Make what `plan` with the same arguments shows, and return the targets; what fails is told, with its reason."""
    get_ready(context.settings)
    with Session(context.session.get_bind(), autoflush=False) as session:
        ahead = _plan(session, _class(cls), parameters, given)
    context.session.rollback()  # no transaction stays open during the run
    there = [target.object_id for target in ahead.up_to_date]
    numbers = [step.number for step in ahead.steps if any(step.product is target for target in ahead.targets)]
    outcome = execute(ahead, context.session.get_bind(), context.settings, _tell)  # type: ignore[arg-type]
    _complain(outcome, ahead.impossible, bool(there))
    return [get(number) for number in [*there, *(outcome.made[n] for n in numbers if n in outcome.made)]]


def _tell(order: Order, result: Result | None, done: int, total: int) -> None:
    if result is not None:
        print(f"[{done}/{total}] {order.class_name} {result.object_id or 'failed'}  {order.subject}")


def _complain(outcome: Outcome, impossible: list[str], some: bool) -> None:
    reasons = [*impossible, *outcome.failed.values()]
    if reasons and not outcome.made and not some:
        raise MissingInput("; ".join(reasons[:3]))
    for reason in reasons:
        print(f"failed: {reason}")


def why(thing: Any) -> str:
    """Return why an object (or the one with this number) is stale, or that it is up to date; and why it was made."""
    found = _object(thing)
    reasons = staleness.why_stale(context.session, found)
    if is_external(found):
        return "; ".join(reasons) or staleness.external(found)
    state = f"{found} is stale: {'; '.join(reasons)}" if reasons else f"{found} is up to date"
    return f"{state}. It was made because: {found.job.reason}" if found.job else state


def why_not(calibration: Any, frame: Any) -> list[str]:
    """Return why a calibration is not used for a frame, and what is used instead."""
    return staleness.why_not(context.session, _object(calibration), _object(frame))


def tree(thing: Any, down: bool = False, depth: int | None = None) -> None:
    """Print what an object was made from, or with `down` what was made from it."""
    from awe.cli.lineage import Printer  # the commands are not needed for anything else

    graph = load_graph(context.session, thing if isinstance(thing, int) else thing.object_id, down)
    print("\n".join(Printer(graph, depth).lines()))


def find(cls: Any, condition: str = "object_id is not None") -> Query:
    """Return the objects of a class that fulfil a condition given as text: `find(RawFrame, 'exptime > 100')`."""
    return parse_filter(_class(cls), condition)


def table(of: Any, condition: str = "", columns: str = "", order_by: str = "") -> Any:
    """Return values of the objects of a class, or of the rows of a source or associate list, as an astropy Table.

    For instance `table(97, "MAG_AUTO < 20", columns="SID,RA,DEC,source_list.frame.filter.name", order_by="MAG_AUTO")`;
    `columns` are attributes with dots through links, by default those that the pages show; `-NAME` is descending.
    """
    asked = of.object_id if isinstance(of, Persistent) else of
    given = {"where": condition, "columns": columns, "sort": order_by}
    return table_asked(context.session, rows_asked(context.session, asked, given))


def info(thing: Any) -> None:
    """Print all about an object."""
    if isinstance(thing, Query):
        print(thing.info())
        return
    print(as_text(_object(thing)))


def judge(thing: Any, is_valid: int, reason: str) -> None:
    """Flag an object as invalid (0), valid (1) or proposed (2), with a reason."""
    if is_valid not in (0, 1, 2) or not reason:
        raise BadRequest("judge(object, 0 invalid | 1 valid | 2 proposed, reason)")
    judgement.judge(context.session, _object(thing), Person(context.user, context.project), reason, is_valid)
    context.session.commit()


def comment(thing: Any, text: str) -> None:
    """Comment on an object; its page shows who said what, and when."""
    judgement.judge(context.session, _object(thing), Person(context.user, context.project), text)
    context.session.commit()


def image(thing: Any, format: str = "png", token: str | None = None, **looks: Any) -> Picture:
    """Return a picture of a frame, given as object, number or file name: `image(12, stretch="asinh", fit=800)`.

    `format` is png, jpg, tif or fits; `looks` are the parameters of the address of the image service, such as
    cuts, cmap, bin, x, y, width, ra, dec, size. The result shows itself in a notebook, and has array, header (of FITS),
    timings, log and save(path).
    """
    form = form_of(format, ("png", "jpg", "tif", "fits"))
    return context.images.picture("imageview", f"/imageview/{_name_of(thing)}.{form}", looks, token)


def rgb(
    *frames: Any, target: Any = None, filters: Any = "", format: str = "png", token: str | None = None, **looks: Any
) -> Picture:
    """Return a colour picture of three frames, as objects, numbers or file names: `rgb(16, 18, 14, stretch=8, q=10)`.

    Or of the newest coadds of a grid target, given as object, number or name: `rgb(target="M67 EFOSC2",
    filters="i,r,g")`; without filters, the target must have three. `format` is png, jpg or tif; `looks` are the
    parameters of the colour service, such as mode, scale, balance, grid.
    """
    form = form_of(format, ("png", "jpg", "tif"))
    if target is None:
        numbers = _three(frames, filters)
    elif frames:
        raise BadRequest("give either a grid target or three frames")
    else:
        named = target if isinstance(target, str) else _number_of(target)
        listed = filters if isinstance(filters, str) else ",".join(f if isinstance(f, str) else f.name for f in filters)
        numbers = frames_of_target(context.session, str(named), listed)
    return context.images.picture("rgb", f"/rgb/{','.join(map(str, numbers))}.{form}", looks, token)


def _three(frames: tuple[Any, ...], filters: Any) -> tuple[int, ...]:
    """Return the numbers of three frames, red first."""
    if filters:
        raise BadRequest("filters are those of a grid target: give its name as target")
    if len(frames) != 3:
        raise BadRequest(f"a colour picture is of three frames, got {len(frames)}: red, green, blue, or target=NAME")
    return tuple(
        frame_named(context.session, thing, colour) if isinstance(thing, str) else _number_of(thing)
        for thing, colour in zip(frames, ("red", "green", "blue"), strict=True)
    )


def cutouts(
    source_list: Any,
    sids: Any = None,
    size: Any = None,
    format: str = "png",
    method: str | None = None,
    token: str | None = None,
    **looks: Any,
) -> Pictures:
    """Return cutouts of the sources of a list or of the members of associates.

    For instance `cutouts(97, sids="0:9", size="20arcsec")`. `sids` (of an associate list `aids`) are numbers or
    ranges such as 1:6,20; `format` is png, jpg or fits; `method` is where the pixels are cut out: auto, dataserver or
    imageserver. `looks` are further parameters of the cutout service. The result is a sequence that shows itself in a
    notebook, with timings, log and save(folder).
    """
    form = form_of(format, ("png", "jpg", "fits"))
    found = _object(source_list)
    if not isinstance(found, model.SourceList | model.AssociateList):
        raise BadRequest(f"cutouts are made of the sources of a SourceList or AssociateList, not of {found}")
    kind, numbers = ("sources", "sids") if isinstance(found, model.SourceList) else ("associates", "aids")
    given = looks | ({} if sids is None else {numbers: sids}) | {"size": size, "where": method}
    return context.images.cutouts(kind, found.object_id, form, given, token)


def _number_of(thing: Any) -> int:
    number = thing if isinstance(thing, int) else getattr(thing, "object_id", None)
    if not isinstance(number, int):
        raise BadRequest(f"a frame is given as object or number, not as {str(thing)[:60]!r}")
    return number


def _name_of(thing: Any) -> str:
    """Return what the image service knows a frame by: its number, or the name of its file."""
    return quote(thing.strip(), safe="") if isinstance(thing, str) else str(_number_of(thing))


_FUNCTIONS: tuple[Callable[..., Any], ...] = (
    comment,
    connect,
    cutouts,
    find,
    get,
    image,
    info,
    judge,
    make,
    plan,
    rgb,
    table,
    tree,
    why,
    why_not,
)
__all__ = ["context", *(f.__name__ for f in _FUNCTIONS), *model.__all__]  # noqa: PLE0604  names of functions


def banner() -> str:
    """Return what the prompt says at its start."""
    return (
        f"awe: {context!r}\n"
        "plan(Coadd, object='M67')  make(...)  find(RawFrame, 'exptime > 100')  get(12)  info(12)  tree(12)  why(12)\n"
        "tables: table(97, 'MAG_AUTO < 20', columns='SID,RA,DEC')\n"
        "pictures: image(12)  rgb(16, 18, 14)  cutouts(97, sids='0:9', size='20arcsec')\n"
        'queries: (RawScienceFrame.filter.name == "g") & (RawScienceFrame.exptime > 100)'
    )
