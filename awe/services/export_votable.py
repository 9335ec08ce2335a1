"""Tables as VOTable 1.4: with unit, UCD and meaning of each column; what has no value is an empty cell."""

import re
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from awe.services.columns import Column
from awe.services.export import Exported

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TYPES = {
    "int": 'datatype="int"',
    "long": 'datatype="long"',
    "float": 'datatype="float"',
    "double": 'datatype="double"',
    "boolean": 'datatype="boolean"',
    "time": 'datatype="char" arraysize="*" xtype="timestamp"',
    "date": 'datatype="char" arraysize="*"',
    "text": 'datatype="unicodeChar" arraysize="*"',
}
_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
<RESOURCE type="results">
<DESCRIPTION>{description}</DESCRIPTION>
<INFO name="QUERY_STATUS" value="OK"/>
<INFO name="QUERY" value={query}/>
<COOSYS ID="icrs" system="ICRS"/>
<TABLE name={name}>
"""


def votable_parts(table: Exported) -> Iterator[bytes]:
    """Yield the file, some rows at a time."""
    title = f"{table.title}: {table.description}"
    head = _HEAD.format(description=_text(title), query=_attribute(table.query), name=_attribute(table.title))
    yield (head + "".join(_field(i, c) for i, c in enumerate(table.columns)) + "<DATA><TABLEDATA>\n").encode()
    for rows in table.rows():
        yield "".join(_row(row) for row in rows).encode()
    yield b"</TABLEDATA></DATA>\n</TABLE>\n</RESOURCE>\n</VOTABLE>\n"


def _field(number: int, column: Column) -> str:
    parts = [f'<FIELD ID="c{number}" name={_attribute(column.name)} {_TYPES[column.datatype]}']
    parts += [f"unit={_attribute(column.unit)}"] if column.unit else []
    parts += [f"ucd={_attribute(column.ucd)}"] if column.ucd else []
    parts += ['ref="icrs"'] if column.ucd.startswith("pos.eq.") else []
    return f"{' '.join(parts)}><DESCRIPTION>{_text(column.doc)}</DESCRIPTION></FIELD>\n"


def _row(values: tuple[Any, ...]) -> str:
    return f"<TR>{''.join(_cell(v) for v in values)}</TR>\n"


def _cell(value: Any) -> str:
    if value is None:
        return "<TD/>"
    if isinstance(value, bool):
        return f"<TD>{'T' if value else 'F'}</TD>"
    return f"<TD>{_text(value) if isinstance(value, str) else repr(value)}</TD>"


def _text(text: str) -> str:
    return escape(_FORBIDDEN.sub("\ufffd", text))


def _attribute(text: str) -> str:
    return quoteattr(_FORBIDDEN.sub("\ufffd", text))
