"""What a page of cutouts shows: thumbnails with their addresses and words."""

from dataclasses import dataclass
from typing import Any

from awe.services import links
from awe.services.addresses import changed
from awe.services.cutout_request import LARGEST_ZOOM, CutoutRequest
from awe.services.cutout_runs import Page
from awe.services.series import Member

THUMBNAIL = 144
"""Side that thumbnails are at least magnified to, pixel of the screen."""
ENLARGED = 512


@dataclass(frozen=True)
class Thumbnail:
    """One cutout on a page."""

    member: Member
    label: str
    title: str
    """Of the frame."""
    object_id: int
    picture: str
    """Address of the thumbnail; empty: there is none, for a reason."""
    enlarged: str
    fits: str
    page: str
    """Address of the page of this cutout, with the log of its making."""
    depcuts: str
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Return the cutout as JSON holds it; x and y count as in FITS, from 1."""
        m = self.member
        numbers = {"slid": m.slid, "sid": m.sid, "alid": m.alid, "aid": m.aid, "name": m.name or None}
        place = {"ra": m.ra, "dec": m.dec, "x": _fits(m.x), "y": _fits(m.y)}
        found = {"object_id": self.object_id or None, **numbers, **place, "picture": self.picture or None}
        return found | ({"reason": self.reason} if self.reason else {"fits": self.fits})


def thumbnails(page: Page) -> list[Thumbnail]:
    """Return the cutouts of a page in order."""
    return [_thumbnail(page, member) for member in page.members]


def cutout_address(page: Page, member: Member, form: str, least: int = 0) -> str:
    """Return the address of a cutout, magnified by a whole number until it has `least` pixels on a side.

    Without a form, it is the page of the cutout.
    """
    request = page.run.request
    query = member.query() | request.query()
    if form == "fits":
        query = member.query() | request.plain().query()
        query.pop("ellipse", None)
    elif (zoom := magnification(request, least)) > 1:
        query["zoom"] = str(zoom)
    return changed(f"/cutouts/frame/{member.frame_id}{f'.{form}' if form else ''}", query)


def magnification(request: CutoutRequest, least: int) -> int:
    """Return by how much pixels are magnified so that a cutout has `least` pixels on a side."""
    extent = request.extent
    if not extent.in_pixels:
        return request.zoom
    side = max(extent.width, extent.height)
    return int(max(request.zoom, min(LARGEST_ZOOM, -(-least // side))))


def _thumbnail(page: Page, member: Member) -> Thumbnail:
    frame, reason = page.frames.get(member.frame_id), page.reason(member)
    depcuts = ""
    if member.slid is not None and member.sid is not None:
        depcuts = links.depcuts(member.slid, member.sid)
    elif member.ra is not None and member.dec is not None and frame is not None:
        depcuts = links.depcuts_at(member.frame_id, member.ra, member.dec)
    addresses = ("", "", "", "")
    if not reason:
        sizes = (("png", THUMBNAIL), ("png", ENLARGED), ("fits", 0), ("", 0))
        addresses = tuple(cutout_address(page, member, form, least) for form, least in sizes)  # type: ignore[assignment]
    title = frame.label if frame else f"frame {member.frame_id}" if member.frame_id else ""
    return Thumbnail(member, member.label, title, member.frame_id, *addresses, depcuts, reason)


def _fits(value: float | None) -> float | None:
    return None if value is None else round(value + 1, 4)
