"""The PSF model of a frame over its field."""

from pathlib import Path
from typing import Any

import numpy as np
from flask import Blueprint, Response, current_app, request

from awe.errors import NotFound
from awe.kernels.colour_maps import ColourMap, colour_table
from awe.kernels.png import encode_png
from awe.kernels.psf import Psf
from awe.model.psf import PsfModel
from awe.psf_files import psf_of_file, residuals_of_file, stars_of_file
from awe.services.export import MEDIA_TYPES
from awe.services.export_csv import csv_parts
from awe.services.export_fits import fits_parts
from awe.services.export_votable import votable_parts
from awe.services.negotiation import answer
from awe.services.objectview import find_object
from awe.services.operations import Operation, Parameter, describe
from awe.services.pages.imageview_pixels import kept
from awe.services.parts import parts
from awe.services.psf_field import drawing, facts, mosaic, spread, stars
from awe.services.psf_stars import (
    FittedStar,
    drawing_of,
    fitted_stars,
    residual_mosaic,
    residual_scale,
    table_of,
)
from awe.services.sessions import session

psf_pages = Blueprint("psf", __name__)

EARLIER = "made by an earlier version, which did not keep its stars: make it again"
VERSION = 1
"""Goes up when the same address gives other bytes than before."""
CELLS = Parameter("cells", "stars along each side of the field", "integer", 5, low=2, high=9)
_PAGE = Operation("The PSF model of a frame over its field: its pictures, its width and its shape.", (CELLS,))
_PICTURE = Operation(
    "Stars of the PSF model of a frame, side by side as in its field; bright ones and faint wings alike.",
    (CELLS, Parameter("cmap", "colour map", default=ColourMap.GRAY.value, choices=tuple(ColourMap))),
    answers=("image/png",),
)
_WRITERS = {"csv": csv_parts, "vot": votable_parts, "fits": fits_parts}
_STARS = Operation(
    "The stars that a PSF model was found from: place, flux, residuals of light, width and shape; why others were not.",
)
_RESIDUALS = Operation(
    "What the stars of each part of a field have left in common beside the PSF model, side by side as in the field.",
    answers=("image/png",),
)
_STARS_FILE = Operation(
    "The same as a file.",
    answers=tuple(MEDIA_TYPES[form] for form in _WRITERS),
    path=(Parameter("form", "format of the file", choices=tuple(_WRITERS)),),
)


@psf_pages.get("/object/<number:object_id>/psf")
@psf_pages.get("/object/<number:object_id>/psf.json", endpoint="json")
@describe(_PAGE)
def show(object_id: int) -> Response:
    """Show the PSF model of a frame over its field."""
    cells = _PAGE.read(request.args.to_dict())["cells"]
    thing, shape = _model(object_id)
    psf = _read(thing)
    found = stars(psf, shape, cells)

    def as_json() -> dict[str, Any]:
        return {"object_id": object_id} | facts(psf) | {"stars": [star.as_json() for star in found]}

    return answer(
        "psf.html",
        as_json,
        thing=thing,
        cells=cells,
        facts=facts(psf),
        stars=found,
        map=drawing(found, shape, cells),
        widths=spread([star.fwhm for star in found]),
        shapes=spread([star.ellipticity for star in found]),
    )


@psf_pages.get("/object/<number:object_id>/psf.png", endpoint="picture")
@describe(_PICTURE)
def picture(object_id: int) -> Response:
    """Send stars of the PSF model of a frame as a picture."""
    given = _PICTURE.read(request.args.to_dict())
    thing, shape = _model(object_id)
    colours = ColourMap(given["cmap"])

    def make() -> bytes:
        levels: np.ndarray = mosaic(_read(thing), shape, given["cells"])
        return encode_png(levels, palette=None if colours is ColourMap.GRAY else colour_table(colours))

    name = f"psf-{VERSION}-{thing.filename}-{given['cells']}-{colours.value}"
    return kept(name, "image/png", make, on_disk=False)


@psf_pages.get("/object/<number:object_id>/psf-stars")
@psf_pages.get("/object/<number:object_id>/psf-stars.json", endpoint="stars_json")
@describe(_STARS)
def single_stars(object_id: int) -> Response:
    """Show what each star says of the PSF model of a frame."""
    _STARS.read(request.args.to_dict())
    thing, shape = _model(object_id)
    psf = _read(thing)
    found = _stars(thing, psf)

    def as_json() -> dict[str, Any]:
        return {"object_id": object_id, "stars": [vars(star) for star in found]}

    return answer(
        "psf_stars.html",
        as_json,
        thing=thing,
        stars=found,
        used=sum(star.used for star in found),
        map=drawing_of(found, psf, shape),
        scale=residual_scale(_residuals(thing), psf),
        has_magnitudes=any(star.magnitude is not None for star in found),
        forms=tuple(_WRITERS),
    )


@psf_pages.get("/object/<number:object_id>/psf-stars.<any(csv,vot,fits):form>", endpoint="stars_file")
@describe(_STARS_FILE)
def stars_file(object_id: int, form: str) -> Response:
    """Send what each star says of the PSF model of a frame as a file."""
    _STARS_FILE.read(request.args.to_dict())
    thing, _ = _model(object_id)
    found = _stars(thing, _read(thing))
    response = Response(_WRITERS[form](table_of(found, f"stars of {thing}")), mimetype=MEDIA_TYPES[form])
    response.headers["Content-Disposition"] = f'attachment; filename="psf-stars-{object_id}.{form}"'
    return response


@psf_pages.get("/object/<number:object_id>/psf-residuals.png", endpoint="residuals")
@describe(_RESIDUALS)
def mean_residuals(object_id: int) -> Response:
    """Send the mean residuals of the stars of a PSF model over its field as a picture."""
    _RESIDUALS.read(request.args.to_dict())
    thing, _ = _model(object_id)

    def make() -> bytes:
        return encode_png(residual_mosaic(_residuals(thing), _read(thing)))

    return kept(f"psf-residuals-{VERSION}-{thing.filename}", "image/png", make, on_disk=False)


def _stars(thing: PsfModel, psf: Psf) -> list[FittedStar]:
    rows = stars_of_file(_path(thing))
    if rows is None:
        raise NotFound(f"{thing} was {EARLIER}")
    return fitted_stars(rows, psf, getattr(thing.frame, "zeropoint", None))


def _residuals(thing: PsfModel) -> np.ndarray:
    found = residuals_of_file(_path(thing))
    if found is None:
        raise NotFound(f"{thing} was {EARLIER}")
    return found


def _path(thing: PsfModel) -> Path:
    return parts(current_app).store.retrieve(str(thing.filename), thing.sha256)


def _model(object_id: int) -> tuple[PsfModel, tuple[int, int]]:
    """Return a model that has a file, and the shape of its field; no transaction is held while it is drawn."""
    thing = find_object(session(), object_id)
    if not isinstance(thing, PsfModel):
        raise NotFound(f"{thing} is no PsfModel")
    if not thing.filename:
        raise NotFound(f"{thing} has no model: {thing.remark or 'no star tells it'}")
    frame = thing.frame
    if not frame.naxis1 or not frame.naxis2:
        raise NotFound(f"the size of {frame} is not known")
    return thing, (frame.naxis2, frame.naxis1)


def _read(thing: PsfModel) -> Psf:
    return psf_of_file(_path(thing))
