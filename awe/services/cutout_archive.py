"""What a run of cutouts makes, as files: a list of them, a manifest, an archive."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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

Chosen = tuple[int, str]
"""Place of a member in its run, from 0, and the form of its file."""


@dataclass(frozen=True)
class Line:
    """One file of a directory."""

    index: int
    form: str
    name: str
    member: Member


def directory(page: Page, first: int, forms: Iterable[str]) -> list[Line]:
    """Return the files that a part of a run gives; `first`: place of its first member in the run."""
    shown = [(i, m) for i, m in enumerate(page.members, first) if page.is_inside(m)]
    return [Line(i, form, page.name(m, form), m) for i, m in shown for form in forms]


def manifest_rows(page: Page, forms: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield a row for each file; one without a file for each member that can't be cut out."""
    for member in page.members:
        reason = page.reason(member)
        frame = page.frames.get(member.frame_id)
        sky = {"ra": member.ra, "dec": member.dec}
        pixel = {"x": _fits(member.x), "y": _fits(member.y)}
        of = {"object_id": member.frame_id, "class": frame.class_name if frame else None}
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
    of_chunk: dict[int, list[Chosen]] = {}
    for index, form in chosen:
        of_chunk.setdefault(index // CHUNK, []).append((index, form))
    start, total = 0, 1
    while start < total:
        if not chosen or start // CHUNK in of_chunk:
            with journal.step("database", f"rows and frames of members from {start}"):
                page = load(session, store, run, CHUNK, start)
            session.rollback()  # hold no transaction while pixels are computed
            total = page.total
            all_of_it = [(start + i, f) for i in range(len(page.members)) for f in forms]  # associates have several
            wanted = of_chunk.get(start // CHUNK, all_of_it)
            words = f"sections of {len(page.members)} members read and encoded, where={run.request.where}"
            yield from journal.coming("cut", words, _files(store, page, start, wanted))
            rows += _manifest_of(page, start, wanted, bool(chosen))
        elif start // CHUNK > max(of_chunk):
            break
        else:
            total = start + CHUNK + 1
        start += CHUNK
    yield "manifest.csv", manifest_csv(rows, run).encode()
    content = {"address": run.address, "parameters": run.request.query(), "files": rows, "steps": journal.as_json()}
    yield "manifest.json", json.dumps(content, indent=1).encode()


def check_size(total: int) -> None:
    """Raise BadRequest if a run has more members than one archive takes."""
    if total > MOST:
        raise BadRequest(
            f"this run has {total:,} cutouts, the limit of one archive is {MOST:,}: choose some, such as 0:999"
        )


def parse_chosen(texts: Iterable[str]) -> list[Chosen]:
    """Return the files that the boxes of a directory name, such as `17.png`; raise BadRequest for what is none."""
    found = []
    for text in texts:
        index, _, form = text.partition(".")
        if not (index.isascii() and index.isdigit() and len(index) < 7) or form not in MEDIA_TYPES:
            raise BadRequest(f"file must be like 17.png, got {text[:40]!r}")
        found.append((int(index), form))
    return list(dict.fromkeys(found))


def _files(store: Store, page: Page, start: int, wanted: Iterable[Chosen]) -> Iterator[tuple[str, bytes]]:
    """Yield the wanted files of a part of a run."""
    forms: dict[int, list[str]] = {}
    for index, form in wanted:
        if 0 <= index - start < len(page.members):
            forms.setdefault(index - start, []).append(form)
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


def _manifest_of(page: Page, start: int, wanted: Sequence[Chosen], only_chosen: bool) -> Iterator[dict[str, Any]]:
    forms = list(dict.fromkeys(form for _, form in wanted))
    if not only_chosen:
        yield from manifest_rows(page, forms)
        return
    names = {page.name(page.members[i - start], form) for i, form in wanted if 0 <= i - start < len(page.members)}
    yield from (row for row in manifest_rows(page, forms) if row["file"] in names)


def _fits(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(value + 1, 4)
