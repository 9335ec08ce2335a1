"""The addresses of an application as people read them: by service, a page and its JSON form together."""

import re
from dataclasses import dataclass

from flask import Flask

from awe.services.openapi import operations
from awe.services.operations import Operation

ALL_SERVICES = "all services"
OWNERS = "awe owners"
"""Extension of an application that tells the service of each blueprint."""
_KIND = re.compile(r"<\w+(?:\([^)]*\))?:")


@dataclass(frozen=True)
class Address:
    """One address: its pattern, that of its JSON form if it has one, and what is declared of it."""

    endpoint: str
    pattern: str
    json_pattern: str
    operation: Operation
    method: str = "get"


def address_groups(app: Flask) -> dict[str, list[Address]]:
    """Return the addresses of an application, by the service that they belong to."""
    owners: dict[str, str] = app.extensions[OWNERS]
    known = operations(app)
    found: dict[str, list[Address]] = {name: [] for name in (*owners.values(), ALL_SERVICES)}
    for (method, rule), (endpoint, declared) in known.items():
        page = known.get((method, rule.removesuffix(".json")))
        if rule.endswith(".json") and page is not None and page[1] == declared:
            continue
        twin = known.get((method, f"{rule}.json"))
        json_rule = f"{rule}.json" if twin is not None and twin[1] == declared else ""
        address = Address(endpoint, _plain(rule), _plain(json_rule), declared, method)
        found[owners.get(endpoint.partition(".")[0], ALL_SERVICES)].append(address)
    return {name: addresses for name, addresses in found.items() if addresses}


def _plain(rule: str) -> str:
    """Return a pattern without the kinds of its places."""
    return _KIND.sub("<", rule)
