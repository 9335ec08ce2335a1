"""Why a calibration is not used for a frame, and which pairs are worth asking about."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from awe.errors import BadRequest
from awe.model.access import is_restricted
from awe.model.frame import Calibration, Frame
from awe.model.persistent import Persistent, concrete_classes
from awe.model.raw import RawScienceFrame
from awe.processing.staleness import why_not
from awe.services.objectview import find_object
from awe.services.staleness_story import told
from awe.services.summaries import Summary, summaries

SUGGESTED = 12


def is_asked_of(thing: Persistent) -> bool:
    """Return whether one can ask why an object is not used for, or does not use, another one."""
    return isinstance(thing, Calibration) or (isinstance(thing, Frame) and thing.chip_id is not None)  # type: ignore[attr-defined]


def not_used(session: Session, thing: Persistent, other: int) -> list[str]:
    """Return why a calibration is not used for a frame, whichever of the two is the other one."""
    second = find_object(session, other)
    if isinstance(thing, Calibration) == isinstance(second, Calibration):
        raise BadRequest(f"of {thing} and {second} one must be a calibration with a validity interval, the other not")
    calibration, frame = (thing, second) if isinstance(thing, Calibration) else (second, thing)
    if not is_restricted(session):
        return why_not(session, calibration, frame)
    with Session(session.get_bind(), autoflush=False) as seeing_all:
        both = [seeing_all.get(type(one), one.object_id) for one in (calibration, frame)]
        return told(session, why_not(seeing_all, *both))


def worth_asking(session: Session, thing: Any) -> list[Summary]:
    """Return objects of the same chip that one may ask about: exposures near in time, or the newest calibrations."""
    chip_id = thing.chip_id
    query = select(Frame.object_id).where(Frame.chip_id == chip_id)
    if isinstance(thing, Calibration):
        query = select(RawScienceFrame.object_id).where(RawScienceFrame.chip_id == chip_id)
        later = query.where(RawScienceFrame.date_obs >= thing.valid_from).order_by(RawScienceFrame.date_obs)
        earlier = query.where(RawScienceFrame.date_obs < thing.valid_from).order_by(RawScienceFrame.date_obs.desc())
        numbers = [n for one in (later, earlier) for n in session.scalars(one.limit(SUGGESTED // 2))]
    else:
        names = [c.__name__ for c in concrete_classes() if issubclass(c, Calibration)]
        newest = query.where(Frame.class_name.in_(names)).order_by(Frame.object_id.desc())
        numbers = list(session.scalars(newest.limit(SUGGESTED)))
    known = summaries(session, numbers)
    return [known[n] for n in numbers if n in known]
