"""The reasons why something is made, as sentences."""

import re
from typing import Any

from awe.model.night import night_bounds, night_of
from awe.model.persistent import Persistent

NONE = "there is no "
"""How the reason begins of what is made for the first time."""
_ROLES = re.compile(r"^((?!parameters: )\w+: )+")


def there_is_no(cls: Any, key: dict[str, Any]) -> str:
    """Return the sentence that says that there is no product with a key."""
    linked = [value for value in key.values() if isinstance(value, Persistent)]
    named = [value.name for value in linked if hasattr(value, "name")]
    of = [f"this {type(value).__name__}" for value in linked if not hasattr(value, "name")]
    of += [f"these {len(value)} {type(value[0]).__name__}s" for value in key.values() if isinstance(value, list)]
    words = [NONE + cls.__name__]
    words += [f"of {' and '.join(of)}"] if of else []
    words += [f"for {' and '.join(named)}"] if named else []
    return " ".join(words + ([_interval(key)] if "valid_from" in key else []))


def _interval(key: dict[str, Any]) -> str:
    start, end = key["valid_from"], key["valid_to"]
    night = night_of(start + (end - start) / 2, key["chip"].instrument.telescope.longitude)
    if night_bounds(night, key["chip"].instrument.telescope.longitude) == (start, end):
        return f"of the night {night}"
    return f"from {start:%Y-%m-%dT%H:%M} to {end:%Y-%m-%dT%H:%M}"


def root(reason: str) -> str:
    """Return a reason without the roles through which it comes.

    >>> root("flat: bias: parameters: sigma_clip was 3, now 5")
    'parameters: sigma_clip was 3, now 5'
    """
    return _ROLES.sub("", reason)


def shortest_ways(reasons: list[str]) -> list[tuple[str, int]]:
    """Return each reason by the shortest way that it comes, with the number of other ways.

    >>> shortest_ways(["flat: bias: sigma_clip was 3, now 5", "bias: sigma_clip was 3, now 5"])
    [('bias: sigma_clip was 3, now 5', 1)]
    """
    ways: dict[str, list[str]] = {}
    for reason in reasons:
        ways.setdefault(root(reason), []).append(reason)
    return [(min(same, key=len), len(same) - 1) for same in ways.values()]


def in_short(reasons: list[str]) -> list[str]:
    """Return reasons as sentences, each once, that say by how many other ways they come."""
    return [f"{reason}{_other_ways(more)}" for reason, more in shortest_ways(reasons)]


def _other_ways(count: int) -> str:
    return f" (and by {count} other way{'s' * (count > 1)})" if count else ""


def only_follows(reason: str) -> bool:
    """Return whether a reason, without the roles through which it comes, is no cause but follows from another step."""
    return reason.startswith(NONE) or reason.endswith(" is made anew")


def invalid(product: Any) -> str:
    """Return the sentence that says that an object was judged invalid."""
    because = f" ({product.judgement})" if product.judgement else ""
    return f"{product} is flagged invalid{because}"


def changed_parameters(old: Any, new: Any) -> str:
    """Return the sentence that says which parameters differ."""
    changed = [n for n in vars(new) if getattr(old, n) != getattr(new, n)]
    return "parameters: " + ", ".join(f"{n} was {_shown(old, n)}, now {_shown(new, n)}" for n in changed)


def _shown(parameters: Any, name: str) -> Any:
    value = getattr(parameters, name)
    return getattr(value, "value", value)


def difference(used: list[Any], now: list[Any]) -> str:
    """Return the sentence that says which other inputs would be chosen."""
    were, are = set(used), set(now)
    gone, new = [o for o in used if o not in are], [o for o in now if o not in were]
    if not gone and not new:
        return "the order of the inputs changed"
    if len(gone) == 1 and len(new) == 1:
        return f"{new[0]} takes the place of {gone[0]}"
    said = [f"{len(new)} more, first {new[0]}"] if new else []
    return "; ".join(said + ([f"{len(gone)} no longer, first {gone[0]}"] if gone else []))
