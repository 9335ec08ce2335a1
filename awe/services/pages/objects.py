"""Objects: all that is known of one, its header, its file, its sources."""

from typing import Any

import numpy as np
from astropy.io import fits
from flask import Blueprint, Response, current_app, request, send_file

from awe.errors import NotFound
from awe.kernels.flag_picture import COLOURS
from awe.kernels.stretch import Cuts, Stretch
from awe.model.access import may_judge
from awe.model.catalogue import AssociateList, SourceList
from awe.model.field_solution import GlobalAstrometry
from awe.model.frame import Calibration
from awe.model.lineage import inputs
from awe.model.persistent import QualityFlag, Validity
from awe.model.photometric_solution import PhotometricSolution
from awe.services.declared import summary_of
from awe.services.image_look import LOOK_PARAMETERS, cuts_text
from awe.services.image_request import PLANE
from awe.services.images import offered_planes
from awe.services.negotiation import answer, wants_json
from awe.services.objectview import ObjectView, find_object, view_object
from awe.services.operations import Operation, Parameter, describe
from awe.services.parts import parts
from awe.services.residuals import panels_of, picture
from awe.services.sessions import session
from awe.services.solved_header import coordinates_of, with_coordinates
from awe.services.staleness_story import full_story
from awe.services.summaries import summary_with
from awe.services.unfolding import DEEPEST, LONGEST_LIST, MOST_OPEN, NONE, SHORT_LIST, parse_numbers, unfold_around
from awe.services.visitors import visitor
from awe.services.why_not_story import is_asked_of, not_used, worth_asking
from awe.store import Store

objects = Blueprint("objects", __name__)

PICTURE_WIDTH = 1024
PAGE_KINDS = {"instrument": "instrument", "filter": "filter", "grid_target": "grid", "observing_block": "run"}
"""Kinds of pages of nights, by the link of an object that leads there."""
_LOOKS = ("stretch", "cuts", "cmap", "invert", "plane")


def _store() -> Store:
    return parts(current_app).store


ROWS = Parameter("rows", "members of each list that are shown", "integer", SHORT_LIST, low=1, high=LONGEST_LIST)
_SHOW = Operation(
    "All that is known of an object: values, what it was made from and what was made of it, judgements and comments.",
    (
        Parameter("expand", "objects that are unfolded below", example="812,815", default=NONE, parse=parse_numbers),
        Parameter("depth", "levels of what it was made from that are unfolded", "integer", 1, low=1, high=DEEPEST),
        ROWS,
        *LOOK_PARAMETERS,
        PLANE,
    ),
)
_BRANCH = Operation(
    "What the page of an object unfolds at one place, as a piece of that page.",
    (
        Parameter("level", "level of the place", "integer", 1, low=1, high=1000),
        Parameter("down", "what was made of it, instead of what it was made from", "boolean"),
        Parameter("page", "object whose page it is", "integer", low=1, high=2**31 - 1),
        Parameter("expand", "objects that are unfolded there", example="812,815", default=NONE, parse=parse_numbers),
        ROWS,
    ),
)
_WHY_NOT = Operation(
    "Why a calibration is not used for a frame; either may be the object.",
    (Parameter("other", "the frame, or the calibration", "integer", low=1, high=2**31 - 1, example=815),),
)
_WHY = Operation("Whether an object is stale and why, looking at all it was made from.")
_HEADER = Operation(
    "The FITS header of the image of an object.",
    (
        Parameter(
            "wcs",
            "how its coordinates are written: as in the file, or the solution of its astrometry if there is one, else "
            "those of the image, as TPV (TAN without distortion) or as SIP, good to 0.0001 pixel",
            default="file",
            choices=("file", "tpv", "sip"),
        ),
    ),
)
_RESIDUALS = Operation(
    "Residuals of a global astrometric or photometric solution: five panels, with number, mean and rms."
)
_FILE = Operation("The file of an object, unchanged.", answers=("application/fits",))


