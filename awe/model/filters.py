"""Turn a text such as `filter.name == "g" and exptime > 100` into a query; nothing in it is executed."""

import ast
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, inspect, not_, or_

from awe.errors import BadRequest
from awe.model.attributes import attribute_names, kinds_of, near_names
from awe.model.filter_names import Named, Narrowed, plain
from awe.model.filter_sky import FORMS, read_region
from awe.model.filter_text import HINT, FilterText, read_text
from awe.model.filter_values import converted, kind_of
from awe.model.persistent import QualityFlag
from awe.model.queries import Query
from awe.model.ranges import lies_in, parse_ranges
from awe.model.sky_search import is_placed, within

_CONSTANTS = {"true": True, "false": False, "none": None, "null": None}
_MIRRORED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.Is: lambda a, b: a.is_(b),
    ast.IsNot: lambda a, b: a.isnot(b),
    ast.In: lambda a, b: a.in_(b),
    ast.NotIn: lambda a, b: a.not_in(b),
}
_LARGEST = sys.float_info.max
_METHODS = {
    "between": "between(1, 5)",
    "box": FORMS["box"],
    "cone": FORMS["cone"],
    "contains": 'contains("part")',
    "endswith": 'endswith("end")',
    "has": 'has("FEW_INPUTS")',
    "like": 'like("M*")',
    "startswith": 'startswith("M")',
}


def parse_filter(cls: type, text: str) -> Query:
    """Return the objects of a class that a filter text selects; what can't be understood is named with its position.

    Comparisons `== != < <= > >=` (also chained, `=` for `==`), `like "M*"`, `between 1 and 5`, `in [..]`,
    `in "1:6,20"`, `is null`, the last four also with `not`, combined by `and or not`; names are attributes, with
    dots through links; a link is compared with a name or the number of an object. Regions of the sky are
    `cone(ra, dec, radius)` and `box(ra, dec, width, height)` in degrees, also behind a link. Methods: `.like("M*")`,
    `.contains("x")`, `.startswith("x")`, `.endswith("x")`, `.between(1, 5)`, and `quality_flags.has("NAME")`.
    """
    return Query(cls, filter_condition(cls, text))


def filter_condition(cls: type, text: str) -> ColumnElement[bool]:
    """Return the condition that a filter text states on the rows of a class."""
    read = read_text(text)
    return _Reader(cls, read).condition(read.parsed())


