"""Scripts for the Aladin sky atlas, which then loads an image, or a list of sources and its image, from this site."""

from awe.errors import NotFound
from awe.model.catalogue import AssociateList, SourceList
from awe.model.frame import Frame
from awe.model.persistent import Persistent


def aladin_script(thing: Persistent, root: str) -> str:
    """Return the script that shows an object in Aladin; `root` is the address of the service with the tables."""
    loads = []
    image = thing.frame if isinstance(thing, SourceList) else thing if isinstance(thing, Frame) else None
    if image is not None and image.filename and image.ra is not None:
        loads.append(f"load {root}/object/{image.object_id}/file")
    if isinstance(thing, SourceList | AssociateList):
        loads.append(f"load {root}/object/{thing.object_id}/sources.vot")
    if not loads:
        raise NotFound(f"{thing} has no place on the sky, so there is nothing of it for Aladin")
    return "\n".join([f"# {thing} for the Aladin sky atlas: open this file with it", "grid on", *loads, "sync", ""])
