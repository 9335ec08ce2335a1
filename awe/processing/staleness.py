"""Why a product is stale, and why a calibration was not chosen for a frame."""

from typing import Any

from sqlalchemy.orm import Session

from awe.errors import BadRequest
from awe.model.frame import Calibration
from awe.model.lineage import inputs
from awe.model.rules import CalibrationFor, SameInterval, follow, newest_valid
from awe.processing.choosing import Chooser


def why_stale(session: Session, product: Any, parameters: Any = None) -> list[str]:
    """Return the reasons why `product` must be made again, one sentence each; empty if it is up to date.

    `parameters` are those it is wanted with; by default its own.
    """
    with session.no_autoflush:
        return Chooser(session).why_stale(product, parameters)


def external(product: Any) -> str:
    """Return the sentence that tells of a frame made elsewhere."""
    return f"{product} is external: it was made elsewhere ({product.origin}), has no inputs here, and is never stale"


def why_not(session: Session, calibration: Any, frame: Any) -> list[str]:
    """Return the conditions that a calibration fails for a frame, and the one that is chosen instead.

    The first sentence says whether it would be chosen.
    """
    if not isinstance(calibration, Calibration):
        raise BadRequest(f"{calibration} is no calibration with a validity interval")
    same = _conditions(type(calibration), type(frame))
    moment = _moment(frame)
    failed = [] if calibration.is_valid else [f"it is flagged invalid ({calibration.judgement or 'no reason given'})"]
    for name in ("chip", *same):
        own, other = getattr(calibration, name), getattr(frame, name)
        if own is not other:
            failed.append(f"its {name} is {own.name}, that of the frame {other.name if other else 'none'}")
    if moment < calibration.valid_from:
        failed.append(
            f"it is valid from {calibration.valid_from:%Y-%m-%dT%H:%M}, the frame is of {moment:%Y-%m-%dT%H:%M}"
        )
    if moment >= calibration.valid_to:
        failed.append(
            f"it is valid until {calibration.valid_to:%Y-%m-%dT%H:%M}, the frame is of {moment:%Y-%m-%dT%H:%M}"
        )
    chosen = newest_valid(session, type(calibration), frame, same)
    if chosen is calibration:
        return [f"{calibration} is chosen for {frame}"]
    if not failed and chosen is not None:
        failed.append(f"it is eclipsed by {chosen}, made later ({chosen.creation_date:%Y-%m-%dT%H:%M:%S})")
    said = f"{chosen} is chosen" if chosen is not None else f"no {type(calibration).__name__} covers the frame"
    return [f"{calibration} is not chosen for {frame}: {said}", *failed, *_nearest(session, calibration, frame, same)]


def _conditions(calibration: type, frame: type) -> tuple[str, ...]:
    """Return the attributes besides the chip that must agree, from the rules that choose such calibrations."""
    from awe.model.persistent import concrete_classes

    for cls in (frame, *concrete_classes()):
        for declared in inputs(cls).values():
            if declared.source is calibration and isinstance(declared.rule, CalibrationFor | SameInterval):
                return declared.rule.same
    return ()


def _moment(frame: Any) -> Any:
    moment = follow(frame, "date_obs") if hasattr(frame, "date_obs") else None
    if moment is None or getattr(frame, "chip", None) is None:
        raise BadRequest(f"{frame} is no frame of one chip at one time, so no calibration is chosen for it")
    return moment


def _nearest(session: Session, calibration: Any, frame: Any, same: tuple[str, ...]) -> list[str]:
    """Return a sentence with the valid calibrations of the chip that come nearest in time."""
    from sqlalchemy import select

    cls: Any = type(calibration)
    query = select(cls).where(cls.is_valid > 0, cls.chip_id == frame.chip.object_id)
    for name in same:
        query = query.where(getattr(cls, f"{name}_id") == getattr(frame, f"{name}_id"))
    moment = frame.date_obs
    others = [c for c in session.scalars(query).unique() if not c.valid_from <= moment < c.valid_to]
    if not others:
        return []
    others.sort(key=lambda c: max(c.valid_from - moment, moment - c.valid_to))
    shown = [f"{c}, {c.valid_from:%Y-%m-%dT%H:%M} to {c.valid_to:%Y-%m-%dT%H:%M}" for c in others[:3]]
    return [f"nearest misses: {'; '.join(shown)}"]
