"""Everything that is known of one object: values, inputs, users, how it was made, whether it is stale."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from awe.errors import NotFound
from awe.model.access import visible
from awe.model.coadd import RegriddedFrame
from awe.model.frame import FileBacked, Frame
from awe.model.judgement import Judgement, history
from awe.model.lineage import inputs, is_external
from awe.model.persistent import Job, Persistent, Process, QualityFlag, Validity, persistent_class
from awe.processing.staleness import external
from awe.services.declared import Field, fields_of, plain
from awe.services.lineage_graph import all_edges
from awe.services.same_key import other_versions
from awe.services.staleness_story import short_story, told
from awe.services.stored_frames import not_kept
from awe.services.summaries import Summary, summaries

SHOWN_USERS = 20
"""Users of an object that are listed for each class and role; the table of the class has them all."""

_HEADINGS = ("Measured", "Exposure", "Parameters", "Coordinates", "File", "Object")
_COORDINATES = ("crval", "crpix", "cd1_", "cd2_", "wcs", "footprint")


@dataclass(frozen=True)
class Value:
    """A field of the object with its value, and its error if another field holds that."""

    field: Field
    value: Any
    error: Any = None


@dataclass(frozen=True)
class Member:
    """An object in a role, and what became of it there."""

    summary: Summary
    used: bool = True
    weight: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Role:
    """The objects in one role, of which `total` may be more than are listed."""

    name: str
    doc: str
    many: bool
    members: list[Member]
    total: int
    class_name: str = ""

    @property
    def is_judged(self) -> bool:
        """Whether members carry weights or reasons."""
        return any(m.weight is not None or m.reason or not m.used for m in self.members)


@dataclass(frozen=True)
class ObjectView:
    """One object as its page shows it."""

    summary: Summary
    thing: Persistent
    judgement: str
    flags: list[str]
    values: dict[str, list[Value]]
    links: list[tuple[Field, Summary]]
    inputs: list[Role]
    users: list[Role]
    remark: str | None
    reason_invalid: str | None
    process: Process | None
    job: Job | None
    stale: list[str] | None
    """Why it is stale, one sentence each; None if it is not made from anything, or if that takes long to find out."""
    is_long_story: bool = False
    """Whether it is stale takes long to find out, and is told by a page of its own."""
    external: str = ""
    """Of what was made elsewhere, the sentence that says so."""
    filename: str | None = None
    no_file: str = ""
    """Why it has no file, where one might be expected."""
    linking: list[tuple[str, str]] = field(default_factory=list)
    """(class, link) of tables whose rows may link to the object."""
    versions: list[Summary] = field(default_factory=list)
    """Others with the same key, such as the one that took its place."""
    history: Sequence[Judgement] = ()
    """Judgements and comments, the newest first."""
    because: str = ""
    """Why it was made."""

    @property
    def cls(self) -> type[Persistent]:
        """Class of the object."""
        return type(self.thing)

    def as_json(self) -> dict[str, Any]:
        """Return the view as JSON holds it."""
        return {
            **self.summary.as_json(),
            "judgement": self.judgement,
            "flags": self.flags,
            "values": {v.field.name: _json_value(v) for group in self.values.values() for v in group},
            "links": {f.name: s.as_json() for f, s in self.links},
            "inputs": {role.name: _json_role(role) for role in self.inputs},
            "users": [{"class": role.class_name, "role": role.name, **_json_role(role)} for role in self.users],
            "remark": self.remark,
            "process": str(self.process) if self.process else None,
            "job": self.job.job_id if self.job else None,
            "stale": self.stale,
            "versions": [s.as_json() for s in self.versions],
            "history": [entry.as_dict() for entry in self.history],
            "why": f"/object/{self.summary.object_id}/why.json" if self.is_long_story else None,
        }


def view_object(session: Session, object_id: int, with_roles: bool = True) -> ObjectView:
    """Return all that is known of an object; raise NotFound if there is none of this number.

    Without roles, inputs and users are left out: a page that unfolds the lineage has them from there.
    """
    thing = find_object(session, object_id)
    cls = type(thing)
    linked, roles = _links(thing), _members(session, thing) if with_roles else {}
    ids = [object_id, *linked.values(), *(m["input_id"] for rows in roles.values() for m in rows)]
    known = summaries(session, ids)
    can_be_stale = bool(inputs(cls)) and not is_external(thing)
    stale = short_story(session, thing) if can_be_stale else None
    return ObjectView(
        summary=known[object_id],
        thing=thing,
        judgement=Validity(thing.is_valid).name.lower(),
        flags=[str(f.name).replace("_", " ").lower() for f in QualityFlag(thing.quality_flags)],
        values=_grouped(thing),
        links=[(f, known[linked[f.name]]) for f in fields_of(cls) if f.name in linked and linked[f.name] in known],
        inputs=[_role(cls, name, rows, known) for name, rows in roles.items()],
        users=_users(session, object_id) if with_roles else [],
        remark=thing.remark,
        reason_invalid=thing.judgement,
        process=thing.process,
        job=thing.job,
        stale=stale,
        is_long_story=can_be_stale and stale is None,
        external=external(thing) if is_external(thing) else "",
        filename=getattr(thing, "filename", None),
        no_file=_no_file(thing),
        linking=[] if inputs(cls) or isinstance(thing, Frame) else _linking(cls),
        versions=other_versions(session, thing),
        history=history(session, object_id),
        because=" ".join(told(session, [thing.job.reason])) if thing.job else "",
    )


def _no_file(thing: Persistent) -> str:
    reduced = getattr(thing, "reduced_id", None)  # the column of the link; the link itself would be read
    if isinstance(thing, RegriddedFrame) and thing.filename is None and reduced is not None:
        return f"No picture: {not_kept(reduced)}."
    return ""


def find_object(session: Session, object_id: int) -> Persistent:
    """Return an object by its number; raise NotFound if there is none."""
    name = None
    if object_id < 2**63:
        columns = Persistent.__table__.c
        name = session.scalar(visible(session, select(columns.class_name).where(columns.object_id == object_id)))
    found = session.get(persistent_class(name), object_id) if name else None
    if found is None:
        raise NotFound(f"no object {object_id}")
    return found


def _links(thing: Persistent) -> dict[str, int]:
    """Return {name: id} of the objects that describe this one."""
    fields = (f for f in fields_of(type(thing)) if f.role == "link")
    ids = {f.name: getattr(thing, f.column) for f in fields}
    return {name: i for name, i in ids.items() if i is not None}


def _members(session: Session, thing: Any) -> dict[str, list[dict[str, Any]]]:
    """Return {role: rows} of the inputs, without loading them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, declared in inputs(type(thing)).items():
        if declared.many:
            assert declared.members is not None
            rows = declared.members.__table__.c  # type: ignore[attr-defined]
            query = select(rows.input_id, rows.used, rows.weight, rows.reason).where(rows.product_id == thing.object_id)
            found[name] = [dict(r._mapping) for r in session.execute(query.order_by(rows.position))]
        else:
            single = getattr(thing, f"{name}_id")
            found[name] = [] if single is None else [{"input_id": single}]
    return found


