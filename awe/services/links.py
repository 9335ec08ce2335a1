"""Addresses of one service as the pages of another need them: here, or where that service runs alone."""

from collections.abc import Sequence

from flask import current_app

from awe.services.addresses import changed
from awe.services.parts import parts


def at(service: str, path: str) -> str:
    """Return the address of a path of a service, here or where it runs alone; empty if it runs nowhere."""
    own = parts(current_app)
    if service in own.services:
        return path
    return own.elsewhere[service] + path if service in own.elsewhere else ""


def page_of(object_id: int) -> str:
    """Return the address of the page of an object; empty if no service shows objects."""
    return at("dbview", f"/object/{object_id}")


def picture(object_id: int, form: str = "png", width: int | None = None, **given: object) -> str:
    """Return the address of a picture of a frame, at most `width` across; empty if no service makes pictures."""
    path = at("imageview", f"/imageview/{object_id}.{form}")
    return changed(path, {}, fit=width, **given) if path else ""


def viewer(object_id: int, **given: object) -> str:
    """Return the address of a frame in the viewer; empty if no service shows images."""
    path = at("imageview", f"/imageview/{object_id}")
    return changed(path, {}, **given) if path else ""


def cutout(object_id: int, form: str = "png", **given: object) -> str:
    """Return the address of a cutout of a frame, around x, y or ra, dec; empty if no service makes cutouts."""
    path = at("cutouts", f"/cutouts/frame/{object_id}.{form}")
    return changed(path, {}, **given) if path else ""


def cutout_page(object_id: int, **given: object) -> str:
    """Return the address of the page of a cutout of a frame, around x, y or ra, dec; empty if not offered."""
    path = at("cutouts", f"/cutouts/frame/{object_id}")
    return changed(path, {}, **given) if path else ""


def cutouts_of(slid: int, **given: object) -> str:
    """Return the address of the cutouts of the sources of a list; empty if no service makes cutouts."""
    path = at("cutouts", f"/cutouts/sources/{slid}")
    return changed(path, {}, **given) if path else ""


def cutouts_of_associates(alid: int, **given: object) -> str:
    """Return the address of the cutouts of associates; empty if no service makes cutouts."""
    path = at("cutouts", f"/cutouts/associates/{alid}")
    return changed(path, {}, **given) if path else ""


def depcuts(slid: int, sid: int | str, **given: object) -> str:
    """Return the address of a source in all that its image was made from; empty if no service shows that."""
    path = at("depcuts", f"/depcuts/sources/{slid}")
    return changed(path, {}, sids=sid, **given) if path else ""


def depcuts_of_associates(alid: int, aid: int | str, **given: object) -> str:
    """Return the address of an associate in all its images and what these were made from; empty if not offered."""
    path = at("depcuts", f"/depcuts/associates/{alid}")
    return changed(path, {}, aids=aid, **given) if path else ""


def depcuts_at(object_id: int, ra: float, dec: float, **given: object) -> str:
    """Return the address of a place on the sky in a frame and all it was made from; empty if not offered."""
    path = at("depcuts", f"/depcuts/at/{object_id}")
    return changed(path, {}, ra=f"{ra:.7f}", dec=f"{dec:.7f}", **given) if path else ""


def depcuts_at_pixel(object_id: int, x: str, y: str) -> str:
    """Return the address of a pixel of a frame, as FITS counts, in all it was made from; empty if not offered."""
    path = at("depcuts", f"/depcuts/at/{object_id}")
    return changed(path, {}, x=x, y=y) if path else ""


def rgb(object_ids: Sequence[int] = (), form: str = "", **given: object) -> str:
    """Return the address of a colour picture of three frames, red first; of the page that makes them without `form`.

    `given` are parameters such as mode, stretch or fit, and for the page without frames target and filters. Empty if
    no service makes colour pictures.
    """
    if form:
        path = at("rgb", f"/rgb/{','.join(map(str, object_ids))}.{form}")
    else:
        path = at("rgb", "/rgb")
        given = dict(zip(("red", "green", "blue"), object_ids, strict=False)) | given
    return changed(path, {}, **given) if path else ""
