"""What a run of cutouts makes, as files: a list of them, a manifest, an archive."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from awe.errors import BadRequest
from awe.services.cutout import Plan, encoded, plan
from awe.services.cutout_request import MEDIA_TYPES
from awe.services.cutout_runs import MOST, Page, Run, load
from awe.services.cutting import cut_many
from awe.services.journal import Journal
from awe.services.series import Member
from awe.store import Store

CHUNK = 1000
"""Members of a run that are read from the database at once."""
FIELDS = ("file", "object_id", "class", "slid", "sid", "alid", "aid", "name", "ra", "dec", "x", "y", "reason")

Chosen = tuple[int, int, str]
"""Member of the run to count from, place of a cutout from there on, form of its file."""
Picked = tuple[int, str]
_CHOSEN = re.compile(r"(?:(?P<row>[0-9]{1,6})-)?(?P<place>[0-9]{1,4})\.(?P<form>\w+)", re.ASCII)


@dataclass(frozen=True)
class Line:
    """One file of a directory."""

    key: str
    """What stands for it in an address, such as 17.png, or 60-17.png on a later page."""
    name: str
    member: Member
    form: str


def directory(page: Page, first: int, forms: Iterable[str]) -> list[Line]:
    """Return the files that a part of a run gives; `first`: the member of the run that it begins with."""
    before = f"{first}-" if first else ""
    shown = [(i, m) for i, m in enumerate(page.members) if page.is_inside(m)]
    return [Line(f"{before}{i}.{form}", page.name(m, form), m, form) for i, m in shown for form in forms]


def manifest_rows(page: Page, forms: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield a row for each file; one without a file for each member that can't be cut out."""
    for member in page.members:
        reason = page.reason(member)
        frame = page.frames.get(member.frame_id)
        sky = {"ra": member.ra, "dec": member.dec}
        pixel = {"x": _fits(member.x), "y": _fits(member.y)}
        of = {"object_id": member.frame_id or None, "class": frame.class_name if frame else None}
        numbers = {"slid": member.slid, "sid": member.sid, "alid": member.alid, "aid": member.aid, "name": member.name}
        for form in forms if not reason else ("",):
            name = page.name(member, form) if form else ""
            yield {"file": name, **of, **numbers, **sky, **pixel, "reason": reason}


def manifest(page: Page, forms: Sequence[str]) -> dict[str, Any]:
    """Return the manifest of a run as JSON holds it; x and y count as in FITS, from 1."""
    parameters = {"size": page.run.request.size} | page.run.request.query()
    return {"address": page.run.address, "parameters": parameters, "files": list(manifest_rows(page, forms))}


def manifest_csv(rows: Iterable[dict[str, Any]], run: Run) -> str:
    """Return the manifest as CSV; the size and the other parameters stand in each line."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, (*FIELDS, "size", "parameters"), lineterminator="\n")
    writer.writeheader()
    rest = {"size": run.request.size, "parameters": run.address}
    writer.writerows(row | rest for row in rows)
    return buffer.getvalue()


def archive_files(
    session: Session, store: Store, run: Run, forms: Sequence[str], chosen: Sequence[Chosen] = ()
) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each file of a run in these forms, or of the chosen ones; at last the manifests.

    What is in memory at a time are some groups of neighbouring cutouts, and the rows of the manifest.
    """
    rows: list[dict[str, Any]] = []
    journal = Journal()
    for start, picked in _parts(chosen):
        limit = max(CHUNK, *(i + 1 for i, _ in picked), 1)
        with journal.step("database", f"rows and frames from row {start}"):
            page = load(session, store, run, limit, start)
        session.rollback()  # hold no transaction while pixels are computed
        wanted = picked or [(i, form) for i in range(len(page.members)) for form in forms]
        words = f"sections of {len(page.members)} members read and encoded, where={run.request.where}"
        yield from journal.coming("cut", words, _files(store, page, wanted))
        rows += _manifest_of(page, wanted, bool(chosen))
        if not chosen and start + CHUNK >= page.total:
            break
    yield "manifest.csv", manifest_csv(rows, run).encode()
    content = {"address": run.address, "parameters": run.request.query(), "files": rows, "steps": journal.as_json()}
    yield "manifest.json", json.dumps(content, indent=1).encode()


def check_size(total: int) -> None:
    """Raise BadRequest if a run has more members than one archive takes."""
    if total > MOST:
        raise BadRequest(
            f"this run has {total:,} cutouts, the limit of one archive is {MOST:,}: choose some, such as 0:999"
        )


def _parts(chosen: Sequence[Chosen]) -> Iterator[tuple[int, list[Picked]]]:
    """Yield first row and chosen cutouts of each part of a run; without end, and with none, if none is chosen."""
    if not chosen:
        yield from ((start, []) for start in count(0, CHUNK))
    found: dict[int, list[Picked]] = {}
    for start, i, form in chosen:
        found.setdefault(start, []).append((i, form))
    yield from sorted(found.items())


def parse_chosen(texts: Iterable[str]) -> list[Chosen]:
    """Return the files that the boxes of a directory name, such as `17.png`; raise BadRequest for what is none.

    `60-17.png` is number 17 counted from member 60 on, both from 0.
    """
    found = []
    for text in texts:
        read = _CHOSEN.fullmatch(text)
        if read is None or read["form"] not in MEDIA_TYPES:
            raise BadRequest(f"file must be like 17.png, got {text[:40]!r}")
        found.append((int(read["row"] or 0), int(read["place"]), read["form"]))
    return found


def _files(store: Store, page: Page, wanted: Iterable[Picked]) -> Iterator[tuple[str, bytes]]:
    """Yield the wanted files of a part of a run."""
    forms: dict[int, list[str]] = {}
    for i, form in wanted:
        if i < len(page.members):
            forms.setdefault(i, []).append(form)
    inside = [i for i in forms if page.is_inside(page.members[i])]
    plans: list[Plan] = []
    for i in inside:
        spot = page.spot(page.members[i])
        assert spot is not None
        plans.append(plan(spot, page.run.request))
    places = {id(p): i for p, i in zip(plans, inside, strict=True)}

    def made(wanted: Plan, image: np.ndarray) -> list[tuple[str, bytes]]:
        i = places[id(wanted)]
        return [(page.name(page.members[i], form), encoded(wanted, image, form)) for form in forms[i]]

    for _, files in cut_many(store, plans, made):
        yield from files or ()


def _manifest_of(page: Page, wanted: Sequence[Picked], only_chosen: bool) -> Iterator[dict[str, Any]]:
    forms = list(dict.fromkeys(form for _, form in wanted))
    if not only_chosen:
        yield from manifest_rows(page, forms)
        return
    names = {page.name(page.members[i], form) for i, form in wanted if i < len(page.members)}
    yield from (row for row in manifest_rows(page, forms) if row["file"] in names)


def _fits(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(value + 1, 4)