@objects.get("/object/<number:object_id>")
@objects.get("/object/<number:object_id>.json", endpoint="json")
@describe(_SHOW)
def show(object_id: int) -> Response:
    """Show all that is known of an object."""
    given = _SHOW.read(request.args.to_dict())
    looks = {name: request.args[name] for name in _LOOKS if request.args.get(name)}
    if wants_json():
        return answer("object.html", view_object(session(), object_id).as_json)
    view = view_object(session(), object_id, with_roles=False)
    trees = [
        unfold_around(
            session(), view.summary, given["expand"], given["depth"], down, rows=given["rows"], with_root=False
        )
        for down in (False, True)
    ]
    return answer(
        "object.html",
        dict,
        view=view,
        doc=summary_of(view.cls),
        up=trees[0] if inputs(view.cls) else None,
        down=trees[1] if trees[1].root.branches else None,
        lost=sorted(given["expand"] - trees[0].opened - trees[1].opened),
        **_shown(view, given),
        **_unfolding(given["expand"], looks | {n: request.args[n] for n in ("depth", "rows") if request.args.get(n)}),
        **_judging(view),
    )


@objects.get("/object/<number:object_id>/branch")
@objects.get("/object/<number:object_id>/branch.json", endpoint="branch_json")
@describe(_BRANCH)
def branch(object_id: int) -> Response:
    """Show what one place of a tree unfolds to."""
    given = _BRANCH.read(request.args.to_dict())
    summary = summary_with(session(), object_id)
    tree = unfold_around(session(), summary, given["expand"], 1, given["down"], given["level"], given["rows"])
    return answer(
        "branch.html",
        tree.root.as_json,
        u=tree,
        page=given["page"] or object_id,
        **_unfolding(given["expand"], {}),
    )


def _unfolding(expand: frozenset[int], looks: dict[str, str]) -> dict[str, Any]:
    def written(numbers: frozenset[int]) -> str:
        return ",".join(map(str, sorted(numbers)))

    return {
        "expand": expand,
        "given_looks": looks,
        "adding": lambda numbers, one: written(numbers | {one}),
        "leaving": lambda numbers, one: written(numbers - {one}),
        "most_open": MOST_OPEN,
        "most_rows": LONGEST_LIST,
    }


def _judging(view: ObjectView) -> dict[str, Any]:
    who = visitor()
    return {
        "may_judge": may_judge(who, view.thing),
        "may_comment": bool(who),
        "may_ask": is_asked_of(view.thing),
        "page_kinds": PAGE_KINDS,
        "flags_known": [(str(f.name), str(f.name).replace("_", " ").lower()) for f in QualityFlag],
        "validities": [v.name.lower() for v in Validity],
    }


