"""What rules and planner ask the database, asked for many objects at once: the number of statements stays small."""

from collections import ChainMap
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from awe.model.lineage import Input, inputs, is_external
from awe.model.persistent import Persistent, Process, persistent_class
from awe.model.small_tables import is_small

CHUNK = 5000
"""Most values in one condition; more take further statements."""

Part = TypeVar("Part")
Value = TypeVar("Value")


def chunks(values: Iterable[Value]) -> Iterator[list[Value]]:
    """Yield values in lists that fit into a condition.

    >>> [len(part) for part in chunks(range(12000))]
    [5000, 5000, 2000]
    """
    left = iter(values)
    while part := list(islice(left, CHUNK)):
        yield part


class Lookup:
    """Knows the objects that are dealt with; what is asked of one of them is read for all that are like it.

    It tells what the database held when it was asked first: use it for one plan, then forget it. It holds its
    objects, with all that they were made from.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._objects: dict[int, Any] = {}
        self._alike: dict[type, dict[int, Any]] = {}
        self._products: dict[tuple[type, str], dict[int, list[Any]]] = {}
        self._processes: list[Process] = []
        self._parts: dict[Any, Any] = {}

    def part(self, kind: type[Part]) -> Part:
        """Return the one object of a class that looks up further things with this lookup, `kind(lookup)`."""
        if kind not in self._parts:
            self._parts[kind] = kind(self)  # type: ignore[call-arg]
        found: Part = self._parts[kind]
        return found

    def peers(self, thing: Persistent) -> Collection[Any]:
        """Return the known objects of the same class, the object itself among them."""
        self.know([thing])
        return self._alike.get(type(thing), {}).values()

    def all(self, cls: type) -> Iterator[Any]:
        """Yield the known objects of a class and those below it."""
        for own, members in self._alike.items():
            if issubclass(own, cls):
                yield from members.values()

    def knows(self, number: int) -> bool:
        """Return whether the object with a number is known."""
        return number in self._objects

    def know(self, objects: Iterable[Any]) -> None:
        """Take note of stored objects, and read all that they were made from, level by level."""
        level = self._noted(objects)
        if level and not self._processes:
            self._processes = list(self.session.scalars(select(Process)))
        while level:
            level = self._noted(self._made_from(level))

    def read(self, cls: Any, numbers: Collection[int]) -> dict[int, Any]:
        """Return the objects of a class with these numbers, which are then known."""
        missing = [number for number in numbers if number not in self._objects]
        if missing:
            self.know(self._read(cls, missing))
        return {number: self._objects[number] for number in numbers}

    def existing(self, cls: Any, key: dict[str, Any]) -> list[Any]:
        """Return the valid products of a class with a key, the newest first; none of those that were made elsewhere."""
        single = {name: value for name, value in key.items() if not isinstance(value, list)}
        linked = {name: value for name, value in single.items() if isinstance(value, Persistent)}
        if any(value.object_id is None for value in linked.values()):
            return []
        leading = next((name for name, value in linked.items() if not is_small(type(value))), None)
        found = self._asked(cls, single) if leading is None else self._of(cls, leading, single[leading])
        return [product for product in found if _has(product, key) and not is_external(product)]

    def _noted(self, objects: Iterable[Any]) -> list[Any]:
        new = []
        for thing in objects:
            if thing.object_id is not None and thing.object_id not in self._objects:
                self._objects[thing.object_id] = thing
                self._alike.setdefault(type(thing), {})[thing.object_id] = thing
                new.append(thing)
        return new

    def _made_from(self, products: Iterable[Any]) -> list[Any]:
        """Return the direct inputs of some products, and set them on these."""
        alike: dict[type, list[Any]] = {}
        for product in products:
            alike.setdefault(type(product), []).append(product)
        roles = [_Role(self, declared, made) for cls, made in alike.items() for declared in inputs(cls).values()]
        wanted: dict[type, dict[int, None]] = {}
        for role in roles:
            wanted.setdefault(role.declared.source, {}).update(dict.fromkeys(role.numbers()))
        found = {
            thing.object_id: thing
            for source, numbers in wanted.items()
            for thing in self._read(source, [n for n in numbers if n not in self._objects])
        }
        for role in roles:
            role.fill(ChainMap(found, self._objects))
        return [thing for role in roles for thing in role.used()]

    def _read(self, cls: Any, numbers: Collection[int]) -> list[Any]:
        """Return the objects with these numbers; where the class has others below it, each as its own."""
        by_class: dict[Any, list[int]] = {cls: list(numbers)}
        if len(inspect(cls).self_and_descendants) > 1:
            by_class = self._by_class(numbers)
        return [
            thing
            for own, members in by_class.items()
            for part in chunks(members)
            for thing in self.session.scalars(select(own).where(own.object_id.in_(part)))
        ]

    def _by_class(self, numbers: Collection[int]) -> dict[Any, list[int]]:
        found: dict[Any, list[int]] = {}
        for part in chunks(numbers):
            named = select(Persistent.object_id, Persistent.class_name).where(Persistent.object_id.in_(part))
            for number, name in self.session.execute(named):
                found.setdefault(persistent_class(name), []).append(number)
        return found

    def _of(self, cls: Any, role: str, value: Any) -> list[Any]:
        """Return the valid products with an object in a role; read for all that are known of its class."""
        answers = self._products.setdefault((cls, role), {})
        if value.object_id not in answers:
            asked = [thing.object_id for thing in self.peers(value) if thing.object_id not in answers]
            answers.update((number, []) for number in asked)
            column = getattr(cls, f"{role}_id")
            found = [p for part in chunks(asked) for p in self.session.scalars(_newest_first(cls, column.in_(part)))]
            for product in found:
                answers[getattr(product, f"{role}_id")].append(product)
            self.know(found)
        return answers[value.object_id]

    def _asked(self, cls: Any, single: dict[str, Any]) -> list[Any]:
        conditions = [
            getattr(cls, f"{name}_id") == value.object_id
            if isinstance(value, Persistent)
            else getattr(cls, name) == value
            for name, value in single.items()
        ]
        found = list(self.session.scalars(_newest_first(cls, *conditions)))
        self.know(found)
        return found


class _Role:
    """One role of some products of a class: the numbers of its inputs, and the inputs."""

    def __init__(self, lookup: Lookup, declared: Input, products: list[Any]) -> None:
        self.declared = declared
        self._products = products
        self._empty = [product for product in products if declared.name not in vars(product)]
        self._members: dict[int, list[int]] = {}
        if declared.many and self._empty:
            self._read_members(lookup.session)

    def _read_members(self, session: Session) -> None:
        members: Any = self.declared.members
        for part in chunks(product.object_id for product in self._empty):
            rows = select(members.product_id, members.input_id).where(members.product_id.in_(part))
            for product, number in session.execute(rows.order_by(members.product_id, members.position)):
                self._members.setdefault(product, []).append(number)

    def numbers(self) -> list[int]:
        """Return the numbers of the inputs that are not set yet."""
        if self.declared.many:
            return [number for members in self._members.values() for number in members]
        found = (getattr(product, f"{self.declared.name}_id") for product in self._empty)
        return [number for number in found if number is not None]

    def fill(self, objects: Mapping[int, Any]) -> None:
        """Set the inputs."""
        name = self.declared.name
        for product in self._empty:
            if self.declared.many:
                value: Any = [objects[number] for number in self._members.get(product.object_id, [])]
            else:
                number = getattr(product, f"{name}_id")
                value = None if number is None else objects[number]
            set_committed_value(product, name, value)

    def used(self) -> list[Any]:
        """Return the inputs."""
        return [thing for product in self._products for thing in self.declared.used(product)]


def _has(product: Any, key: dict[str, Any]) -> bool:
    for name, value in key.items():
        if isinstance(value, Persistent):
            if getattr(product, f"{name}_id") != value.object_id:
                return False
        elif getattr(product, name) != value:
            return False
    return True


def _newest_first(cls: Any, *conditions: Any) -> Any:
    return select(cls).where(cls.is_valid > 0, *conditions).order_by(cls.creation_date.desc(), cls.object_id.desc())
