"""The classes in groups, as the start page and the menus show them."""

import sys
from collections.abc import Iterable

from awe.model.persistent import Persistent, concrete_classes
from awe.services.declared import summary_of

_HEADINGS = {
    "instrument": "Instruments and sky",
    "observation": "Instruments and sky",
    "reference": "Catalogues",
    "frame": "All frames",
    "raw": "Raw frames",
    "detector": "Calibrations",
    "flatfield": "Calibrations",
    "science": "Science frames",
    "astrometric": "Science frames",
    "photometric": "Science frames",
    "coadd": "Science frames",
    "catalogue": "Catalogues",
}
"""Heading of each module of the model; one that is not here goes by its own description."""


def grouped_classes() -> dict[str, list[type[Persistent]]]:
    """Return the classes by heading, both in processing order; catalogues come last."""
    groups: dict[str, list[type[Persistent]]] = {}
    for cls in concrete_classes():
        groups.setdefault(heading_of(cls), []).append(cls)
    return dict(sorted(groups.items(), key=lambda entry: _place(entry[1])))


def heading_of(cls: type[Persistent]) -> str:
    """Return the group that a class belongs to, by the module that declares it."""
    module = cls.__module__.rpartition(".")[2]
    return _HEADINGS.get(module) or summary_of(sys.modules[cls.__module__]).partition(":")[0].rstrip(".")


def _place(classes: Iterable[type[Persistent]]) -> int:
    """Return where a group stands: after the last of its classes."""
    order = concrete_classes()
    return max(order.index(c) for c in classes)
