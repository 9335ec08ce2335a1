"""The services: each can run alone, or all in one application."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Blueprint

from awe.errors import BadRequest
from awe.services.links import at
from awe.services.pages import COMMON, DBVIEW
from awe.services.pages.cutout_series import cutout_series
from awe.services.pages.cutouts import cutouts
from awe.services.pages.depcuts import depcuts
from awe.services.pages.imageview import imageview
from awe.services.pages.imageview_pixels import image_pixels
from awe.services.pages.imageview_tiles import image_tiles
from awe.services.pages.rgb import rgb
from awe.services.pages.sent_positions import sent_positions


@dataclass(frozen=True)
class Service:
    """A part of the site that can run as a server of its own."""

    name: str
    doc: str
    blueprints: tuple[Blueprint, ...]
    entry: str
    """Path at which people begin."""


SERVICES = {
    service.name: service
    for service in (
        Service("dbview", "tables, objects and their lineage", DBVIEW, "/"),
        Service(
            "imageview",
            "images of any size, and pictures of them",
            (imageview, image_pixels, image_tiles),
            "/imageview",
        ),
        Service(
            "cutouts", "small images around positions and sources", (cutouts, cutout_series, sent_positions), "/cutouts"
        ),
        Service("depcuts", "a source in all that its image was made from", (depcuts,), "/depcuts"),
        Service("rgb", "colour pictures of three frames", (rgb,), "/rgb"),
    )
}


def chosen_services(names: tuple[str, ...]) -> tuple[Service, ...]:
    """Return the services of these names, all if there are none."""
    for name in names:
        if name not in SERVICES:
            raise BadRequest(f"no service {name!r}; there are {', '.join(SERVICES)}")
    return tuple(SERVICES[name] for name in names or SERVICES)


def services_menu() -> list[tuple[str, str, str]]:
    """Return (name, doc, address) of the services that are offered here or elsewhere."""
    found = ((s.name, s.doc, at(s.name, s.entry)) for s in SERVICES.values())
    return [(name, doc, address) for name, doc, address in found if address]


def parse_addresses(text: str) -> dict[str, str]:
    """Return {service: address} from `name=address name=address`."""
    found = {}
    for part in text.replace(",", " ").split():
        name, _, address = part.partition("=")
        url = urlsplit(address)
        if name not in SERVICES or url.scheme not in ("http", "https") or not url.hostname or url.query:
            raise BadRequest(
                f"service_addresses: {part!r} is not like imageview=http://host:8002; "
                f"the services are {', '.join(SERVICES)}"
            )
        found[name] = address.rstrip("/")
    return found


__all__ = ["COMMON", "SERVICES", "Service", "chosen_services", "parse_addresses", "services_menu"]
