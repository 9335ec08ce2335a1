"""An object in full, for people (text, HTML) and programs (a dictionary that JSON can hold)."""

import enum
import math
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, fields
from datetime import date, datetime
from html import escape
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import RelationshipDirection

from awe.model.lineage import inputs
from awe.model.persistent import Persistent, Privileges, QualityFlag, Validity
from awe.model.values import shown

pages: ContextVar[str] = ContextVar("awe_pages", default="")
"""Address of the web pages, to which HTML links; empty: no links."""

_LONGEST_LIST = 12
_IDENTITY = ("object_id", "class_name")
_WORDS: dict[str, Any] = {
    "is_valid": lambda v: Validity(v).name.lower(),
    "privileges": lambda v: Privileges(v).name.lower().replace("_", " "),
    "quality_flags": lambda v: flag_names(v) or "none",
    "process_status": lambda v: "complete" if v == 1 else str(v),
}


@dataclass(frozen=True)
class Line:
    """One value of an object, as it is shown."""

    name: str
    text: str
    unit: str = ""
    doc: str = ""
    targets: tuple[Any, ...] = ()
    """The objects it stands for, if it is a link or an input."""


def flag_names(flags: int) -> str:
    """Return the names of the quality flags in a number; bits without a name are given as a number."""
    known = [flag for flag in QualityFlag if flag & flags]
    rest = flags & ~sum(known)
    names = [str(flag.name).lower().replace("_", " ") for flag in known]
    return ", ".join([*names, *([f"unknown bits {rest}"] if rest else [])])


def sections(obj: Persistent) -> dict[str, list[Line]]:
    """Return what is known of an object, in sections: it is, measured, parameters, inputs, history."""
    found: dict[str, list[Line]] = {"is": list(_links(obj)), "measured": [], "parameters": list(_parameters(obj))}
    found["inputs"], found["history"] = list(_inputs(obj)), []
    own = {c.key for c in inspect(Persistent).column_attrs}
    errors = _errors(obj)
    for name, (value, unit, doc) in obj.attributes().items():
        if value is None or value == "" or name in _IDENTITY or name in errors.values():
            continue
        where = "history" if name in own else "measured" if _is_measured(obj, name) else "is"
        found[where].append(_line(obj, name, value, unit, doc, errors))
    found["history"] += [Line(name, str(made), targets=()) for name, made in _makers(obj)]
    return {name: lines for name, lines in found.items() if lines}


def _line(obj: Any, name: str, value: Any, unit: str, doc: str, errors: dict[str, str]) -> Line:
    if name in _WORDS:
        return Line(name, _WORDS[name](value), doc=doc)
    error = getattr(obj, errors[name]) if name in errors else None
    text = shown(value, unit, error)
    if isinstance(error, float):
        text += f" ± {shown(error, unit, error)}"
    return Line(name, text, "" if isinstance(value, dict | list) else unit, doc)


def _errors(obj: Persistent) -> dict[str, str]:
    """Return {name of a value: name of its standard error}, for the errors that are known."""
    names = set(obj.attributes())
    pairs = {n.removesuffix("_error"): n for n in names if n.endswith("_error")} | {"value": "error"}
    if "zeropoint_error" not in names:
        pairs["zeropoint"] = "error"
    return {v: e for v, e in pairs.items() if {v, e} <= names and isinstance(getattr(obj, v), float)}


def _is_measured(obj: Persistent, name: str) -> bool:
    return bool(inspect(type(obj)).column_attrs[name].columns[0].info.get("measured"))


def _links(obj: Persistent) -> Iterator[Line]:
    for relation in inspect(type(obj)).relationships:
        plain = relation.direction is RelationshipDirection.MANYTOONE and "input" not in relation.info
        if not plain or not issubclass(relation.mapper.class_, Persistent):
            continue
        target = getattr(obj, relation.key)
        if target is not None:
            yield Line(relation.key, str(target), doc=relation.doc or "", targets=(target,))


def _makers(obj: Persistent) -> Iterator[tuple[str, Any]]:
    if obj.process is not None:
        yield "made by", obj.process
    if obj.job is not None:
        yield "because", f"{obj.job.reason} (job {obj.job.job_id})"


def _parameters(obj: Any) -> Iterator[Line]:
    parameters = getattr(obj, "parameters", None)
    for declared in fields(parameters) if parameters is not None else ():
        value = getattr(parameters, declared.name)
        if isinstance(value, int | float) and not isinstance(value, bool | enum.Enum):
            text = f"{value:g}"
        else:
            text = "none" if value is None else shown(value)
        yield Line(declared.name, text, declared.metadata["unit"], declared.metadata["doc"])


def _inputs(obj: Persistent) -> Iterator[Line]:
    for name, declared in inputs(type(obj)).items():
        used = declared.used(obj)
        if used:
            text = str(used[0]) if not declared.many else f"{len(used)} {declared.source.__name__}"
            yield Line(name, text, doc=declared.doc, targets=tuple(used))


