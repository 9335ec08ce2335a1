"""The classes in groups, as the start page and the menus show them."""

import sys
from functools import lru_cache

import awe.model
from awe.model.persistent import Persistent, concrete_classes
from awe.services.declared import summary_of

_HEADINGS = {
    "instrument": "Instruments and sky",
    "observation": "Instruments and sky",
    "reference": "Catalogues",
    "frame": "All frames",
    "raw": "Raw frames",
    "detector": "Calibrations",
    "electronics": "Calibrations",
    "flatfield": "Calibrations",
    "fringes": "Calibrations",
    "science": "Science",
    "astrometric": "Science",
    "photometric_solution": "Science",
    "photometric": "Science",
    "illumination": "Science",
    "field_solution": "Science",
    "coadd": "Science",
    "psf": "Science",
    "catalogue": "Catalogues",
}
"""Heading of each module of the model; one that is not here goes by its own description."""


@lru_cache
def classes_in_order() -> tuple[type[Persistent], ...]:
    """Return the persistent classes in the order in which their modules and bodies define them."""
    modules = dict.fromkeys(c.__module__ for c in vars(awe.model).values() if isinstance(c, type))
    modules |= dict.fromkeys(c.__module__ for c in concrete_classes())
    known = set(concrete_classes())
    return tuple(
        thing
        for module in modules
        for thing in vars(sys.modules[module]).values()
        if isinstance(thing, type) and thing.__module__ == module and thing in known
    )


def grouped_classes() -> dict[str, list[type[Persistent]]]:
    """Return the classes by heading, both in processing order."""
    groups: dict[str, list[type[Persistent]]] = {}
    order = classes_in_order()
    for cls in order:
        groups.setdefault(heading_of(cls), []).append(cls)
    return dict(sorted(groups.items(), key=lambda entry: max(order.index(c) for c in entry[1])))


def heading_of(cls: type[Persistent]) -> str:
    """Return the group that a class belongs to, by the module that declares it."""
    module = cls.__module__.rpartition(".")[2]
    return _HEADINGS.get(module) or summary_of(sys.modules[cls.__module__]).partition(":")[0].rstrip(".")
