"""One source in all products as a film (GIF, APNG) or as one FITS file."""

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from astropy.io import fits
from PIL import Image, ImageDraw, ImageFont

from awe import __version__
from awe.errors import BadRequest, NotFound
from awe.services.cutout import Plan, draw, fits_bytes, image_hdu, plan
from awe.services.cutout_request import CutoutRequest
from awe.services.cutting import cut_many
from awe.services.depcut_matrix import Block, Cell
from awe.services.images import sized
from awe.services.operations import Parameter
from awe.store import Store

MEDIA_TYPES = {"gif": "image/gif", "png": "image/apng", "fits": "application/fits"}
MOST_FRAMES = 200
SIDE = 256
"""Least side of the pictures of a film, pixel."""
CAPTION = 18
GROUND, INK = (18, 20, 22), (216, 219, 223)
DELAY = Parameter("delay", "time of each picture of a film", "integer", default=700, low=50, high=10_000, unit="ms")

Made = tuple[Cell, Plan, np.ndarray]


def film(store: Store, cells: Sequence[Cell], request: CutoutRequest, form: str, delay: int) -> bytes:
    """Return the pictures of cells as an animated GIF or PNG, each with its product and date written below."""
    pictures = [_with_caption(cell, draw(made, image)) for cell, made, image in _cut(store, cells, request)]
    buffer = io.BytesIO()
    kind: dict[str, Any] = {"format": "GIF", "optimize": False} if form == "gif" else {"format": "PNG"}
    pictures[0].save(buffer, save_all=True, append_images=pictures[1:], duration=delay, loop=0, **kind)
    return buffer.getvalue()


def bundle(store: Store, block: Block, cells: Sequence[Cell], request: CutoutRequest) -> bytes:
    """Return the pixels of cells as one FITS file: an HDU for each, named by its class, with its coordinate system.

    Exposures of the same class are told apart by EXTVER, in the order of their dates.
    """
    m = block.member
    primary = fits.PrimaryHDU()
    primary.header["ORIGIN"] = f"awe {__version__}"
    facts = (("ALID", m.alid), ("AID", m.aid), ("SLID", m.slid), ("SID", m.sid), ("RA", m.ra), ("DEC", m.dec))
    for keyword, value in facts:
        if value is not None:
            primary.header[keyword] = value
    hdus: list[Any] = [primary]
    versions: dict[str, int] = {}
    for cell, made, image in _cut(store, cells, request.plain(), m.ra, m.dec):
        name = cell.place.class_name
        versions[name] = versions.get(name, 0) + 1
        hdu = image_hdu(made, image, name=name)
        hdu.header["EXTVER"] = versions[name]
        if cell.place.exposure is not None:
            hdu.header["EXPOSURE"] = (cell.place.exposure, "the reduced frame it belongs to")
        hdus.append(hdu)
    return fits_bytes(hdus)


def _cut(
    store: Store, cells: Sequence[Cell], request: CutoutRequest, ra: float | None = None, dec: float | None = None
) -> list[Made]:
    """Return the cells that have pixels, in order, with these."""
    shown = [cell for cell in cells if not cell.reason]
    if len(shown) > MOST_FRAMES:
        raise BadRequest(
            f"there are {len(shown)} products, the limit of one file is {MOST_FRAMES}: choose fewer classes"
        )
    plans = [_plan(store, cell, request, ra, dec) for cell in shown]
    images = dict(cut_many(store, plans, lambda _, image: image))
    found = [(c, p, images[i]) for i, (c, p) in enumerate(zip(shown, plans, strict=True)) if images[i] is not None]
    if not found:
        raise NotFound("no product of this class shows the place")
    return [(cell, made, image) for cell, made, image in found if image is not None]


def _plan(store: Store, cell: Cell, request: CutoutRequest, ra: float | None, dec: float | None) -> Plan:
    spot = cell.spot(ra, dec)
    own = request if spot.axes is not None else replace(request, north=False)
    return plan(replace(spot, frame=sized(store, spot.frame)), own)


def _with_caption(cell: Cell, drawn: np.ndarray) -> Image.Image:
    picture = _square(Image.fromarray(drawn))
    sheet = Image.new("RGB", (picture.width, picture.height + 2 * CAPTION), GROUND)
    sheet.paste(picture, (0, 0), picture if picture.mode == "RGBA" else None)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    pen.text((4, picture.height + 2), f"{cell.place.class_name} {cell.place.object_id}", INK, font)
    exposure = f"  for {cell.place.exposure}" if cell.place.exposure not in (None, cell.place.object_id) else ""
    pen.text((4, picture.height + CAPTION), f"{cell.date_obs:%Y-%m-%d %H:%M:%S}{exposure}", INK, font)
    return sheet


def _square(picture: Image.Image) -> Image.Image:
    """Return a picture with blocks of pixels large enough to be seen, all of one film of the same size."""
    width = max(SIDE, picture.width)
    return picture.resize((width, max(1, round(picture.height * width / picture.width))), Image.Resampling.NEAREST)
