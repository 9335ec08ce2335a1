"""Links beside the rows of a table: those of all objects, and those that classes register of their own."""

from collections.abc import Callable
from dataclasses import dataclass

from awe.model.catalogue import AssociateList, SourceList
from awe.model.coadd import Coadd, RegriddedFrame
from awe.model.frame import Frame
from awe.model.observation import GridTarget
from awe.model.persistent import Persistent, persistent_class
from awe.model.raw import RawScienceFrame
from awe.model.science import ReducedFrame
from awe.services import links
from awe.services.table_rows import Row

Address = Callable[[Row], str] | str


@dataclass(frozen=True)
class RowLink:
    """A link that the rows of a class and its subclasses have."""

    label: str
    address: Address
    """A function of the row, or a text with `{object_id}`; empty where there is nothing to link to."""
    doc: str = ""

    def at(self, row: Row) -> str:
        """Return the address for a row."""
        if callable(self.address):
            return self.address(row)
        return self.address.format(object_id=row.object_id)


_registered: dict[type, list[RowLink]] = {}


def register_link(cls: type[Persistent], label: str, address: Address, doc: str = "") -> None:
    """Let the rows of a class have a further link, such as to pictures of the models fitted to it."""
    _registered.setdefault(cls, []).append(RowLink(label, address, doc))


def links_of(row: Row) -> list[tuple[RowLink, str]]:
    """Return the links of a row and their addresses, those of the most general class first."""
    classes = persistent_class(row.class_name).__mro__[::-1] if row.class_name else ()
    found = ((link, link.at(row)) for cls in classes for link in _registered.get(cls, ()))
    return [(link, address) for link, address in found if address]


def _viewer(row: Row) -> str:
    return links.viewer(row.object_id) if row.filename else ""


def _cutouts(row: Row) -> str:
    return links.cutouts_of(row.object_id)


def _cutouts_of_associates(row: Row) -> str:
    return links.cutouts_of_associates(row.object_id)


def _sources(row: Row) -> str:
    return links.at("dbview", f"/object/{row.object_id}/sources")


def _object(row: Row) -> str:
    return links.at("dbview", f"/object/{row.object_id}")


def _colours(row: Row) -> str:
    return links.rgb(target=row.object_id)


def _aladin(row: Row) -> str:
    return links.at("dbview", f"/object/{row.object_id}/aladin.ajs")


def _aladin_of_image(row: Row) -> str:
    return _aladin(row) if row.filename else ""


ATLAS = "a script for the Aladin sky atlas, which loads it from here"
register_link(Persistent, "object", _object, "all that is known of it, and what it was made from")
register_link(Frame, "picture", _viewer, "the image, to look at")
register_link(RawScienceFrame, "Aladin", _aladin_of_image, ATLAS)
register_link(ReducedFrame, "Aladin", _aladin_of_image, ATLAS)
register_link(RegriddedFrame, "Aladin", _aladin_of_image, ATLAS)
register_link(Coadd, "Aladin", _aladin_of_image, ATLAS)
register_link(GridTarget, "colour picture", _colours, "its newest coadds in three filters as red, green and blue")
register_link(SourceList, "sources", _sources, "its rows")
register_link(SourceList, "cut-outs", _cutouts, "small images of its sources")
register_link(SourceList, "Aladin", _aladin, ATLAS)
register_link(AssociateList, "associates", _sources, "its rows")
register_link(AssociateList, "cut-outs", _cutouts_of_associates, "small images of its members")
register_link(AssociateList, "Aladin", _aladin, ATLAS)
