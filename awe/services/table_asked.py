"""Tables that are asked for by a line of text: at the prompt and in the shell, as the pages ask for them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy.orm import Session

from awe.errors import NotFound
from awe.model.persistent import Persistent, persistent_class
from awe.services.columns import Column, named_column
from awe.services.list_view import parse_list_request
from awe.services.table_request import TableRequest, parse_request
from awe.services.table_rows import TableRows

if TYPE_CHECKING:
    from astropy.table import Table

_TYPES = {"int": int, "long": int, "float": float, "double": float, "boolean": bool, "text": str}


def rows_asked(session: Session, of: Any, given: Mapping[str, str]) -> TableRequest:
    """Return the request for the objects of a class (or its name), or for the rows of the list with a number.

    `given` are parameters of tables: where, columns, sort, count. Objects are in the order of their numbers, unless
    they are to be sorted.
    """
    given = {name: text for name, text in given.items() if text}
    if isinstance(of, type) or not str(of).isdecimal():
        cls = of if isinstance(of, type) else persistent_class(of)
        return parse_request(cls, {"sort": "object_id"} | given)
    found = session.get(Persistent, int(of))
    if found is None:
        raise NotFound(f"no object {of}")
    return parse_list_request(session.get_one(persistent_class(found.class_name), int(of)), given)


def table_asked(session: Session, request: TableRequest) -> "Table":
    """Return the rows of a request with units and descriptions; what is not known is masked, links are names."""
    from astropy.table import Table  # costs half a second, and few need it

    columns = [named_column(c) for c in request.columns]
    rows = [row for part in TableRows(request, columns).values(session) for row in part]
    found = Table(masked=True)
    for place, (column, asked) in enumerate(zip(columns, request.columns, strict=True)):
        found[asked.path] = _column(column, [row[place] for row in rows])
    return found


def _column(column: Column, values: list[Any]) -> Any:
    from astropy.table import MaskedColumn

    kind: Any = object if column.many else _TYPES.get(column.datatype, object)
    known = [kind() if v is None and kind is not object else getattr(v, "value", v) for v in values]
    filled = np.empty(len(values), object) if kind is object else None
    if filled is not None:
        filled[:] = known
    mask = [v is None for v in values]
    unit = column.unit if kind in (int, float) else None
    data = known if filled is None else filled
    return MaskedColumn(data, mask=mask, dtype=kind, unit=unit or None, description=column.doc)
