"""Find or plan each input of a product; tell why a product is stale."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from awe.errors import MissingInput
from awe.model.frame import EXPOSURE, Calibration, Frame
from awe.model.lineage import Input, Wanted, bind, inputs, is_external, parameters_of
from awe.model.lookup import Lookup
from awe.model.night import night_of
from awe.model.persistent import Persistent
from awe.model.rules import OfMany
from awe.processing.sentences import changed_parameters, difference, invalid, there_is_no
from awe.processing.tasks import task_for

GEOMETRY = ("naxis1", "naxis2", "ra", "dec", "pixel_scale")


@dataclass(eq=False)
class Planned:
    """A product that is to be made: a new instance with its inputs set, and the reasons."""

    product: Any
    key: dict[str, Any]
    reasons: list[str]
    left_out: list[str] = field(default_factory=list)
    """Inputs that can't be had, in roles that tolerate it."""
    is_first: bool = True
    """Whether there was no such product, and none that takes the place of another in its key."""


class Chooser:
    """Finds or plans products within one session; remembers what it has looked at."""

    def __init__(self, session: Session, parameters: dict[type, Any] | None = None) -> None:
        self.session = session
        self.parameters = parameters or {}
        self._lookup = Lookup(session)
        self._resolved: dict[Any, Any] = {}
        self._instances: dict[Any, Any] = {}
        self._stale: dict[int, list[str]] = {}
        self._planned: dict[int, Planned] = {}

    def planned(self, product: Any) -> Planned | None:
        """Return the plan of a product that is still to be made; None if it exists."""
        return self._planned.get(id(product))

    def expect(self, choices: Sequence[Any]) -> None:
        """Take note of what will be asked for, so that it is looked up for all at once."""
        self._lookup.know(dict.fromkeys(thing for choice in choices for thing in _objects_in(choice)))

    def resolve(self, wanted: Wanted, parameters: Any = None) -> Any:
        """Return the up-to-date product that is wanted, or a new instance that is planned."""
        key = {name: self._key_value(value) for name, value in wanted.key.items()}
        wish = parameters or self.parameters.get(wanted.product_class)
        memo = (wanted.product_class, wish, _identities(key))
        if memo not in self._resolved:
            self._resolved[memo] = self._attempt(wanted.product_class, key, wish)
        found = self._resolved[memo]
        if isinstance(found, MissingInput):
            raise MissingInput(str(found)) from found
        return found

    def _key_value(self, value: Any) -> Any:
        if isinstance(value, Wanted):
            return self.resolve(value)
        if isinstance(value, list | tuple):
            return [self._key_value(v) for v in value]
        return value

    def _attempt(self, cls: Any, key: dict[str, Any], wish: Any) -> Any:
        try:
            return self._find_or_plan(cls, key, wish)
        except MissingInput as error:
            return error

    def _find_or_plan(self, cls: Any, key: dict[str, Any], wish: Any) -> Any:
        reasons: list[str] = []
        candidates = self._lookup.existing(cls, key)
        for candidate in candidates:
            stale = self.why_stale(candidate, wish)
            if not stale:
                return candidate
            reasons = reasons or stale
        parameters = wish or (candidates[0].parameters if candidates else parameters_of(cls))
        remade = self._remade(key)
        planned = Planned(None, key, reasons or [f"{remade} is made anew" if remade else there_is_no(cls, key)])
        planned.is_first = not reasons and not remade
        return self._plan(cls, parameters, planned)

    def _remade(self, key: dict[str, Any]) -> str:
        """Return the first role of a key whose product is planned, if one of these takes the place of another."""
        planned = {name: self._planned[id(value)] for name, value in key.items() if id(value) in self._planned}
        return next(iter(planned)) if any(not p.is_first for p in planned.values()) else ""

    def _plan(self, cls: Any, parameters: Any, plan: Planned) -> Any:
        """Return the new instance that is planned; the same one, however often and by whatever way it is asked for."""
        same = (cls, parameters, _identities(plan.key))
        if same not in self._instances:
            self._instances[same] = self._new(cls, parameters, plan)
        return self._instances[same]

    def _new(self, cls: Any, parameters: Any, plan: Planned) -> Any:
        product = plan.product = cls()
        if parameters is not None:
            product.parameters = parameters
        for name, value in plan.key.items():
            if name in inputs(cls):
                bind(product, name, value)
            else:
                setattr(product, name, value)
        take_over(product)
        for name, declared in inputs(cls).items():
            if declared.rule is not None:
                bind(product, name, self._chosen(product, declared, plan))
        _check_complete(product)
        self._planned[id(product)] = plan
        return product

    def _chosen(self, product: Any, declared: Input, plan: Planned | None = None) -> Any:
        """Return what the rule of a role chooses now: existing or planned objects."""
        choice = self._choice(product, declared)
        if not declared.many:
            return self._one(choice, declared)
        self.expect(choice)
        tolerant = declared.name in type(product).TOLERATES
        found = []
        for item in choice:
            try:
                found.append(self._one(item, declared))
            except MissingInput as error:
                if not tolerant:
                    raise
                if plan is not None:
                    plan.left_out.append(str(error))
        if not found and not declared.optional:
            raise MissingInput(_why_empty(self.session, product, declared, plan))
        return found

    def _choice(self, product: Any, declared: Input) -> Any:
        rule = declared.rule
        assert rule is not None
        if isinstance(rule, OfMany):
            return rule.choose_with(self._lookup, declared.source, product)
        return rule.choose(self.session, declared.source, product)

    def _one(self, choice: Any, declared: Input) -> Any:
        if isinstance(choice, Wanted):
            try:
                return self.resolve(choice)
            except MissingInput:
                if choice.optional and declared.optional:
                    return None
                raise
        return choice if choice is None else self.renewed(choice)

    def renewed(self, product: Any) -> Any:
        """Return the product itself if it is up to date, else the one that takes its place."""
        if product.object_id is None or is_external(product) or not inputs(type(product)):
            return product
        if not self.why_stale(product):
            return product
        return self.resolve(Wanted(type(product), key_of(product)), _wish(self.parameters, product))

    def why_stale(self, product: Any, wish: Any = None) -> list[str]:
        """Return the reasons why a product must be made again; empty if it is up to date."""
        if is_external(product):
            return [] if product.is_valid else [invalid(product)]
        wish = wish or self.parameters.get(type(product))
        if wish is not None and product.parameters != wish:
            return [changed_parameters(product.parameters, wish)]
        if product.object_id not in self._stale:
            self._stale[product.object_id] = []  # lineage is acyclic: never looked at before it is filled
            self._stale[product.object_id] = self._reasons(product)
        return self._stale[product.object_id]

    def _reasons(self, product: Any) -> list[str]:
        self._lookup.know([product])
        reasons = [] if product.is_valid else [invalid(product)]
        if not inputs(type(product)):
            return reasons
        version = task_for(type(product)).version
        if product.process is not None and product.process.version != version:
            reasons.append(f"it was made by {product.process}, now there is version {version}")
        for name, declared in inputs(type(product)).items():
            if declared.rule is None:
                reasons += [f"{name}: {r}" for o in declared.used(product) for r in self.why_stale(o)]
            else:
                reasons += [f"{name}: {r}" for r in self._other_choice(product, declared)]
        return reasons

    def _other_choice(self, product: Any, declared: Input) -> list[str]:
        used = declared.used(product)
        try:
            chosen = self._chosen(product, declared)
        except MissingInput as error:
            return [str(error)]
        now = chosen if declared.many else [] if chosen is None else [chosen]
        if now == used:
            return []
        were, are = set(used), set(now)
        planned = [r for o in now if o not in were and id(o) in self._planned for r in self._planned[id(o)].reasons]
        bad = [invalid(o) for o in used if not o.is_valid and o not in are]
        if bad or planned:
            return list(dict.fromkeys(bad + planned))
        return [difference(used, now)]


