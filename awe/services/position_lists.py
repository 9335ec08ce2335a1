"""Lists of positions that people send: CSV or VOTable, read with astropy, refused with the row that is wrong."""

import io
import json
import math
import re
import warnings
from collections.abc import Iterable, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any

from astropy.io import ascii as text_tables
from astropy.io.votable import parse
from astropy.utils.exceptions import AstropyWarning
from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from awe.database import short_transaction
from awe.errors import BadRequest, NotAllowed, NotFound, NotSignedIn
from awe.model.access import Person
from awe.model.angles import parse_dec, parse_ra
from awe.model.persistent import utc_now
from awe.model.rendering import PositionList, Rendering

MOST = 1000
"""Positions of a list."""
KEPT = timedelta(days=30)
"""How long a list is kept that nobody in particular sent; others are kept until who sent them deletes them."""
LONGEST_NAME = 60
_RA = re.compile(r"_?(ra|raj2000|ra_?icrs|ra_?deg|alpha(_j2000)?|right_?ascension)", re.IGNORECASE)
_DEC = re.compile(r"_?(de|dec|dej2000|decj2000|de_?icrs|dec_?deg|delta(_j2000)?|declination)", re.IGNORECASE)
_NAME = re.compile(r"(name|id|object|main_id|source_?id|designation|target)", re.IGNORECASE)
_ENCODING = re.compile(r"""\s*<\?xml[^>]*\bencoding\s*=\s*["']([^"']*)""")
_KEY = re.compile(r"[0-9a-f]{32}")

Position = tuple[str, float, float]
"""Name, right ascension and declination (deg)."""


def read_positions(content: bytes, filename: str) -> list[Position]:
    """Return the positions of a CSV file or VOTable; raise BadRequest naming the row or column that is wrong."""
    head = content[:2000].lstrip()
    is_votable = head.startswith(b"<?xml") or b"<VOTABLE" in head or filename.lower().endswith((".vot", ".xml"))
    names, rows = _votable(content) if is_votable else _csv(content)
    if not rows:
        raise BadRequest("the list has no rows: it needs a heading with ra and dec, and a line for each position")
    if len(rows) > MOST:
        raise BadRequest(f"the list has {len(rows):,} rows, the limit is {MOST:,}: send it in parts")
    ra, dec, name = _column(names, _RA, "ra"), _column(names, _DEC, "dec"), _column(names, _NAME, "")
    return [_position(number, row, ra, dec, name) for number, row in enumerate(rows, 1)]


def keep_positions(engine: Engine, positions: Sequence[Position], name: str, creator: str) -> str:
    """Store a list of positions and return its key; the same list again, of the same person, has the same key.

    Lists of nobody in particular that were not sent again for `KEPT` are forgotten at this occasion.
    """
    plain, now = [list(p) for p in positions], utc_now()
    owned = [creator, plain] if creator else plain
    key = sha256(json.dumps(owned).encode()).hexdigest()[:32]
    with short_transaction(engine) as session:
        past = select(PositionList.key).where(PositionList.creator == "", PositionList.created < now - KEPT)
        for old in session.scalars(past).all():
            _forget(session, old)
        known = session.get(PositionList, key)
        if known is None:
            session.add(PositionList(key=key, name=name[:LONGEST_NAME], positions=plain, creator=creator, created=now))
        elif not creator:
            known.created = now
    return key


def lists_of(session: Session, creator: str) -> Sequence[PositionList]:
    """Return the lists that somebody sent, newest first; none of nobody in particular."""
    query = select(PositionList).where(PositionList.creator == creator, PositionList.creator != "")
    return session.scalars(query.order_by(PositionList.created.desc(), PositionList.key)).all()


def delete_positions(engine: Engine, key: str, person: Person) -> None:
    """Delete a list and the record of what was cut by it; raise NotSignedIn or NotAllowed for all but its sender."""
    with short_transaction(engine) as session:
        found = find_positions(session, key)
        if not person:
            raise NotSignedIn("only who sent a list may delete it: sign in, or send your token")
        if person.user != found.creator:
            raise NotAllowed(f"{person.user} did not send this list of positions, so may not delete it")
        _forget(session, key)