def as_dict(obj: Persistent) -> dict[str, Any]:
    """Return all values of an object, its parameters, links and inputs, as JSON can hold them."""
    values = {n: plain(v) for n, (v, _, _) in obj.attributes().items() if n not in _IDENTITY}
    units = {n: unit for n, (_, unit, _) in obj.attributes().items() if unit}
    parameters = getattr(obj, "parameters", None)
    return {
        "object_id": obj.object_id,
        "class": type(obj).__name__,
        "label": str(obj),
        "quality": flag_names(obj.quality_flags or 0),
        "values": values,
        "units": units,
        "parameters": {f.name: plain(getattr(parameters, f.name)) for f in fields(parameters)} if parameters else {},
        "links": {line.name: _reference(line.targets[0]) for line in _links(obj)},
        "inputs": {role: _members(obj, role) for role in inputs(type(obj))},
        "process": str(obj.process) if obj.process else None,
        "reason": obj.job.reason if obj.job else None,
    }


def _members(obj: Persistent, role: str) -> list[dict[str, Any]]:
    declared = inputs(type(obj))[role]
    found = [_reference(source) for source in declared.used(obj)]
    if declared.many:
        for entry, row in zip(found, getattr(obj, f"{role}_members"), strict=False):
            entry |= {"used": row.used, "weight": row.weight, "reason": row.reason}
    return found


def _reference(obj: Persistent) -> dict[str, Any]:
    return {"object_id": obj.object_id, "class": type(obj).__name__, "label": str(obj)}


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: times as ISO text, what is not finite as null."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def as_text(obj: Persistent) -> str:
    """Return an object as lines of text in sections, with units and meanings."""
    lines = [str(obj) if str(obj).startswith(type(obj).__name__) else f"{type(obj).__name__} {obj.object_id} {obj}"]
    for title, entries in sections(obj).items():
        lines += ["", title, *_columns(_with_members(title, obj, entries))]
    return "\n".join(lines)


def _with_members(title: str, obj: Persistent, entries: list[Line]) -> list[Line]:
    """Return the lines, those of inputs that are many followed by one for each member."""
    if title != "inputs":
        return entries
    found = []
    for entry in entries:
        found.append(entry)
        if inputs(type(obj))[entry.name].many:
            rows = getattr(obj, f"{entry.name}_members")
            found += [_member(target, row) for target, row in zip(entry.targets[:_LONGEST_LIST], rows, strict=False)]
            if len(entry.targets) > _LONGEST_LIST:
                found.append(Line("", f"  and {len(entry.targets) - _LONGEST_LIST} more (awe info --json lists all)"))
    return found


def _member(target: Persistent, row: Any) -> Line:
    remark = "" if row.used else f", left out: {row.reason or 'no reason given'}"
    weight = f", weight {row.weight:.4g}" if row.weight is not None else ""
    return Line("", f"  {target}{weight}{remark}")


def _columns(lines: list[Line]) -> list[str]:
    names = max(len(line.name) for line in lines)
    texts = [f"{line.text} {line.unit}".rstrip() for line in lines]
    wide = min(44, max(map(len, texts)))
    rows = zip(lines, texts, strict=True)
    return [f"  {line.name:{names}}  {text:{wide}}  {line.doc}".rstrip() for line, text in rows]


def as_html(obj: Persistent) -> str:
    """Return an object as an HTML table: values with units and meanings, links to what it was made from."""
    title = str(obj) if str(obj).startswith(type(obj).__name__) else f"{type(obj).__name__} {obj.object_id} {obj}"
    rows = []
    for name, lines in sections(obj).items():
        rows.append(f'<tr><th colspan="3" style="text-align:left">{escape(name)}</th></tr>')
        rows += [_row(line) for line in lines]
    return f"<table><caption>{escape(title)}</caption>{''.join(rows)}</table>"


def _row(line: Line) -> str:
    cells = (escape(line.name), _cell(line), escape(line.doc))
    return "<tr>" + "".join(f'<td style="text-align:left">{cell}</td>' for cell in cells) + "</tr>"


def _cell(line: Line) -> str:
    if not line.targets:
        return escape(f"{line.text} {line.unit}".rstrip())
    more = f" and {len(line.targets) - _LONGEST_LIST} more" if len(line.targets) > _LONGEST_LIST else ""
    return ", ".join(_anchor(target) for target in line.targets[:_LONGEST_LIST]) + more


def _anchor(target: Persistent) -> str:
    label = str(target) if str(target).startswith(type(target).__name__) else f"{target} ({target.object_id})"
    if not pages.get():
        return escape(label)
    return f'<a href="{escape(pages.get())}/object/{target.object_id}">{escape(label)}</a>'
