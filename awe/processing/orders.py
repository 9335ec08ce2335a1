"""Orders: the steps of a plan in a form that travels to a worker process, and the fingerprint of a target."""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from awe.model.lineage import bind, inputs
from awe.model.persistent import Persistent, persistent_class
from awe.processing.choosing import take_over
from awe.processing.plan import Plan, Step
from awe.processing.tasks import task_for


@dataclass(frozen=True)
class ToCome:
    """Stands for the product of an earlier step."""

    step: int


@dataclass(frozen=True)
class Order:
    """One step: which product to make, from what. Objects are given by class and number."""

    number: int
    class_name: str
    key: dict[str, Any]
    """Values of the key that are no inputs; objects as (class, number)."""
    inputs: dict[str, Any]
    """For each role a number, a ToCome, a list of these, or None."""
    parameters: Any
    reasons: tuple[str, ...]
    subject: str
    left_out: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """What is made, in words."""
        return f"{self.class_name} {self.subject}".rstrip()


def orders(plan: Plan) -> list[Order]:
    """Return the steps of a plan as orders."""
    numbers = {id(step.product): step.number for step in plan.steps}
    return [_order(step, numbers) for step in plan.steps]


def _order(step: Step, numbers: dict[int, int]) -> Order:
    cls = type(step.product)
    roles = inputs(cls)
    return Order(
        number=step.number,
        class_name=cls.__name__,
        key={n: _plain(v) for n, v in step.key.items() if n not in roles},
        inputs={n: _reference(getattr(step.product, n), numbers) for n in roles},
        parameters=step.product.parameters if hasattr(cls, "Parameters") else None,
        reasons=tuple(step.reasons),
        subject=step.subject,
        left_out=tuple(step.left_out),
    )


def _plain(value: Any) -> Any:
    return (type(value).__name__, value.object_id) if isinstance(value, Persistent) else value


def _reference(value: Any, numbers: dict[int, int]) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        return [_reference(v, numbers) for v in value]
    return ToCome(numbers[id(value)]) if id(value) in numbers else value.object_id


def needs(order: Order) -> set[int]:
    """Return the numbers of the steps that must come first."""
    flat = [v for value in order.inputs.values() for v in (value if isinstance(value, list) else [value])]
    return {v.step for v in flat if isinstance(v, ToCome)}


def filled(order: Order, made: dict[int, int], failed: dict[int, str]) -> Order:
    """Return the order with the numbers of the products made by earlier steps.

    In roles that tolerate it, products that failed are left out and named in `left_out`.
    """
    given, left_out = {}, list(order.left_out)
    for role, value in order.inputs.items():
        if isinstance(value, list):
            left_out += [failed[v.step] for v in value if isinstance(v, ToCome) and v.step in failed]
            kept = [v for v in value if not (isinstance(v, ToCome) and v.step in failed)]
            given[role] = [made[v.step] if isinstance(v, ToCome) else v for v in kept]
        else:
            given[role] = made[value.step] if isinstance(value, ToCome) else value
    return Order(**{**_fields(order), "inputs": given, "left_out": tuple(left_out)})


def _fields(order: Order) -> dict[str, Any]:
    return {name: getattr(order, name) for name in Order.__dataclass_fields__}


def fingerprint(order: Order) -> str:
    """Return the hash of class, key, inputs, parameters and version of a filled order."""
    cls = persistent_class(order.class_name)
    described = {
        "class": order.class_name,
        "version": task_for(cls).version,
        "key": {name: _text(value) for name, value in order.key.items()},
        "inputs": order.inputs,
        "parameters": asdict(order.parameters) if order.parameters is not None else {},
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=_text).encode()).hexdigest()


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(getattr(value, "value", value))


def assemble(session: Session, order: Order) -> Any:
    """Return the new product of a filled order, with its inputs loaded."""
    cls = persistent_class(order.class_name)
    product = cls()
    if order.parameters is not None:
        product.parameters = order.parameters  # type: ignore[attr-defined]
    for name, value in order.key.items():
        setattr(product, name, _object(session, *value) if isinstance(value, tuple) else value)
    for name, declared in inputs(cls).items():
        bind(product, name, _loaded(session, declared.source, order.inputs[name], declared.many))
    take_over(product)
    for path in task_for(cls).reads:
        _load_beyond(session, product, path)
    return product


def _load_beyond(session: Session, product: Any, path: str) -> None:
    """Load an input of the inputs in a role, of all of them by one statement; a list of inputs by one for each."""
    role, name = path.split(".")
    owners = getattr(product, role)
    owners = owners if isinstance(owners, list) else [owner for owner in [owners] if owner is not None]
    declared = inputs(inputs(type(product))[role].source)[name]
    if declared.many:
        for owner in owners:
            getattr(owner, name)
        return
    numbers = {getattr(owner, f"{name}_id") for owner in owners} - {None}
    source: Any = declared.source
    held = list(session.scalars(select(source).where(source.object_id.in_(numbers))).unique())
    for owner in owners:
        getattr(owner, name)  # found among what the session holds
    assert len(held) == len(numbers), f"{len(numbers) - len(held)} {source.__name__}s vanished"


def _loaded(session: Session, source: type, given: Any, many: bool) -> Any:
    if not many:
        return None if given is None else _object(session, source.__name__, given)
    ids = inspect(source).class_.object_id  # type: ignore[attr-defined]
    found = {o.object_id: o for o in session.scalars(select(source).where(ids.in_(given))).unique()}
    return [found[number] for number in given]


def _object(session: Session, class_name: str, number: int) -> Any:
    """Return an object with all columns of its own class, even where only a base class is known."""
    own = session.scalars(select(Persistent.class_name).where(Persistent.object_id == number)).one()
    cls = persistent_class(class_name if own == class_name else own)
    found = session.get(cls, number)
    assert found is not None, f"{class_name} {number} vanished"
    return found
