"""What an address takes and gives, declared once: its parameters are read, refused and documented from it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from awe.errors import BadRequest
from awe.model.attributes import near_names

_View = TypeVar("_View", bound=Callable[..., Any])
_TRUTH = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True, "on": True}
_WORDS = {"integer": "a whole number", "number": "a number", "file": "a file"}
_SHOWN = 60
"""Characters of a wrong value that an error repeats."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of an address."""

    name: str
    doc: str
    kind: str = "string"
    """string, integer, number or boolean; of what is sent, also file."""
    default: Any = None
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    unit: str = ""
    example: Any = None
    parse: Callable[[str], Any] | None = None
    """Reads a text that is none of the plain kinds; raises BadRequest or ValueError."""
    many: bool = False
    """Of what is sent: whether it may be given several times, and is a list in JSON."""
    required: bool = False
    """Of what is sent: whether it must be there."""

    def read(self, text: str | None) -> Any:
        """Return the value of a text as the address gives it; raise BadRequest naming what is wrong."""
        text = (text or "").strip()
        if not text and self.kind != "boolean":
            return self.default
        try:
            return self._value(text)
        except (ValueError, KeyError, StopIteration) as error:
            raise BadRequest(f"{self.name} must be {self.expected}, got {text[:_SHOWN]!r}") from error

    def _value(self, text: str) -> Any:
        if self.parse is not None:
            return self.parse(text)
        if self.choices:
            return next(c for c in self.choices if c in (text, text.lower()))
        if self.kind == "boolean":
            return _TRUTH[text.lower()]
        if self.kind == "string":
            return text
        if not text.isascii() or "_" in text:
            raise ValueError(text)
        value = int(text) if self.kind == "integer" else float(text)
        if not math.isfinite(value) or not self._low <= value <= self._high:
            raise ValueError(text)
        return value

    @property
    def _low(self) -> float:
        return -math.inf if self.low is None else self.low

    @property
    def _high(self) -> float:
        return math.inf if self.high is None else self.high

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        if self.choices:
            return " or ".join(self.choices)
        if self.kind == "boolean":
            return "0 or 1"
        words = _WORDS.get(self.kind, f"like {self.example}")
        low, high = (None if v is None else self._limit(v) for v in (self.low, self.high))
        if low is not None and high is not None:
            return f"{words} from {low} to {high}"
        if low is not None:
            return f"{words} not below {low}"
        return words if high is None else f"{words} up to {high}"

    def _limit(self, value: float) -> str:
        return f"{int(value)}" if self.kind == "integer" else f"{value:g}"


def _project(text: str) -> str:
    if len(text) > LONGEST_PROJECT:
        raise ValueError(text)
    return text


LONGEST_PROJECT = 64
PROJECT = Parameter(
    "project",
    f"project whose objects the tables show, a name of at most {LONGEST_PROJECT} characters; ALL: those of all",
    default="ALL",
    example="ALL",
    parse=_project,
)
"""The project context, which all pages hand on."""


FORM, UPLOAD, JSON = "application/x-www-form-urlencoded", "multipart/form-data", "application/json"
"""How things are sent: by a form, by a form with a file, by a program."""


@dataclass(frozen=True)
class Body:
    """What is sent to an address: its fields, the same in a form and in a JSON object."""

    fields: tuple[Parameter, ...] = ()
    media: tuple[str, ...] = (FORM, JSON)
    has_form_token: bool = True
    """Whether the form must carry the field `form`, which only a page of the visitor has."""
    needs_token: bool = True
    """Whether who sends it must be known, by signing in or by a token."""
    done: int = 200
    """Status of the answer that a program gets."""

    @property
    def form_fields(self) -> tuple[Parameter, ...]:
        """The fields that a form has."""
        return (*self.fields, *((FORM_TOKEN,) if self.has_form_token else ()))


FORM_TOKEN = Parameter("form", "what the form of the page carries; whoever sends a token instead need not give it")
"""The field that tells that a form is from a page of this visitor."""


@dataclass(frozen=True)
class Operation:
    """One address: what it is for, what it takes, and what kinds of answer it gives."""

    summary: str
    parameters: tuple[Parameter, ...] = ()
    answers: tuple[str, ...] = ("text/html", "application/json")
    open_ended: str = ""
    """What further parameters, whose names are not known beforehand, are for; empty: there are none."""
    path: tuple[Parameter, ...] = ()
    """The parts of the path that vary, as far as the converter in the rule does not tell them."""
    body: Body | None = None
    """What is sent to it; None: it is read."""

    def read(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Return the value of each parameter, defaults included; raise BadRequest for a wrong or unknown one."""
        known = [p.name for p in (*self.parameters, *self.shared)]
        unknown = [] if self.open_ended else [name for name in given if name not in known]
        if unknown:
            near = near_names(unknown[0][:_SHOWN], known).replace("its attributes", "the parameters")
            raise BadRequest(
                f"no parameter {unknown[0][:_SHOWN]!r} at this address; {near if known else 'it has none'}"
            )
        for shared in self.shared:
            shared.read(given.get(shared.name))
        return {p.name: p.read(given.get(p.name)) for p in self.parameters}

    @property
    def shared(self) -> tuple[Parameter, ...]:
        """The parameters that every page has, and that it need not declare."""
        is_page = self.body is None and "text/html" in self.answers
        return (PROJECT,) if is_page and all(p.name != PROJECT.name for p in self.parameters) else ()


def describe(operation: Operation) -> Callable[[_View], _View]:
    """Declare what a view takes and gives (see `api_page`); every view has such a declaration."""

    def declare(view: _View) -> _View:
        view.__operation__ = operation  # type: ignore[attr-defined]
        return view

    return declare


def operation_of(view: Callable[..., Any]) -> Operation | None:
    """Return the declaration of a view, if it has one."""
    return getattr(view, "__operation__", None)
