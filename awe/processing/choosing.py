"""Find or plan each input of a product; tell why a product is stale."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from awe.errors import MissingInput
from awe.model.frame import EXPOSURE, Calibration, Frame
from awe.model.lineage import Input, Wanted, bind, inputs, parameters_of
from awe.model.night import night_of
from awe.model.persistent import Persistent
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


class Chooser:
    """Finds or plans products within one session; remembers what it has looked at."""

    def __init__(self, session: Session, parameters: dict[type, Any] | None = None) -> None:
        self.session = session
        self.parameters = parameters or {}
        self._resolved: dict[Any, Any] = {}
        self._instances: dict[Any, Any] = {}
        self._stale: dict[int, list[str]] = {}
        self._planned: dict[int, Planned] = {}

    def planned(self, product: Any) -> Planned | None:
        """Return the plan of a product that is still to be made; None if it exists."""
        return self._planned.get(id(product))

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
        candidates = self._existing(cls, key)
        for candidate in candidates:
            stale = self.why_stale(candidate, wish)
            if not stale:
                return candidate
            reasons = reasons or stale
        parameters = wish or (candidates[0].parameters if candidates else parameters_of(cls))
        return self._plan(cls, key, parameters, reasons or [self._why_none(cls, key)])

    def _why_none(self, cls: Any, key: dict[str, Any]) -> str:
        waiting = [f"{name} is made anew" for name, v in key.items() if id(v) in self._planned]
        return waiting[0] if waiting and self._is_remade(key) else "there is none"

    def _is_remade(self, key: dict[str, Any]) -> bool:
        planned = [self._planned[id(v)] for v in key.values() if id(v) in self._planned]
        return any(p.reasons != ["there is none"] for p in planned)

    def _existing(self, cls: Any, key: dict[str, Any]) -> list[Any]:
        """Return the valid products with this key, newest first."""
        single = {name: v for name, v in key.items() if not isinstance(v, list)}
        if any(isinstance(v, Persistent) and v.object_id is None for v in single.values()):
            return []
        query = select(cls).where(cls.is_valid > 0).order_by(cls.creation_date.desc(), cls.object_id.desc())
        for name, value in single.items():
            column = getattr(cls, f"{name}_id") if isinstance(value, Persistent) else getattr(cls, name)
            query = query.where(column == (value.object_id if isinstance(value, Persistent) else value))
        found = list(self.session.scalars(query).unique())
        for name, value in key.items():
            if isinstance(value, list):
                found = [c for c in found if getattr(c, name) == value]
        return found

    def _plan(self, cls: Any, key: dict[str, Any], parameters: Any, reasons: list[str]) -> Any:
        """Return the new instance that is planned; the same one, however often and by whatever way it is asked for."""
        same = (cls, parameters, _identities(key))
        if same not in self._instances:
            self._instances[same] = self._new(cls, key, parameters, reasons)
        return self._instances[same]

    def _new(self, cls: Any, key: dict[str, Any], parameters: Any, reasons: list[str]) -> Any:
        product = cls()
        if parameters is not None:
            product.parameters = parameters
        for name, value in key.items():
            if name in inputs(cls):
                bind(product, name, value)
            else:
                setattr(product, name, value)
        take_over(product)
        plan = Planned(product, key, reasons)
        for name, declared in inputs(cls).items():
            if declared.rule is not None:
                bind(product, name, self._chosen(product, declared, plan))
        _check_complete(product)
        self._planned[id(product)] = plan
        return product

    def _chosen(self, product: Any, declared: Input, plan: Planned | None = None) -> Any:
        """Return what the rule of a role chooses now: existing or planned objects."""
        assert declared.rule is not None
        choice = declared.rule.choose(self.session, declared.source, product)
        if not declared.many:
            return self._one(choice, declared)
        tolerant = declared.name in getattr(type(product), "TOLERATES", ())
        found = []
        for item in choice:
            try:
                found.append(self._one(item, declared))
            except MissingInput as error:
                if not tolerant:
                    raise
                if plan is not None:
                    plan.left_out.append(str(error))
        if not found:
            raise MissingInput(_why_empty(self.session, product, declared, plan))
        return found

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
        if product.object_id is None or not inputs(type(product)) or not self.why_stale(product):
            return product
        return self.resolve(Wanted(type(product), key_of(product)), _wish(self.parameters, product))

    def why_stale(self, product: Any, wish: Any = None) -> list[str]:
        """Return the reasons why a product must be made again; empty if it is up to date."""
        wish = wish or self.parameters.get(type(product))
        if wish is not None and product.parameters != wish:
            return [_changed_parameters(product.parameters, wish)]
        if product.object_id not in self._stale:
            self._stale[product.object_id] = []  # lineage is acyclic: never looked at before it is filled
            self._stale[product.object_id] = self._reasons(product)
        return self._stale[product.object_id]

    def _reasons(self, product: Any) -> list[str]:
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
        planned = [r for o in now if o not in used and id(o) in self._planned for r in self._planned[id(o)].reasons]
        bad = [invalid(o) for o in used if not o.is_valid and o not in now]
        if bad or planned:
            return list(dict.fromkeys(bad + planned))
        return [_difference(used, now)]


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


def invalid(product: Any) -> str:
    """Return the sentence that says that an object was judged invalid."""
    because = f" ({product.judgement})" if product.judgement else ""
    return f"{product} is flagged invalid{because}"


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


def _changed_parameters(old: Any, new: Any) -> str:
    changed = [n for n in vars(new) if getattr(old, n) != getattr(new, n)]
    return "parameters: " + ", ".join(f"{n} was {_shown(old, n)}, now {_shown(new, n)}" for n in changed)


def _shown(parameters: Any, name: str) -> Any:
    value = getattr(parameters, name)
    return getattr(value, "value", value)


def _difference(used: list[Any], now: list[Any]) -> str:
    gone, new = [o for o in used if o not in now], [o for o in now if o not in used]
    if not gone and not new:
        return "the order of the inputs changed"
    if len(gone) == 1 and len(new) == 1:
        return f"{new[0]} takes the place of {gone[0]}"
    said = [f"{len(new)} more, first {new[0]}"] if new else []
    return "; ".join(said + ([f"{len(gone)} no longer, first {gone[0]}"] if gone else []))


def _why_empty(session: Session, product: Any, declared: Input, plan: Planned | None) -> str:
    if plan is not None and plan.left_out:
        return f"none of the {declared.name} can be had: {plan.left_out[0]}"
    explain = getattr(declared.rule, "why_none", None)
    if explain is not None:
        return str(explain(session, declared.source, product))
    return f"no {declared.source.__name__} to use as {declared.name} of {product}"


def _check_complete(product: Any) -> None:
    roles = getattr(type(product), "NEEDS_ONE_OF", ())
    if roles and all(getattr(product, role) is None for role in roles):
        raise MissingInput(f"{product} needs one of {', '.join(roles)}, and there is nothing to make any of them from")