def _forget(session: Session, key: str) -> None:
    path = f"/cutouts/positions/{key}"
    session.execute(delete(Rendering).where(Rendering.service == "cutouts", Rendering.address.startswith(path)))
    session.execute(delete(PositionList).where(PositionList.key == key))


def find_positions(session: Session, key: str) -> PositionList:
    """Return a list of positions that was sent before."""
    known = _KEY.fullmatch(key)
    found = session.scalar(select(PositionList).where(PositionList.key == key)) if known else None
    if found is None:
        raise NotFound(f"no list of positions {key[:40]!r}: send it again at /cutouts")
    return found


def _csv(content: bytes) -> tuple[list[str], list[Sequence[Any]]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"the list is neither text (UTF-8) nor a VOTable: byte {error.start} is no character"
        ) from error
    if not text.strip():
        return [], []
    try:
        # in lines, since a text of one line would be taken for the name of a file
        table = text_tables.read(
            [line for line in text.splitlines() if line.strip()],
            format="csv", delimiter=_delimiter(text), fast_reader=False, guess=False,
            converters={"*": [text_tables.convert_numpy(str)]}, fill_values=[],
        )  # fmt: skip
    except (text_tables.InconsistentTableError, ValueError, IndexError) as error:
        raise BadRequest(f"the list can't be read as CSV: {str(error).splitlines()[0][:200]}") from error
    return list(table.colnames), [tuple(row) for row in table]


def _delimiter(text: str) -> str:
    first = next(line for line in text.splitlines() if line.strip())
    return max(",;\t|", key=first.count)


def _votable(content: bytes) -> tuple[list[str], list[Sequence[Any]]]:
    _check_closed(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)  # what matters is found below, row by row
            table = parse(io.BytesIO(content), verify="ignore").get_first_table()
    except Exception as error:
        # astropy and expat raise many classes of their own, all meaning that this is no VOTable
        raise BadRequest(f"the list can't be read as a VOTable: {str(error).splitlines()[0][:200]}") from error
    names = [_named_by_ucd(f.ucd or "") or f.name or f.ID or "" for f in table.fields]
    return names, list(table.array)


def _check_closed(content: bytes) -> None:
    """Raise BadRequest for a VOTable that may lead to other files, which would be read here with the rights of awe."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequest(f"the VOTable is not written in UTF-8: byte {error.start} is no character") from error
    encoding = _ENCODING.match(text)
    if encoding and encoding[1].lower() not in ("utf-8", "us-ascii", "ascii"):
        raise BadRequest(f"the VOTable is written in {encoding[1][:20]}, and only UTF-8 is read")
    plain = text.lower()
    if "<!doctype" in plain or "<!entity" in plain or ("stream" in plain and "href" in plain):
        raise BadRequest("the VOTable refers to other files (DOCTYPE, ENTITY or STREAM href): send the rows themselves")


def _named_by_ucd(ucd: str) -> str:
    words = ucd.lower().replace("_", ".")
    for word, name in (("pos.eq.ra", "ra"), ("pos.eq.dec", "dec")):
        if words.startswith(word) and "error" not in words:
            return name
    return ""


def _column(names: Iterable[str], pattern: re.Pattern[str], needed: str) -> int | None:
    found = [i for i, name in enumerate(names) if pattern.fullmatch(str(name).strip())]
    if not found and needed:
        shown = ", ".join(str(n)[:20] for n in list(names)[:12]) or "none"
        raise BadRequest(f"the list has no column {needed}; its columns: {shown}")
    return found[0] if found else None


def _position(number: int, row: Sequence[Any], ra: int | None, dec: int | None, name: int | None) -> Position:
    assert ra is not None
    assert dec is not None
    try:
        place = parse_ra(_text(row[ra])), parse_dec(_text(row[dec]))
    except (ValueError, IndexError) as error:
        raise BadRequest(f"row {number}: {error or 'a value is missing'}") from error
    if not all(map(math.isfinite, place)):
        raise BadRequest(f"row {number}: the position is not a number")
    label = _text(row[name])[:LONGEST_NAME] if name is not None else ""
    return (label or str(number), *place)


def _text(value: Any) -> str:
    if value is None or getattr(value, "mask", False) is True or str(value) in ("--", "nan", ""):
        raise ValueError("a value is missing")
    return str(value).strip()