@dataclass(frozen=True)
class _Reader:
    cls: type
    text: FilterText

    def condition(self, node: ast.expr) -> ColumnElement[bool]:
        """Return the condition that an expression states."""
        match node:
            case ast.BoolOp(op=op, values=values):
                parts = [self.condition(v) for v in values]
                return and_(*parts) if isinstance(op, ast.And) else or_(*parts)
            case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr() as op, right=right):
                parts = [self.condition(left), self.condition(right)]
                return and_(*parts) if isinstance(op, ast.BitAnd) else or_(*parts)
            case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
                return not_(self.condition(operand))
            case ast.Compare():
                return self._comparison(node)
            case ast.Call():
                return self._call(node)
            case ast.Name() | ast.Attribute():
                return self._truth(node)
        raise self._refusal(node, f"this is no condition; {HINT}")

    def _comparison(self, node: ast.Compare) -> ColumnElement[bool]:
        sides = [node.left, *node.comparators]
        parts = [self._pair(a, op, b) for a, op, b in zip(sides, node.ops, sides[1:], strict=False)]
        return and_(*parts) if len(parts) > 1 else parts[0]

    def _pair(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> ColumnElement[bool]:
        if any(isinstance(side, ast.BinOp | ast.Compare) for side in (left, right)):
            raise self._refusal(left, "put comparisons beside & or | in brackets, or write `and`, `or`")
        if not self._is_name(left):
            if not self._is_name(right):
                raise self._refusal(left, "a comparison needs an attribute on one side")
            left, right, op = right, left, self._mirrored(op, left)
        name = self._name(left)
        if isinstance(name.end, Narrowed):
            raise self._refusal(left, f"{name.end.kind.__name__} is a kind: compare an attribute, such as .object_id")
        if isinstance(right, ast.Name) and self._is_name(right) and right.id not in attribute_names(self.cls):
            raise self._refusal(right, f'{right.id} is no attribute; a text stands in quotes: "{right.id}"')
        if self._is_name(right):
            return self._two_columns(name, op, self._name(right), right)
        return self._compared(name, op, right)

    def _mirrored(self, op: ast.cmpop, node: ast.expr) -> ast.cmpop:
        if isinstance(op, ast.In | ast.NotIn):
            raise self._refusal(node, 'after a text, `in` is written the other way round: object.contains("M67")')
        return _MIRRORED.get(type(op), type(op))()

    def _two_columns(self, name: Named, op: ast.cmpop, other: Named, node: ast.expr) -> ColumnElement[bool]:
        linked = name.links or other.links or name.is_link or other.is_link
        if linked or not isinstance(op, ast.Eq | ast.NotEq | ast.Lt | ast.LtE | ast.Gt | ast.GtE):
            raise self._refusal(node, f"only attributes of {self.cls.__name__} itself can be compared with each other")
        kinds = kind_of(name.end), kind_of(other.end)
        if kinds[0] != kinds[1] or kinds[0] in ("choice", "structure", "truth"):
            raise self._refusal(
                node, f"{name.end.key} is a {kinds[0]}, {other.end.key} a {kinds[1]}: they can't be compared"
            )
        return plain(_COMPARISONS[type(op)](name.end, other.end))

    def _compared(self, name: Named, op: ast.cmpop, right: ast.expr) -> ColumnElement[bool]:
        if isinstance(right, ast.Call) and isinstance(op, ast.In | ast.NotIn):
            return self._in_words(name, op, right)
        value = self._literal(right)
        if value is None:
            return self._with_none(name, op, right)
        if isinstance(op, ast.Is | ast.IsNot):
            raise self._refusal(right, "`is` is for None only: write ==")
        if isinstance(op, ast.In | ast.NotIn) and isinstance(value, str):
            return self._in_ranges(name, op, value, right)
        if isinstance(value, list) != isinstance(op, ast.In | ast.NotIn):
            raise self._refusal(right, "a list is compared by `in`, as in: filter.name in ['g', 'r']")
        first = value[0] if isinstance(value, list) and value else value
        end = self._comparable(name, first, right)
        if isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
            self._refuse_order_of_truth(end, right)
        found = _COMPARISONS[type(op)](end.end, self._value(end, value, right))
        return end.where(and_(plain(found), end.end <= _LARGEST) if _may_be_nan(end.end) else found)

    def _in_words(self, name: Named, op: ast.cmpop, call: ast.Call) -> ColumnElement[bool]:
        """Return the condition that `like` or `between` state, as words between a name and its values."""
        method = call.func
        if not isinstance(method, ast.Name) or method.id not in ("like", "between"):
            raise self._refusal(call, "a list is compared by `in`, as in: filter.name in ['g', 'r']")
        values = self._arguments(method.id, call)
        if name.is_link:
            name = self._comparable(name, values[0], call)
        found = plain(self._applied(name, method.id, values, call))
        return name.where(not_(found) if isinstance(op, ast.NotIn) else found)

    def _in_ranges(self, name: Named, op: ast.cmpop, text: str, node: ast.expr) -> ColumnElement[bool]:
        """Return the condition that a number lies in ranges such as "1:6,20"."""
        name = self._comparable(name, 1, node)
        try:
            if kind_of(name.end) != "number":
                raise ValueError("a list is compared by `in`, as in: filter.name in ['g', 'r']")
            found = plain(lies_in(name.end, parse_ranges(text)))
        except ValueError as error:
            raise self._refusal(node, str(error)) from error
        return name.where(not_(found) if isinstance(op, ast.NotIn) else found)

    def _with_none(self, name: Named, op: ast.cmpop, node: ast.expr) -> ColumnElement[bool]:
        if not isinstance(op, ast.Eq | ast.NotEq | ast.Is | ast.IsNot):
            raise self._refusal(node, "None is neither larger nor smaller: write `is None` or `is not None`")
        end, absent = name.end, isinstance(op, ast.Eq | ast.Is)
        if name.is_link and end.property.uselist:
            exists = plain(end.any())
            return name.where(not_(exists) if absent else exists)
        if name.is_link:
            return name.where(end == None if absent else end != None)  # noqa: E711  SQL
        if _may_be_nan(end):
            return name.where(or_(end.is_(None), end > _LARGEST) if absent else end <= _LARGEST)
        return name.where(end.is_(None) if absent else end.isnot(None))

    def _comparable(self, name: Named, value: Any, node: ast.expr) -> Named:
        """Return the column to compare: of a link, the name or the number of what it leads to."""
        if not name.is_link:
            return name
        target = name.end.property.mapper
        if isinstance(value, int) and not isinstance(value, bool):
            return name.below(target.get_property_by_column(target.primary_key[0]).key)
        if isinstance(value, str) and "name" in attribute_names(target.class_):
            return name.below("name")
        what = target.class_.__name__
        raise self._refusal(node, f"{ast.unparse(node)} is no {what}: compare with its number or an attribute")

    def _value(self, name: Named, value: Any, node: ast.expr) -> Any:
        if isinstance(value, list):
            return [self._value(name, v, node) for v in value]
        try:
            return converted(name.end, value)
        except ValueError as error:
            raise self._refusal(node, str(error)) from error

    def _truth(self, node: ast.expr) -> ColumnElement[bool]:
        name = self._name(node)
        if name.is_link or kind_of(name.end) != "truth":
            raise self._refusal(node, f"{ast.unparse(node)} must be compared with something; {HINT}")
        return name.where(name.end.is_(True))

    def _call(self, node: ast.Call) -> ColumnElement[bool]:
        method = node.func
        if isinstance(method, ast.Name) and method.id in FORMS:
            return self._region(method.id, None, node)
        if not isinstance(method, ast.Attribute) or method.attr not in _METHODS:
            raise self._refusal(node, f"no such function; there are .{', .'.join(_METHODS.values())}")
        name = self._name(method.value)
        if method.attr in FORMS:
            return self._region(method.attr, name, node)
        values = self._arguments(method.attr, node)
        if name.is_link:
            name = self._comparable(name, values[0], node)
            if method.attr == "contains":
                return name.where(name.end == self._value(name, values[0], node))
        return name.where(self._applied(name, method.attr, values, node))

    def _arguments(self, method: str, node: ast.Call) -> list[Any]:
        values = [self._literal(v) for v in node.args]
        if node.keywords or len(values) != (2 if method == "between" else 1):
            raise self._refusal(node, f"write it like .{_METHODS[method]}")
        return values

    def _region(self, form: str, link: Named | None, node: ast.Call) -> ColumnElement[bool]:
        if link is not None and not link.is_link:
            raise self._refusal(node, f"a value has no place on the sky: write {_METHODS[form]}")
        if node.keywords:
            raise self._refusal(node, f"write it like {_METHODS[form]}, without names")
        cls = link.target if link else self.cls
        if not is_placed(cls):
            raise self._refusal(node, f"a {cls.__name__} has no place on the sky; a link may lead to what has one")
        try:
            region = read_region(form, [self._literal(v) for v in node.args])
        except ValueError as error:
            raise self._refusal(node, str(error)) from error
        found = within(cls, region)
        return Named((*link.links, link.end), link.end).where(found) if link else found

    def _applied(self, name: Named, method: str, values: list[Any], node: ast.expr) -> Any:
        if method == "has":
            return name.end.bitwise_and(self._bit(name, values[0], node)) != 0
        if method == "between":
            self._refuse_order_of_truth(name, node)
            low, high = (self._value(name, v, node) for v in values)
            return name.end.between(low, high)
        if kind_of(name.end) != "text" or not isinstance(values[0], str):
            raise self._refusal(node, f".{method}() compares a text with a text in quotes")
        if method == "like":
            return name.end.like(like_pattern(values[0]), escape="\\")
        return getattr(name.end, method)(values[0], autoescape=True)

    def _refuse_order_of_truth(self, name: Named, node: ast.expr) -> None:
        if kind_of(name.end) == "truth":
            raise self._refusal(node, f"{name.end.key} is true or false, neither smaller nor larger: write = or !=")

    def _bit(self, name: Named, flag: Any, node: ast.expr) -> int:
        if name.end.key != "quality_flags":
            raise self._refusal(node, ".has() is for quality_flags")
        if not isinstance(flag, str) or flag not in QualityFlag.__members__:
            raise self._refusal(node, f"no quality flag {flag!r}; there are {', '.join(QualityFlag.__members__)}")
        return int(QualityFlag[flag])

    def _is_name(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            return node.id in attribute_names(self.cls) or node.id.lower() not in _CONSTANTS
        return isinstance(node, ast.Attribute)

    def _name(self, node: ast.expr) -> Named:
        """Return what a dotted name leads to; the name of the class may stand before it."""
        match node:
            case ast.Name(id=name):
                return Named((), self._attribute(self.cls, name, node))
            case ast.Attribute(value=ast.Name(id=first), attr=name) if first == self.cls.__name__:
                return Named((), self._attribute(self.cls, name, node))
            case ast.Attribute(value=ast.Name(id="parameters"), attr=name):
                return Named((), self._attribute(self.cls, f"param_{name}", node))
            case ast.Attribute(value=before, attr=name):
                return self._through(self._name(before), name, node)
        raise self._refusal(node, "this is no name of an attribute")

    def _through(self, link: Named, name: str, node: ast.expr) -> Named:
        if not link.is_link:
            raise self._refusal(node, f"{link.end.key} is a value, not a link: it has no {name!r}")
        kinds = kinds_of(link.target)
        end = Narrowed(link.target, kinds[name]) if name in kinds else self._attribute(link.target, name, node)
        return Named((*link.links, link.end), end)

    def _attribute(self, cls: type, name: str, node: ast.expr) -> Any:
        known = [n for n in attribute_names(cls) if n != "parameters" and n in inspect(cls).attrs]
        if name not in known:
            offered = [n for n in known if n == "object_id" or not n.endswith("_id")]
            shown = name.replace("param_", "parameters.")
            near = near_names(name, offered).replace("param_", "parameters.")
            raise self._refusal(node, f"{cls.__name__} has no attribute {shown!r}; {near}")
        return getattr(cls, name)

    def _literal(self, node: ast.expr) -> Any:
        match node:
            case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements):
                return [self._single(e) for e in elements]
        return self._single(node)

    def _single(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool() | None as value):
                return value
            case ast.Constant(value=str() as value):
                return self._storable(value, node)
            case ast.Constant(value=int() | float() as value):
                return self._finite(value, node)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as op, operand=ast.Constant(value=int() | float() as value)):
                return self._finite(-value if isinstance(op, ast.USub) else value, node)
            case ast.Name(id=name) if name.lower() in _CONSTANTS:
                return _CONSTANTS[name.lower()]
        raise self._refusal(node, "expected a number, a text in quotes, True, False or None")

    def _storable(self, text: str, node: ast.expr) -> str:
        if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
            raise self._refusal(node, "no text in the database has such characters")
        return text

    def _finite(self, value: float, node: ast.expr) -> float:
        if not (math.isfinite(value) and abs(value) < 2**63):
            raise self._refusal(node, "the number is too large")
        return value

    def _refusal(self, node: ast.AST, why: str) -> BadRequest:
        return self.text.refuse(node, why)


def _may_be_nan(column: Any) -> bool:
    """Return whether what is unknown in a column may be stored as NaN, which PostgreSQL holds to be larger than all."""
    stored = column.property.columns[0]
    return stored.table.name in ("source", "associate") and kind_of(column) == "number"


def like_pattern(text: str) -> str:
    """Return the SQL pattern of a text in which `*` (or `%`) is any text, and `?` any character."""
    escaped = text.replace("\\", "\\\\").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")