def _role(cls: type[Persistent], name: str, rows: list[dict[str, Any]], known: dict[int, Summary]) -> Role:
    declared = inputs(cls)[name]
    members = [
        Member(known[r["input_id"]], r.get("used", True), r.get("weight"), r.get("reason"))
        for r in rows
        if r["input_id"] in known
    ]
    return Role(name, declared.doc, declared.many, members, len(rows), declared.source.__name__)


def _users(session: Session, object_id: int) -> list[Role]:
    """Return what was made from an object, by class and role: the newest of each, and how many there are."""
    graph, table = all_edges().c, Persistent.__table__.c
    own = (table.class_name, graph.role)
    query = (
        select(
            graph.product_id,
            *own,
            func.row_number().over(partition_by=own, order_by=graph.product_id.desc()).label("rank"),
            func.count().over(partition_by=own).label("total"),
        )
        .join(Persistent.__table__, table.object_id == graph.product_id)
        .where(graph.input_id == object_id)
    )
    ranked = visible(session, query).subquery()
    rows = session.execute(
        select(ranked).where(ranked.c.rank <= SHOWN_USERS).order_by(ranked.c.product_id.desc())
    ).all()
    known = summaries(session, (r.product_id for r in rows))
    found: dict[tuple[str, str], Role] = {}
    for row in rows:
        declared = inputs(persistent_class(row.class_name))[row.role]
        key = (row.class_name, row.role)
        role = found.setdefault(key, Role(row.role, declared.doc, declared.many, [], row.total, row.class_name))
        role.members.append(Member(known[row.product_id]))
    return sorted(found.values(), key=lambda r: (r.class_name, r.name))


def _linking(cls: type[Persistent]) -> list[tuple[str, str]]:
    """Return the tables that declare a link to a class."""
    from awe.services.groups import classes_in_order

    return [
        (other.__name__, f.name)
        for other in classes_in_order()
        for f in fields_of(other)
        if f.role == "link" and f.owner is other and f.target is cls
    ]


def _grouped(thing: Any) -> dict[str, list[Value]]:
    """Return the values under headings; those that were not set are left out."""
    cls: type[Persistent] = type(thing)
    scalars = [f for f in fields_of(cls) if f.kind not in ("link", "list") and f.name != "judgement"]
    read = {f.name: getattr(thing, f.name) for f in scalars}
    errors = _errors(scalars)
    groups: dict[str, list[Value]] = {heading: [] for heading in _HEADINGS}
    for f in scalars:
        if f.name in errors.values() or f.name in ("remark", "is_valid", "quality_flags"):
            continue
        if read[f.name] is not None and read[f.name] != "":
            error = read.get(errors.get(f.name, ""))
            groups.setdefault(_heading(f), []).append(Value(f, read[f.name], error))
    return {heading: values for heading, values in groups.items() if values}


def _heading(declared: Field) -> str:
    if declared.role in ("measured", "parameter"):
        return {"measured": "Measured", "parameter": "Parameters"}[declared.role]
    if declared.owner is Persistent or declared.name == "object_id":
        return "Object"
    if declared.name in FileBacked.__annotations__ or declared.name == "hdu":
        return "File"
    if declared.name.startswith(_COORDINATES):
        return "Coordinates"
    return "Exposure" if declared.owner is Frame else declared.owner.__name__


def _errors(fields: Iterable[Field]) -> dict[str, str]:
    """Return {value: field with its error}: `x_error` belongs to x, `error` to what is measured before it."""
    names = {f.name for f in fields}
    found = {n.removesuffix("_error"): n for n in names if n.endswith("_error") and n.removesuffix("_error") in names}
    measured = [f for f in fields if f.role == "measured"]
    for before, after in pairwise(measured):
        if after.name == "error" and after.unit == before.unit:
            found[before.name] = "error"
    return found


def _json_value(value: Value) -> dict[str, Any]:
    error = {} if value.error is None else {"error": plain(value.error)}
    return {"value": plain(value.value), **error, "unit": value.field.unit, "doc": value.field.doc}


def _json_role(role: Role) -> dict[str, Any]:
    members = [m.summary.as_json() | {"used": m.used, "weight": m.weight, "reason": m.reason} for m in role.members]
    return {"doc": role.doc, "total": role.total, "objects": members}
