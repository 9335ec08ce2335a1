"""awe: a survey imaging information system. Every product is an object, linked to all it was made from."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Give the names of the prompt (classes, plan, make, why ...) without importing them at start."""
    if name == "__all__":  # asked for by `from awe import *`
        return list(import_module("awe.prompt").__all__)
    if name.startswith("_") or find_spec(f"awe.{name}") is not None:
        raise AttributeError(f"module 'awe' has no attribute {name!r}")
    prompt = import_module("awe.prompt")  # costs a second; only notebooks need it
    if name in prompt.__all__:
        return getattr(prompt, name)
    raise AttributeError(f"module 'awe' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names that can be asked for."""
    return sorted({*globals(), *import_module("awe.prompt").__all__})
