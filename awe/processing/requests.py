"""What users ask for, in their own words (object, filter, night, chip), as wanted products."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from awe.errors import BadRequest, NotFound
from awe.model.catalogue import AssociateList, SourceList
from awe.model.coadd import Coadd, RegriddedFrame
from awe.model.frame import Calibration, Frame
from awe.model.instrument import Filter, Instrument
from awe.model.lineage import Wanted, inputs, is_external
from awe.model.night import night_bounds
from awe.model.observation import GridTarget
from awe.model.persistent import Persistent
from awe.model.psf import PsfModel
from awe.model.queries import select_named
from awe.model.raw import RawFrame, RawScienceFrame
from awe.model.science import ReducedFrame
from awe.processing.grids import lay_out, other_pixels
from awe.processing.tasks import task_for


def targets(session: Session, cls: Any, **named: Any) -> list[Wanted]:
    """Return the products of a class that a selection of raw frames gives.

    `named` are attributes of raw frames (object, filter, chip, instrument, night) as `select` takes them, or
    `frame` (an object number) for products of one frame, or `source_lists` (numbers) for an associate list. For source
    lists `detect_on` (an object number) names the image on which the sources are detected.
    """
    task_for(cls)
    named = {name: value for name, value in named.items() if value is not None}
    detection = named.pop("detect_on", None)
    found = _selected(session, cls, named)
    return found if detection is None else _detected_on(session, found, detection)


def _selected(session: Session, cls: Any, named: dict[str, Any]) -> list[Wanted]:
    if "source_lists" in named:
        return [
            Wanted(AssociateList, {"source_lists": [_by_id(session, SourceList, n) for n in named["source_lists"]]})
        ]
    if "frame" in named:
        return [_of_frame(session, cls, named["frame"])]
    if cls is AssociateList:
        return _associate_lists(session, named)
    if cls in (Coadd, RegriddedFrame, SourceList, PsfModel):
        return _on_grids(session, cls, named)
    if issubclass(cls, Calibration):
        return _calibrations(session, cls, named)
    raws = _raws(session, RawScienceFrame, named)
    return _of_fields(cls, raws) if {"instrument", "object"} <= set(cls.__key__) else [_along(cls, raw) for raw in raws]


def _of_fields(cls: Any, raws: Sequence[Any]) -> list[Wanted]:
    """Return what binds all exposures of a target together, for each target that some raw frames are of."""
    found: dict[tuple[Any, ...], Wanted] = {}
    for raw in raws:
        key = {name: getattr(raw, name) for name in cls.__key__}
        found.setdefault(tuple(getattr(v, "object_id", v) for v in key.values()), Wanted(cls, key))
    return list(found.values())


def _by_id(session: Session, cls: Any, number: int) -> Any:
    found = session.get(Persistent, number)
    if not isinstance(found, cls):
        is_now = f"it is a {type(found).__name__}" if found is not None else "there is no such object"
        raise NotFound(f"no {cls.__name__} {number}: {is_now}")
    return found


def _raws(session: Session, cls: Any, named: dict[str, Any]) -> list[Any]:
    query = select_named(cls, **named) & (cls.is_valid > 0)
    found = list(session.scalars(query.statement.order_by(cls.date_obs)).unique())
    if not found:
        words = ", ".join(f"{n} {v}" for n, v in named.items()) or "at all"
        total = len(list(session.scalars(select(cls.object_id).limit(1))))
        hint = "look with `awe find RawFrame`" if total else "ingest some with `awe ingest`"
        raise NotFound(f"no valid {cls.__name__} with {words}: {hint}")
    return found


def _along(cls: Any, raw: Any) -> Wanted:
    """Return the product of one exposure: through its key, down to the raw frame."""
    return Wanted(cls, {name: _key_part(cls, name, raw) for name in cls.__key__})


def _key_part(cls: Any, name: str, raw: Any) -> Any:
    source: Any = inputs(cls)[name].source if name in inputs(cls) else None
    if source is None:
        raise BadRequest(f"{cls.__name__} can't be asked for by its raw frames: give its {', '.join(cls.__key__)}")
    if isinstance(raw, source):
        return raw
    if issubclass(source, Calibration):
        return _calibration_of(source, raw)
    return _along(source, raw)


def _calibration_of(cls: Any, raw: Any) -> Wanted:
    start, end = night_bounds(raw.night, raw.instrument.telescope.longitude)
    values = {"chip": raw.chip, "filter": raw.filter, "valid_from": start, "valid_to": end}
    return Wanted(cls, {name: values[name] for name in cls.__key__})


def _calibrations(session: Session, cls: Any, named: dict[str, Any]) -> list[Wanted]:
    """Return one calibration for each chip (and filter) and night of the raw frames that it is made of."""
    sources = [d.source for d in inputs(cls).values() if d.many] or [RawScienceFrame]
    found = {}
    for raw in _raws(session, sources[0], named):
        wanted = _calibration_of(cls, raw)
        found[tuple(str(v) for v in wanted.key.values())] = wanted
    return list(found.values())


def _of_frame(session: Session, cls: Any, number: int) -> Wanted:
    frame = _by_id(session, Persistent, number)
    if is_external(frame) and cls not in (SourceList, PsfModel):
        raise BadRequest(
            f"{frame} was made elsewhere and is calibrated: of it a SourceList or PsfModel is made, no {cls.__name__}"
        )
    if cls is SourceList and isinstance(frame, Frame):
        return _source_list(frame)
    for name in cls.__key__:
        if name in inputs(cls) and isinstance(frame, inputs(cls)[name].source) and len(cls.__key__) == 1:
            return Wanted(cls, {name: frame})
    if isinstance(frame, RawFrame):
        return _along(cls, frame)
    raise BadRequest(f"a {cls.__name__} is not made of {frame}: its key is {', '.join(cls.__key__)}")


def _associate_lists(session: Session, named: dict[str, Any]) -> list[Wanted]:
    """Return, for each target, the association of the source lists of its coadds in all filters."""
    lists: dict[str, list[Wanted]] = {}
    for wanted in _on_grids(session, SourceList, named):
        grid = wanted.key["frame"].key["grid_target"]
        lists.setdefault(grid.name, []).append(wanted)
    return [Wanted(AssociateList, {"source_lists": members}) for members in lists.values()]


def _on_grids(session: Session, cls: Any, named: dict[str, Any]) -> list[Wanted]:
    """Return what is asked for of each target and filter that the raw frames belong to."""
    grid_name = named.pop("grid", None)
    raws = _raws(session, RawScienceFrame, named)
    groups: dict[tuple[int, str], list[Any]] = {}
    for raw in raws:
        groups.setdefault((raw.instrument_id, raw.object), []).append(raw)
    found = []
    for members in groups.values():
        grid = _grid(session, members, grid_name)
        filters: dict[int, Filter] = {raw.filter.object_id: raw.filter for raw in members if raw.filter is not None}
        if cls is RegriddedFrame:
            found += [Wanted(cls, {"reduced": Wanted(ReducedFrame, {"raw": r}), "grid_target": grid}) for r in members]
            continue
        coadds = [Wanted(Coadd, {"grid_target": grid, "filter": f}) for f in filters.values()]
        wrapped = {SourceList: _source_list, PsfModel: lambda coadd: Wanted(PsfModel, {"frame": coadd})}.get(cls)
        found += coadds if wrapped is None else [wrapped(coadd) for coadd in coadds]
    return found


def _source_list(frame: Any, detection: Frame | None = None) -> Wanted:
    return Wanted(SourceList, {"frame": frame, "detection": detection})


def _detected_on(session: Session, lists: list[Wanted], number: int) -> list[Wanted]:
    """Return source lists as they are if their sources are detected on another image; on itself, that is no other."""
    detection = _by_id(session, Frame, number)
    found = []
    for wanted in lists:
        if wanted.product_class is not SourceList:
            name = wanted.product_class.__name__
            raise BadRequest(f"only sources of a SourceList are detected on another image, a {name} has none")
        frame = wanted.key["frame"]
        like = frame.key["grid_target"] if isinstance(frame, Wanted) else frame
        why = other_pixels(like, detection)
        if why:
            raise BadRequest(
                f"sources of {like} can't be detected on {detection}: {why}; they must share a grid target"
            )
        itself = frame is detection or _is_of(detection, frame)
        found.append(_source_list(frame, None if itself else detection))
    return found


def _is_of(frame: Any, wanted: Any) -> bool:
    """Return whether a frame is what is wanted, or takes the place of it."""
    if not isinstance(wanted, Wanted) or not isinstance(frame, wanted.product_class) or is_external(frame):
        return False
    return all(getattr(frame, name) is value for name, value in wanted.key.items())


def _grid(session: Session, raws: Sequence[Any], name: str | None) -> GridTarget:
    """Return the grid target of a target, existing or new: as fine as the frames, and large enough for all."""
    if name is not None:
        known = session.scalars(select(GridTarget).where(GridTarget.name == name)).unique().first()
        if known is None:
            raise NotFound(f"no grid target {name!r}")
        return known
    own = raws[0].object or "unnamed"
    instrument: Instrument = raws[0].instrument
    label = f"{own} {instrument.name}"
    known = session.scalars(select(GridTarget).where(GridTarget.name == label)).unique().first()
    return known if known is not None else lay_out(label, raws)
