"""The services: each can run alone, or all in one application."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Blueprint

from awe.errors import BadRequest
from awe.services.pages import COMMON, DBVIEW
from awe.services.pages.pictures import pictures


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
        Service("imageview", "images of any size, and pictures of them", (pictures,), "/imageview"),
    )
}


def chosen_services(names: tuple[str, ...]) -> tuple[Service, ...]:
    """Return the services of these names, all if there are none."""
    for name in names:
        if name not in SERVICES:
            raise BadRequest(f"no service {name!r}; there are {', '.join(SERVICES)}")
    return tuple(SERVICES[name] for name in names or SERVICES)


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


__all__ = ["COMMON", "SERVICES", "Service", "chosen_services", "parse_addresses"]
