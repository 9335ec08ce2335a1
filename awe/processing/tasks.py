"""The register of tasks: which function makes which product, in which version."""

import hashlib
import importlib
import inspect
import json
import pkgutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from awe import __version__
from awe.errors import BadRequest, DatabaseUnavailable
from awe.model.lineage import parameter_default
from awe.model.persistent import Process

Maker = Callable[[Any, Any], None]


@dataclass(frozen=True)
class Task:
    """One function that makes products of one class."""

    function: Maker
    product_class: type
    version: int
    reads: tuple[str, ...] = ()
    """Inputs of its inputs that the function reads as well, as `role.role`."""

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.function.__name__


_TASKS: dict[type, Task] = {}


def makes(product_class: type, version: int, reads: tuple[str, ...] = ()) -> Callable[[Maker], Maker]:
    """Register the decorated function as the one that makes `product_class`.

    `version` is raised when the results of the task change: products of older versions are then stale. `reads` names
    the inputs of inputs that the function reads, as `role.role`: all else of an input is out of its reach.
    """

    def register(function: Maker) -> Maker:
        _TASKS[product_class] = Task(function, product_class, version, reads)
        return function

    return register


def tasks() -> dict[type, Task]:
    """Return all tasks by product class."""
    import awe.processing

    for module in pkgutil.iter_modules(awe.processing.__path__, "awe.processing."):
        importlib.import_module(module.name)
    return _TASKS


def task_for(product_class: type) -> Task:
    """Return the task that makes a product class."""
    known = _TASKS if product_class in _TASKS else tasks()
    if product_class not in known:
        made = ", ".join(sorted(c.__name__ for c in known))
        raise BadRequest(f"{product_class.__name__} is not made by awe; it makes {made}")
    return known[product_class]


def register_processes(session: Session) -> list[str]:
    """Bring the process catalogue up to date; return a sentence for each row that is new or changed."""
    said = []
    rows = {(p.product_class, p.version): p for p in session.scalars(select(Process))}
    for task in tasks().values():
        row = rows.get((task.product_class.__name__, task.version))
        code = code_hash(task)
        if row is None:
            session.add(_row(task, code))
            said.append(f"{task.name} version {task.version} registered")
        elif row.code_hash != code:
            row.code_hash, row.software_version = code, __version__
            row.parameters = json.dumps(described_parameters(task.product_class))
            said.append(f"the code of {task.name} changed without a new version ({task.version})")
    return said


def check_processes(session: Session, class_names: set[str]) -> None:
    """Raise DatabaseUnavailable if a task of this program is not in the process catalogue, and say the remedy."""
    known = {(name, version) for name, version in session.execute(select(Process.product_class, Process.version))}
    for task in tasks().values():
        name = task.product_class.__name__
        if name in class_names and (name, task.version) not in known:
            raise DatabaseUnavailable(
                f"{task.name} version {task.version} of this program is not in the process catalogue of the database: "
                "bring it up to date with `awe upgrade`"
            )


def _row(task: Task, code: str) -> Process:
    return Process(
        name=task.name,
        product_class=task.product_class.__name__,
        version=task.version,
        summary=(inspect.getdoc(task.function) or "").partition("\n")[0],
        parameters=json.dumps(described_parameters(task.product_class)),
        code_hash=code,
        software_version=__version__,
    )


def described_parameters(product_class: type) -> list[dict[str, Any]]:
    """Return name, type, default, unit and meaning of each process parameter of a class."""
    if not hasattr(product_class, "Parameters"):
        return []
    return [
        {
            "name": f.name,
            "type": getattr(f.type, "__name__", str(f.type)),
            "default": parameter_default(f),
            "unit": f.metadata["unit"],
            "doc": f.metadata["doc"],
        }
        for f in fields(product_class.Parameters)
    ]


def code_hash(task: Task) -> str:
    """Return the SHA-256 of the source of the task's module and of the kernels it imports."""
    module = sys.modules[task.function.__module__]
    names = {module.__name__}
    for value in vars(module).values():
        origin = value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", "")
        if str(origin).startswith("awe.kernels"):
            names.add(str(origin))
    text = "".join(inspect.getsource(sys.modules[name]) for name in sorted(names) if name in sys.modules)
    return hashlib.sha256(text.encode()).hexdigest()
