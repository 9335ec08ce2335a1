"""awe: a survey imaging information system. Every product is an object, linked to all it was made from."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Give the names of the prompt (classes, plan, make, why ...) without importing them at start."""
    if name.startswith("_"):
        raise AttributeError(name)
    from awe import prompt  # noqa: PLC0415  costs a second; only notebooks need it

    if name in prompt.__all__:
        return getattr(prompt, name)
    raise AttributeError(f"module 'awe' has no attribute {name!r}")