def take_over(product: Any) -> None:
    """Give a new product the exposure attributes of the input that it is like."""
    if not isinstance(product, Frame):
        return
    if product.LIKE:
        like = getattr(product, product.LIKE)
        for name in (*EXPOSURE, *GEOMETRY):
            setattr(product, name, getattr(like, name))
    elif isinstance(product, Calibration):
        product.instrument = product.chip.instrument
        longitude = product.instrument.telescope.longitude
        product.date_obs = product.valid_from
        product.mjd_obs = modified_julian_date(product.valid_from)
        product.night = night_of(product.valid_from, longitude)
    elif hasattr(product, "grid_target"):
        product.object = product.grid_target.object or product.grid_target.name
        product.naxis1, product.naxis2 = product.grid_target.naxis1, product.grid_target.naxis2


def modified_julian_date(moment: datetime) -> float:
    """Return the modified Julian date of a UTC time."""
    return (moment - datetime(1858, 11, 17)).total_seconds() / 86400


def key_of(product: Any) -> dict[str, Any]:
    """Return the key of an existing product."""
    return {name: getattr(product, name) for name in type(product).__key__}


def _objects_in(choice: Any) -> Iterator[Persistent]:
    """Yield the stored objects of a choice, and of the keys of what it asks for."""
    if isinstance(choice, Wanted):
        for value in choice.key.values():
            yield from _objects_in(value)
    elif isinstance(choice, list | tuple):
        for value in choice:
            yield from _objects_in(value)
    elif isinstance(choice, Persistent) and choice.object_id is not None:
        yield choice


def _wish(parameters: dict[type, Any], product: Any) -> Any:
    return parameters.get(type(product)) or getattr(product, "parameters", None)


def _identities(key: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, _identity(value)) for name, value in key.items())


def _identity(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_identity(v) for v in value)
    if isinstance(value, Persistent):
        return value.object_id or ("new", id(value))
    return value


def _why_empty(session: Session, product: Any, declared: Input, plan: Planned | None) -> str:
    if plan is not None and plan.left_out:
        return f"none of the {declared.name} can be had: {plan.left_out[0]}"
    explain = getattr(declared.rule, "why_none", None)
    if explain is not None:
        return str(explain(session, declared.source, product))
    return f"no {declared.source.__name__} to use as {declared.name} of {product}"


def _check_complete(product: Any) -> None:
    roles = type(product).NEEDS_ONE_OF
    if roles and all(getattr(product, role) is None for role in roles):
        raise MissingInput(f"{product} needs one of {', '.join(roles)}, and there is nothing to make any of them from")
