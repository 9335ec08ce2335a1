"""Plan: what would be made for a target, in which order, from what, and why. Reads the database, changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from awe.errors import MissingInput
from awe.model.lineage import Wanted, inputs
from awe.model.observation import GridTarget
from awe.model.persistent import Persistent
from awe.processing.choosing import Chooser, Planned


@dataclass(eq=False)
class Step:
    """One product that is to be made."""

    number: int
    product: Any
    key: dict[str, Any]
    reasons: list[str]
    needs: list[int]
    """Numbers of the steps whose products it uses."""
    left_out: list[str] = field(default_factory=list)
    subject: str = ""
    """What the product is of, in words; told when it is planned, for a run holds no session."""

    @property
    def pixels(self) -> int:
        """Number of pixels that are read, as far as it is known beforehand."""
        product = self.product
        lists = [getattr(product, n) for n, d in inputs(type(product)).items() if d.many]
        frames = [f for members in lists for f in members] or [_image_of(product)]
        return sum((getattr(f, "naxis1", 0) or 0) * (getattr(f, "naxis2", 0) or 0) for f in frames if f is not None)

    def __str__(self) -> str:
        return f"{type(self.product).__name__} {self.subject}"


@dataclass
class Plan:
    """What is to be made, in an order in which it can be made, and what the targets will be."""

    steps: list[Step]
    targets: list[Any]
    """The products asked for: existing ones, or new instances that stand in `steps`."""
    new_grids: list[GridTarget]
    impossible: list[str]
    """Targets that can't be made, and why."""

    @property
    def up_to_date(self) -> list[Any]:
        """The targets that exist already."""
        return [t for t in self.targets if t.object_id is not None]


def plan(
    session: Session, targets: Sequence[Wanted], parameters: dict[type, Any] | None = None, wish: Any = None
) -> Plan:
    """Return what must be made for the targets.

    `wish` are the process parameters of the targets, by default those of their class; `parameters` are those
    wanted of other classes on the way, which otherwise keep what they were made with.
    """
    with session.no_autoflush:
        chooser = Chooser(session, parameters)
        chooser.expect(targets)
        found, impossible = [], []
        for target in targets:
            try:
                found.append(chooser.resolve(target, wish or _default(target.product_class)))
            except MissingInput as error:
                impossible.append(str(error))
        found = list(dict.fromkeys(found))
        return _ordered(chooser, found, impossible)


def _default(cls: Any) -> Any:
    return cls.Parameters() if hasattr(cls, "Parameters") else None


def _ordered(chooser: Chooser, targets: list[Any], impossible: list[str]) -> Plan:
    steps: dict[int, Step] = {}
    for target in targets:
        _visit(chooser, target, steps)
    ordered = list(steps.values())
    grids = {id(s.product.grid_target): s.product.grid_target for s in ordered if hasattr(s.product, "grid_target")}
    return Plan(ordered, targets, [g for g in grids.values() if g.object_id is None], impossible)


def _visit(chooser: Chooser, product: Any, steps: dict[int, Step]) -> None:
    """Append the steps of a planned product after those of its inputs."""
    planned = chooser.planned(product)
    if planned is None or id(product) in steps:
        return
    used = _inputs_of(planned)
    for source in used:
        _visit(chooser, source, steps)
    needs = [steps[id(source)].number for source in used if id(source) in steps]
    own = len(steps), product, planned.key, planned.reasons, needs, planned.left_out
    steps[id(product)] = Step(*own, subject(product))


def _inputs_of(planned: Planned) -> list[Persistent]:
    product = planned.product
    return [source for declared in inputs(type(product)).values() for source in declared.used(product)]


def _image_of(product: Any) -> Any:
    for name in ("raw", "reduced", "frame"):
        if hasattr(product, name):
            return getattr(product, name)
    return product


def subject(product: Any) -> str:
    """Return what a product is of, in words: target, filter, chip, time."""
    like = product
    for name in ("frame", "reduced", "raw"):
        like = getattr(like, name, None) or like
    grid = getattr(product, "grid_target", None)
    words = [grid.name if grid is not None else getattr(like, "object", "")]
    words += [getattr(getattr(like, name, None), "name", "") for name in ("filter", "chip")]
    moment = getattr(like, "date_obs", None) or getattr(like, "valid_from", None)
    words.append(f"{moment:%Y-%m-%dT%H:%M:%S}" if moment is not None else "")
    return " ".join(w for w in words if w)