def _shown(view: ObjectView, given: dict[str, Any]) -> dict[str, Any]:
    read = {v.field.name: v.value for group in view.values.values() for v in group}
    look = {name: given[name] for name in ("stretch", "cmap", "plane")} | {"cuts": cuts_text(given["cuts"])}
    nx, ny = read.get("naxis1"), read.get("naxis2")
    factor = -(-nx // PICTURE_WIDTH) if nx and ny else 1
    return {
        "look": look | {"invert": 1 if given["invert"] else "", "width": PICTURE_WIDTH},
        "size": (-(-nx // factor), -(-ny // factor)) if nx and ny else None,
        "is_tiny": nx is not None and nx < PICTURE_WIDTH // 2,
        "stretches": [s.value for s in Stretch],
        "cuts": [c.value for c in Cuts],
        "planes": offered_planes(_store(), view.filename) if view.summary.has_picture and inputs(view.cls) else [],
        "flag_colours": [(str(f.name).replace("_", " ").lower(), f"rgb{c}") for f, c in COLOURS.items()],
        "position": (read["ra"], read["dec"]) if "ra" in read and "dec" in read else None,
        "has_sources": issubclass(view.cls, SourceList | AssociateList),
    }


@objects.get("/object/<number:object_id>/why-not")
@objects.get("/object/<number:object_id>/why-not.json", endpoint="why_not_json")
@describe(_WHY_NOT)
def why_not(object_id: int) -> Response:
    """Show why a calibration is not used for a frame."""
    other = _WHY_NOT.read(request.args.to_dict())["other"]
    thing = find_object(session(), object_id)
    if not is_asked_of(thing):
        raise NotFound(f"{thing} is neither a calibration nor a frame of one chip")
    reasons = not_used(session(), thing, other) if other else []
    return answer(
        "why_not.html",
        lambda: {"object_id": object_id, "other": other, "reasons": reasons},
        thing=thing,
        is_calibration=isinstance(thing, Calibration),
        other=other,
        reasons=reasons,
        near=worth_asking(session(), thing),
    )


def _filename(object_id: int) -> tuple[str, int | None]:
    thing = find_object(session(), object_id)
    filename = getattr(thing, "filename", None)
    if filename is None:
        raise NotFound(f"{thing} has no file")
    return filename, getattr(thing, "hdu", None)


@objects.get("/object/<number:object_id>/why")
@objects.get("/object/<number:object_id>/why.json", endpoint="why_json")
@describe(_WHY)
def why(object_id: int) -> Response:
    """Show why an object is stale, looking at all it was made from."""
    _WHY.read(request.args)
    thing = find_object(session(), object_id)
    story = full_story(session(), thing)
    return answer("why.html", lambda: {"object_id": object_id} | story.as_json(), thing=thing, story=story)


@objects.get("/object/<number:object_id>/header")
@objects.get("/object/<number:object_id>/header.json", endpoint="header_json")
@describe(_HEADER)
def header(object_id: int) -> Response:
    """Show the FITS header of the image of an object."""
    given = _HEADER.read(request.args)
    filename, hdu = _filename(object_id)
    read = _store().header(filename, hdu)
    if given["wcs"] != "file":
        read = with_coordinates(read, coordinates_of(session(), find_object(session(), object_id), given["wcs"]))
    cards = [(str(c.keyword), "" if c.value is None else str(c.value), str(c.comment)) for c in read.cards]

    def as_json() -> list[dict[str, str]]:
        return [{"keyword": k, "value": v, "comment": c} for k, v, c in cards]

    thing = find_object(session(), object_id)
    return answer("header.html", as_json, thing=thing, filename=filename, hdu=hdu, cards=cards)


@objects.get("/object/<number:object_id>/residuals")
@objects.get("/object/<number:object_id>/residuals.json", endpoint="residuals_json")
@describe(_RESIDUALS)
def residuals(object_id: int) -> Response:
    """Show the residuals of the stars of a solution of many exposures."""
    _RESIDUALS.read(request.args)
    thing = find_object(session(), object_id)
    if not isinstance(thing, GlobalAstrometry | PhotometricSolution):
        raise NotFound(f"{thing} is no GlobalAstrometry or PhotometricSolution: it has no residuals of many exposures")
    filename, _ = _filename(object_id)
    with fits.open(_store().retrieve(filename), memmap=False) as hdus:
        found = panels_of(np.asarray(hdus[1].data))
    return answer(
        "residuals.html",
        lambda: [p.as_json() for p in found],
        thing=thing,
        panels=found,
        picture=picture(found),
        exposures=_exposures(thing) if isinstance(thing, PhotometricSolution) else None,
    )


def _exposures(thing: PhotometricSolution) -> list[dict[str, Any]]:
    """Return the frames of a photometric solution by number, with what was found for each."""
    return [
        {"number": int(number)} | found
        for number, found in sorted((thing.frames or {}).items(), key=lambda e: int(e[0]))
    ]


@objects.get("/object/<number:object_id>/file")
@describe(_FILE)
def file(object_id: int) -> Response:
    """Send the file of an object, unchanged."""
    _FILE.read(request.args)
    filename, _ = _filename(object_id)
    path = _store().retrieve(filename)
    return send_file(path, mimetype="application/fits", as_attachment=True, download_name=filename, conditional=True)
