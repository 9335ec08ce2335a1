"""`awe classes` and `awe describe`: the persistent classes as they declare themselves."""

from typing import Any

import click
from sqlalchemy import inspect

from awe.cli.printing import print_json, table
from awe.model.lineage import inputs
from awe.model.persistent import Persistent, concrete_classes, persistent_class
from awe.processing.tasks import described_parameters, tasks
from awe.services.declared import Field, fields_of, summary_of


@click.command()
@click.option("--json", "as_json", is_flag=True, help="as JSON")
def classes(as_json: bool) -> None:
    """List the persistent classes, in processing order.

    \b
    Example: awe classes
    """
    makers = tasks()
    rows = [(c.__name__, _parent(c), makers[c].name if c in makers else "-", summary_of(c)) for c in concrete_classes()]
    if as_json:
        print_json([dict(zip(("class", "parent", "made_by", "doc"), row, strict=True)) for row in rows])
        return
    click.echo(table(("class", "is a", "made by", "what it is"), rows))


def _parent(cls: type) -> str:
    return next(base.__name__ for base in cls.__mro__[1:] if issubclass(base, Persistent))


@click.command()
@click.argument("name", metavar="CLASS")
@click.option("--all", "everything", is_flag=True, help="also what all objects have")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
def describe(name: str, everything: bool, as_json: bool) -> None:
    """Show inputs, parameters and columns of a class, with units and meanings.

    \b
    Example: awe describe ReducedFrame
    """
    cls: Any = persistent_class(name)
    if as_json:
        print_json(_as_json(cls))
        return
    blocks = [f"{cls.__name__}: {(cls.__doc__ or '').strip()}", f"key: {', '.join(cls.__key__) or 'none'}"]
    blocks += _block("inputs", ("role", "class", "chosen by", "meaning"), _inputs(cls))
    blocks += _block("parameters", ("name", "type", "default", "unit", "meaning"), _parameters(cls))
    common = {c.key for c in inspect(Persistent).column_attrs}
    fields = [
        f
        for f in fields_of(cls)
        if f.role in ("link", "described", "measured") and (everything or f.name not in common)
    ]
    blocks += _block("columns", ("name", "type", "unit", "meaning"), [_column(f) for f in fields])
    click.echo("\n\n".join(blocks))


def _block(title: str, headers: tuple[str, ...], rows: list[Any]) -> list[str]:
    return [f"{title}\n{table(headers, rows, indent='  ')}"] if rows else []


def _inputs(cls: type) -> list[tuple[str, str, str, str]]:
    return [
        (
            role,
            f"{d.source.__name__}{' (many)' if d.many else ' (may be none)' if d.optional else ''}",
            _rule(d.rule),
            d.doc,
        )
        for role, d in inputs(cls).items()
    ]


def _rule(rule: Any) -> str:
    return "you" if rule is None else type(rule).__name__


def _parameters(cls: type) -> list[tuple[str, ...]]:
    found = described_parameters(cls)
    return [
        (p["name"], p["type"], str(getattr(p["default"], "value", p["default"])), p["unit"], p["doc"]) for p in found
    ]


def _column(field: Field) -> tuple[str, str, str, str]:
    kind = field.target.__name__ if field.target is not None else field.kind
    return field.name, kind, field.unit, field.doc + (" (measured)" if field.role == "measured" else "")


def _as_json(cls: Any) -> dict[str, Any]:
    roles = ("role", "class", "chosen_by", "doc")
    names = ("name", "type", "unit", "doc")
    return {
        "class": cls.__name__,
        "doc": (cls.__doc__ or "").strip(),
        "key": cls.__key__,
        "inputs": [dict(zip(roles, row, strict=True)) for row in _inputs(cls)],
        "parameters": described_parameters(cls),
        "columns": [dict(zip(names, _column(f), strict=True)) for f in fields_of(cls) if f.role != "input"],
    }
