"""The root of all persistent classes: identity, ownership, history and quality judgement of an object."""

import enum
from datetime import UTC, datetime
from itertools import count
from typing import Any

import numpy as np
from sqlalchemy import CheckConstraint, ForeignKey, MetaData, String, event, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, object_session, relationship
from sqlalchemy.orm.decl_api import DeclarativeAttributeIntercept

from awe.model.attributes import attribute_names, near_names
from awe.model.lineage import described, inputs, install, links
from awe.model.queries import (
    ColumnComparator,
    LinkComparator,
    Query,
    make_queryable,
    select_named,
)
from awe.model.small_tables import find_small

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

_definitions = count()


def utc_now() -> datetime:
    """Return the time in UTC, without zone: so are all times in the database."""
    return datetime.now(UTC).replace(tzinfo=None)


class _NamesNearOnes(DeclarativeAttributeIntercept):
    """Answers a wrong attribute name of a class by the names that are like it."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_") or "__mapper__" not in vars(cls):
            raise AttributeError(name)
        raise AttributeError(f"{cls.__name__} has no attribute {name!r}; {near_names(name, attribute_names(cls))}")


class Base(DeclarativeBase, metaclass=_NamesNearOnes):
    """Metadata shared by every table of the system."""

    metadata = MetaData(naming_convention=NAMING)


class Validity(enum.IntEnum):
    """What users have judged an object to be."""

    INVALID = 0
    VALID = 1
    PROPOSED = 2


class Privileges(enum.IntEnum):
    """Who may see an object."""

    USER = 1
    PROJECT = 2
    ALL_USERS = 3
    WORLD = 4
    VIRTUAL_OBSERVATORY = 5


class QualityFlag(enum.IntFlag):
    """What the system itself found wrong with a product when it made it."""

    FEW_INPUTS = 1
    NOISE_OUT_OF_RANGE = 2
    MANY_BAD_PIXELS = 4
    ASTROMETRY_NOT_SOLVED = 8
    ASTROMETRY_RESIDUALS_LARGE = 16
    PHOTOMETRY_NOT_CALIBRATED = 32
    INPUTS_REJECTED = 64
    NO_SOURCES = 128
    NOT_CALIBRATED = 256


class Process(Base):
    """One version of one task: the process catalogue."""

    __tablename__ = "process"

    process_id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = described("name of the task")
    product_class: Mapped[str] = described("class of what it makes", index=True)
    version: Mapped[int] = described("version of the task; raised when its results change")
    summary: Mapped[str] = described("what the task does, in one sentence")
    parameters: Mapped[str] = described("JSON list of the parameters: name, type, default, unit, doc")
    code_hash: Mapped[str] = described("SHA-256 of the source code of the task and its kernels")
    software_version: Mapped[str] = described("version of awe in which this row was last confirmed")
    registered: Mapped[datetime] = described("when the version was first seen", default=utc_now)

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


class Job(Base):
    """One attempt to make a product: running, done or failed, and why."""

    __tablename__ = "job"

    job_id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = described("running, done, failed or lost", index=True)
    product_class: Mapped[str] = described("class of what was to be made", index=True)
    target: Mapped[str] = described("what was to be made, in words")
    reason: Mapped[str] = described("why it had to be made")
    fingerprint: Mapped[str] = described("hash of class, key, inputs, parameters and version", index=True)
    claim: Mapped[str | None] = described("the fingerprint while the job runs: none other may start", unique=True)
    error: Mapped[str | None] = described("why it failed")
    error_class: Mapped[str | None] = described("class of the error")
    creator: Mapped[str] = described("user who asked for it")
    project: Mapped[str] = described("project it was made in")
    host: Mapped[str] = described("machine")
    pid: Mapped[int] = described("process on the machine")
    process_started: Mapped[float] = described("start of that process, which tells it from a later one", unit="s")
    started: Mapped[datetime] = described("start of the attempt (UTC)", default=utc_now, index=True)
    heartbeat: Mapped[datetime] = described("last sign of life (UTC)", default=utc_now)
    finished: Mapped[datetime | None] = described("end of the attempt (UTC)")
    wall_time: Mapped[float | None] = described("duration", unit="s")
    peak_memory: Mapped[float | None] = described("largest resident memory of the process", unit="Mbyte")
    process_id: Mapped[int] = mapped_column(ForeignKey("process.process_id"), index=True)
    process: Mapped[Process] = relationship()

    def __str__(self) -> str:
        return f"job {self.job_id} ({self.state}): {self.target}"


class Persistent(Base):
    """An object with an identity, an owner, a history and a quality judgement."""

    __tablename__ = "persistent"
    __mapper_args__ = {"polymorphic_on": "class_name", "polymorphic_identity": "Persistent"}
    __table_args__ = (CheckConstraint("is_valid in (0, 1, 2)", name="is_valid"),)
    __key__: tuple[str, ...] = ()
    __definition__ = -1
    """Number of the class in the order of definition, which is that of processing."""
    TOLERATES: tuple[str, ...] = ()
    """Roles of inputs that are many, from which those that can't be had are left out."""
    NEEDS_ONE_OF: tuple[str, ...] = ()
    """Roles of inputs of which at least one must be had."""
    __small__ = False
    """Whether there are so few objects of the class that a session reads them all at once."""

    object_id: Mapped[int] = mapped_column(primary_key=True, comment="number of the object, unique in the database")
    class_name: Mapped[str] = mapped_column(String(64), index=True, comment="class of the object")
    creator: Mapped[str] = described("user who made it", index=True)
    project: Mapped[str] = described("project it belongs to", index=True)
    privileges: Mapped[int] = described("who may see it: 1 user, 2 project, 3 all users, 4 world, 5 VO", default=2)
    creation_date: Mapped[datetime] = described("when it was made (UTC)", default=utc_now, index=True)
    is_valid: Mapped[int] = described("judgement of users: 0 invalid, 1 valid, 2 proposed for promotion", default=1)
    judgement: Mapped[str | None] = described("why users judged so")
    quality_flags: Mapped[int] = described("what the system found wrong with it, as bits; 0: nothing", default=0)
    process_status: Mapped[int] = described("1: complete", default=1)
    software_version: Mapped[str] = described("version of awe that made it", default="")
    host: Mapped[str] = described("machine that made it", default="")
    wall_time: Mapped[float | None] = described("time it took to make", unit="s")
    peak_memory: Mapped[float | None] = described("largest resident memory while it was made", unit="Mbyte")
    fingerprint: Mapped[str | None] = described("hash of class, key, inputs, parameters and version", index=True)
    remark: Mapped[str | None] = described("what the task has to say about this product")
    process_id: Mapped[int | None] = mapped_column(ForeignKey("process.process_id"), index=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.job_id"), index=True)
    process: Mapped[Process | None] = relationship(
        doc="the task and version that made it", comparator_factory=LinkComparator
    )
    job: Mapped[Job | None] = relationship(doc="the attempt that made it", comparator_factory=LinkComparator)

    def __init_subclass__(cls, own_table: bool = True, **kwargs: Any) -> None:
        if "__abstract__" not in vars(cls):
            cls.__mapper_args__ = {"polymorphic_identity": cls.__name__}
            if own_table:
                cls.__tablename__ = cls.__name__.lower()
                parent = next(b for b in cls.__mro__[1:] if hasattr(b, "object_id"))
                cls.object_id = mapped_column(ForeignKey(parent.object_id), primary_key=True)
            cls.__definition__ = next(_definitions)
            install(cls)
        super().__init_subclass__(**kwargs)

    @classmethod
    def select(cls, **named: Any) -> Query:
        """Return the objects with these attribute values; text given for a link is the name of what it leads to."""
        return select_named(cls, **named)

    def __str__(self) -> str:
        return f"{type(self).__name__} {self.object_id}"

    def flag(self, flag: QualityFlag) -> None:
        """Note that the system found something wrong with the product."""
        self.quality_flags = int(QualityFlag(self.quality_flags or 0) | flag)

    def note(self, sentence: str) -> None:
        """Add a sentence to the remark of the product."""
        self.remark = f"{self.remark}; {sentence}" if self.remark else sentence

    def attributes(self) -> dict[str, tuple[Any, str, str]]:
        """Return {name: (value, unit, doc)} of the columns of the object that are not links or parameters."""
        found = {}
        for attr in inspect(type(self)).column_attrs:
            column = attr.columns[0]
            if not column.foreign_keys and "parameter" not in column.info:
                found[attr.key] = (getattr(self, attr.key), column.info.get("unit", ""), column.comment or "")
        return found

    def _repr_html_(self) -> str:
        from awe.model.description import as_html

        return as_html(self)


make_queryable(Persistent)


def concrete_classes() -> list[type[Persistent]]:
    """Return all persistent classes in processing order, which is the order of definition."""
    found = [m.class_ for m in Persistent.__mapper__.self_and_descendants if m.class_ is not Persistent]
    return sorted(found, key=lambda cls: cls.__definition__)


def persistent_class(name: str) -> type[Persistent]:
    """Return the class with this name; a wrong name is answered by the near ones."""
    from awe.errors import BadRequest

    exact: Any = Persistent.__mapper__.polymorphic_map.get(name)
    if exact is not None and exact.class_ is not Persistent:
        return exact.class_  # type: ignore[no-any-return]
    known = {c.__name__.lower(): c for c in concrete_classes()}
    if name.lower() not in known:
        names = [c.__name__ for c in concrete_classes()]
        near = near_names(name, names).replace("its attributes", "the classes")
        raise BadRequest(f"no class {name!r}; {near}")
    return known[name.lower()]


@event.listens_for(Persistent, "load", propagate=True)
def _loaded(thing: Persistent, context: Any) -> None:
    find_small(thing, context.session)


@event.listens_for(Persistent, "refresh", propagate=True)
def _refreshed(thing: Persistent, _context: Any, _names: Any) -> None:
    session = object_session(thing)  # composite attributes say that they are refreshed without a context
    if session is not None:
        find_small(thing, session)


@event.listens_for(Session, "before_flush")
def _plain_numbers(session: Session, _context: Any, _instances: Any) -> None:
    """Store numbers of numpy as Python's: what a kernel returns means another thing to some database drivers."""
    for row in (*session.new, *session.dirty):
        for name, value in list(vars(row).items()):
            if isinstance(value, np.generic):
                setattr(row, name, value.item())


@event.listens_for(Session, "before_flush")
def _rows_for_inputs_that_are_many(session: Session, _context: Any, _instances: Any) -> None:
    """Write the membership rows of new products: the list itself is only a view of them."""
    for product in (o for o in session.new if isinstance(o, Persistent)):
        for name, declared in inputs(type(product)).items():
            if not declared.many:
                continue
            assert declared.members is not None
            members = getattr(product, f"{name}_members")
            chosen = getattr(product, name)
            if not members:
                members.extend(declared.members(position=i, used=True) for i in range(len(chosen)))
            for member, source in zip(members, chosen, strict=True):
                member.input_id = source.object_id


__all__ = [
    "Base",
    "ColumnComparator",
    "Job",
    "Persistent",
    "Privileges",
    "Process",
    "QualityFlag",
    "Validity",
    "concrete_classes",
    "links",
    "persistent_class",
    "utc_now",
]
