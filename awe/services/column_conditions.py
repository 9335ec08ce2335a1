"""What is typed into the box of a column, put in the language of filters: there is only one language."""

import json
import math
import re

from awe.errors import BadRequest
from awe.model.angles import parse_dec, parse_ra
from awe.model.attributes import attribute_names
from awe.services.columns import Column, column_at

OPERATORS = (
    *("=", "!=", "<", "<=", ">", ">=", "like", "not like", "between", "not between", "in", "not in"),
    *("is null", "is not null"),
)
_WORDS = r"not like|like|not between|between|not in|in"
_BOX = re.compile(rf"(is\s+null|is\s+not\s+null|(?:{_WORDS})(?=\s|$)|<=|>=|!=|<>|==|=|<|>)?\s*(.*)", re.DOTALL | re.I)
_SPAN = re.compile(r"(.+?)(?:\s+and\s+|\s*\.\.\s*|\s*,\s*)(.+)", re.DOTALL | re.I)
_RANGES = re.compile(r"-?\d+\s*(:\s*-?\d+)?(\s*,\s*-?\d+\s*(:\s*-?\d+)?)*")
_TRUTH = {"true": "True", "yes": "True", "1": "True", "false": "False", "no": "False", "0": "False"}
_ANGLES = {"pos.eq.ra": parse_ra, "pos.eq.dec": parse_dec}


def box_filter(cls: type, path: str, text: str) -> str:
    """Return the filter that the text in a box means: an operator and a value, a range `1..5`, or `*` and `?`.

    >>> from awe.model import RawFrame
    >>> box_filter(RawFrame, "exptime", ">100"), box_filter(RawFrame, "filter.name", "g*")
    ('exptime > 100', 'filter.name like "g*"')
    """
    column = column_at(cls, path)
    if column.kind == "json":
        raise BadRequest(f"{path} is a structure and can't be compared")
    found = _BOX.fullmatch(text.strip())
    assert found is not None
    sign, value = " ".join((found[1] or "").lower().split()), found[2].strip()
    if sign.startswith("is"):
        return _null(path, sign, value)
    if not value:
        raise BadRequest(f"{path} {sign} what? the box of a column takes values such as >100, 1..5 or M*")
    return _compared(column, sign, value)


def split_box(text: str) -> tuple[str, str]:
    """Return operator and value of the text in a box; the operator is empty if the text has none."""
    found = _BOX.fullmatch(text.strip())
    assert found is not None
    sign = " ".join((found[1] or "").lower().split())
    return {"==": "=", "<>": "!="}.get(sign, sign), found[2].strip()


def _null(path: str, sign: str, value: str) -> str:
    if value:
        raise BadRequest(f"{path} {sign} takes no value, got {value[:60]!r}")
    return f"{path} {sign}"


def _compared(column: Column, sign: str, value: str) -> str:
    words = _words_of(column)
    if sign.endswith("between") or (not sign and words != "text" and ".." in value):
        return _between(column, sign or "between", value)
    if sign.endswith("in"):
        return f"{column.path} {sign} {_listed(column, value)}"
    if not sign and column.datatype in ("int", "long") and not value.isdigit() and _RANGES.fullmatch(value):
        return f"{column.path} in {_quoted(value)}"
    if sign.endswith("like") or (not sign and words == "text" and ("*" in value or "?" in value)):
        return f"{column.path} {sign or 'like'} {_quoted(value)}"
    return f"{column.path} {_sign(sign)} {_value(column, value)}"


def _sign(sign: str) -> str:
    return {"": "=", "==": "=", "<>": "!="}.get(sign, sign)


def _words_of(column: Column) -> str:
    """Return how the values of a column are written; a link is compared with a name, where it leads to one."""
    if not column.is_link or column.target is None:
        return column.kind
    return "text" if "name" in attribute_names(column.target) else "link"


def _between(column: Column, sign: str, value: str) -> str:
    found = _SPAN.fullmatch(value)
    if found is None:
        raise BadRequest(f"{column.path} {sign} what? write it like 1 and 5, got {value[:60]!r}")
    return f"{column.path} {sign} {_value(column, found[1].strip())} and {_value(column, found[2].strip())}"


def _listed(column: Column, value: str) -> str:
    if column.datatype in ("int", "long") and _RANGES.fullmatch(value):
        return _quoted(value)
    return f"[{', '.join(_value(column, part.strip()) for part in value.strip('[]').split(','))}]"


def _value(column: Column, text: str) -> str:
    """Return a value as the language of filters writes it."""
    text = _unquoted(text)
    if column.is_link:
        return text if text.isascii() and text.isdigit() else _linked(column, text)
    if column.kind == "number":
        return _number(column, text)
    if column.kind == "truth":
        if text.lower() not in _TRUTH:
            raise BadRequest(f"{column.path} is true or false, got {text[:60]!r}")
        return _TRUTH[text.lower()]
    return _quoted(text)


def _linked(column: Column, text: str) -> str:
    if _words_of(column) != "text":
        raise BadRequest(f"{column.path} is compared with the number of an object, got {text[:60]!r}")
    return _quoted(text)


def _number(column: Column, text: str) -> str:
    parse = _ANGLES.get(column.ucd.partition(";")[0])
    try:
        if parse is not None:
            parse(text)
            return _quoted(text)
        number = float(text)
    except ValueError as error:
        expected = f"a number, {error}" if parse else "a number"
        raise BadRequest(f"{column.path} is compared with {expected}, got {text[:60]!r}") from error
    if not math.isfinite(number) or abs(number) >= 9e18:
        raise BadRequest(f"{column.path} is compared with a finite number below 9e18, got {text[:60]!r}")
    return repr(int(text)) if text.lstrip("+-").isdigit() and text.isascii() else repr(number)


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def equal_filter(value: str) -> str:
    """Return what stands in the box of a column for exactly this value.

    >>> equal_filter("M67"), equal_filter("")
    ('== M67', '== ""')
    """
    is_plain = value and value == value.strip() and value[0] not in "\"'"
    return f"== {value}" if is_plain else f'== "{value}"'
