"""Reference pages made from the declarations: `python -m awe.model.reference_pages FILE`, by the name of the file."""

import enum
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import RelationshipDirection

from awe.config import Settings
from awe.model import Base
from awe.model.lineage import inputs, parameter_default
from awe.model.persistent import Job, Persistent, Process, QualityFlag, concrete_classes

_MADE = "<!-- Made from the code by `make docs`; changes here are lost. -->"
_DERIVED = {
    "home": "`awe` in `$XDG_DATA_HOME`, else in `~/.local/share`",
    "database": "SQLite, `awe.db` in `home`",
    "data_folder": "`files` in `home`",
    "cache_folder": "`cache` in `home`",
    "user": "the login name",
    "workers": "one for each core",
}


def classes_page() -> str:
    """Return the page of all persistent classes in processing order."""
    known = concrete_classes()
    parts = [
        "# Classes",
        _MADE,
        "In the order of processing: what a class is made from stands above it. Each object also has the columns of "
        "[Persistent](#persistent); each frame those of [Frame](#frame).",
        ", ".join(f"[{cls.__name__}](#{cls.__name__.lower()})" for cls in known),
        _class_section(Persistent),
        *(_class_section(cls) for cls in known),
        "# Records",
        "Rows that are no objects: they are written in bulk, or tell what was done. Besides these, each input that is "
        "many has a table of its own, named by class and input (`coadd_regridded_frames`), with `product_id`, "
        "`input_id`, `position`, `used`, `weight` and `reason`.",
        *(_table_section(name, doc) for name, doc in _records().items()),
        "# Quality flags",
        "What the system itself found wrong with a product, as bits of `quality_flags`.",
        _rows(("flag", "bit"), ((f"`{flag.name}`", str(flag.value)) for flag in QualityFlag)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _class_section(cls: Any) -> str:
    parent = cls.__mro__[1]
    ancestry = next((c for c in cls.__mro__[1:] if isinstance(c, type) and issubclass(c, Persistent)), None)
    about = [f"A [{ancestry.__name__}](#{ancestry.__name__.lower()})."] if ancestry not in (None, Persistent) else []
    if cls.__key__ and "__key__" in vars(cls):
        about.append(f"Identified by {', '.join(f'`{name}`' for name in cls.__key__)}.")
    parts = [f"## {cls.__name__}", (cls.__doc__ or "").strip(), " ".join(about)]
    parts.append(_titled("Inputs", _inputs_table(cls, parent)))
    parts.append(_titled("Parameters", _parameters_table(cls)))
    parts.append(_titled("Measured", _columns_table(cls, measured=True)))
    parts.append(_titled("Other columns", _columns_table(cls, measured=False)))
    return "\n\n".join(part for part in parts if part)


def _titled(title: str, table: str) -> str:
    return f"**{title}**\n\n{table}" if table else ""


def _inputs_table(cls: Any, parent: Any) -> str:
    inherited = inputs(parent) if isinstance(parent, type) and issubclass(parent, Persistent) else {}
    rows = []
    for name, declared in inputs(cls).items():
        if name in inherited:
            continue
        source = declared.source.__name__
        many = " (many)" if declared.many else ""
        rule = "given: part of the key" if declared.rule is None else str(declared.rule)
        rows.append((f"`{name}`", f"[{source}](#{source.lower()}){many}", declared.doc, rule))
    return _rows(("input", "class", "what", "which"), rows)


def _parameters_table(cls: Any) -> str:
    if "Parameters" not in vars(cls):
        return ""
    rows = []
    for declared in fields(cls.Parameters):
        default = parameter_default(declared)
        choices = [m.value for m in type(default)] if isinstance(default, enum.Enum) else []
        doc = declared.metadata["doc"] + (f" ({', '.join(choices)})" if choices else "")
        rows.append((f"`{declared.name}`", f"`{_spelled(default)}`", declared.metadata["unit"], doc))
    return _rows(("parameter", "default", "unit", "meaning"), rows)


def _spelled(value: Any) -> str:
    if value is None:
        return "none"
    return str(value.value if isinstance(value, enum.Enum) else value)


def _columns_table(cls: Any, *, measured: bool) -> str:
    """Return the columns and links that the class itself adds, without its inputs and parameters."""
    mapper: Any = inspect(cls)
    above: Any = mapper.inherits
    known = {attribute.key for attribute in above.attrs} if above is not None else set()
    rows = []
    for attribute in mapper.column_attrs:
        column = attribute.columns[0]
        hidden = attribute.key in known or column.foreign_keys or "parameter" in column.info
        if hidden or bool(column.info.get("measured")) != measured:
            continue
        rows.append(_column_row(attribute.key, column))
    if not measured:
        rows += [_link_row(relation) for relation in mapper.relationships if _is_link(relation, known)]
    return _rows(("column", "type", "unit", "meaning"), rows)


def _column_row(name: str, column: Any) -> tuple[str, ...]:
    return f"`{name}`", _kind(column), column.info.get("unit", ""), column.comment or ""


def _kind(column: Any) -> str:
    kinds = {bool: "truth", int: "whole number", float: "number", str: "text", datetime: "time", date: "date"}
    python = column.type.python_type
    return kinds.get(python, "JSON")


def _is_link(relation: Any, known: set[str]) -> bool:
    plain = relation.direction is RelationshipDirection.MANYTOONE and "input" not in relation.info
    return plain and relation.key not in known


def _link_row(relation: Any) -> tuple[str, ...]:
    target = relation.mapper.class_
    name = target.__name__
    return f"`{relation.key}`", f"[{name}](#{name.lower()})", "", relation.doc or ""


def _records() -> dict[str, str]:
    """Return the tables of rows that are no objects, and what they hold."""
    plain = {
        "process": Process.__doc__ or "",
        "job": Job.__doc__ or "",
        "source": "One source of a [SourceList](#sourcelist).",
        "associate": "One member of an associate of an [AssociateList](#associatelist).",
    }
    objects = {getattr(cls, "__tablename__", "") for cls in (Persistent, *concrete_classes())}
    own = {str(mapper.local_table): mapper.class_.__doc__ or "" for mapper in Base.registry.mappers}
    own = {name: doc for name, doc in own.items() if name not in objects and name.partition("_")[0] not in objects}
    return plain | {name: doc for name, doc in sorted(own.items()) if name not in plain}


def _table_section(name: str, doc: str) -> str:
    table = Base.metadata.tables[name]
    rows = [_column_row(column.name, column) for column in table.columns]
    # the anchors of Process and Job, to which links of objects lead
    title = {"process": "Process", "job": "Job"}.get(name, name)
    return "\n\n".join((f"## {title}", doc.strip(), _rows(("column", "type", "unit", "meaning"), rows)))


def settings_page() -> str:
    """Return the page of all settings."""
    rows = []
    for setting in fields(Settings):
        default = _DERIVED.get(setting.name) or (
            f"`{setting.default}`" if setting.default not in ("", Path()) else "none"
        )
        name = setting.name
        rows.append(
            (f"`{name}`", f"`AWE_{name.upper()}`", f"`--{name.replace('_', '-')}`", default, setting.metadata["doc"])
        )
    return (
        "\n\n".join(
            (
                "# Settings",
                _MADE,
                "An option before the command wins over a variable of the environment, that over a line in `awe.toml`, "
                "that over the default. The file is `awe.toml` in the working directory, or the one that `AWE_CONFIG` "
                "names. A name that is no setting is refused. `awe config show` tells each value and its origin.",
                _rows(("in `awe.toml`", "variable", "option", "default", "meaning"), rows),
                '```toml\ndatabase = "postgresql://localhost/survey"\ndata_server = "http://127.0.0.1:8001"\n'
                'project = "survey"\nworkers = 8\n```',
            )
        )
        + "\n"
    )


def _rows(headers: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table without the columns that are empty; nothing if there are no rows."""
    found = list(rows)
    if not found:
        return ""
    kept = [i for i in range(len(headers)) if any(row[i] for row in found)]
    lines = [tuple(headers), tuple("---" for _ in headers), *found]
    return "\n".join("| " + " | ".join(line[i].replace("|", "\\|") for i in kept) + " |" for line in lines)


PAGES: dict[str, Callable[[], str]] = {"classes.md": classes_page, "settings.md": settings_page}


def main(paths: Iterable[str]) -> None:
    """Write pages; which one is told by the name of the file."""
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGES[path.name](), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
