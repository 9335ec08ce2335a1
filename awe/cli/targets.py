"""`awe plan` and `awe make`: a sub-command for each class, whose options derive from the class."""

import enum
import time
import types
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Union, get_args, get_origin

import click

from awe.cli import plan_printing
from awe.cli.failures import FAILED
from awe.cli.interruption import gracefully
from awe.cli.printing import print_json
from awe.cli.progress import Progress
from awe.cli.workplace import Workplace, with_workers, works
from awe.errors import BadRequest, MissingInput
from awe.model.lineage import inputs, parameter_default, parameters_of
from awe.model.persistent import concrete_classes, persistent_class
from awe.processing.engine import execute, get_ready
from awe.processing.plan import Plan
from awe.processing.plan import plan as plan_of
from awe.processing.requests import targets

_SELECTION = {
    "object": "name of the target (* and ? are wildcards)",
    "filter": "name of the filter",
    "chip": "name of the detector",
    "instrument": "name of the camera",
    "night": "date of the evening, such as 2026-02-14",
}


class TargetGroup(click.Group):
    """A group with a command for each class that awe makes."""

    def __init__(self, *args: Any, action: Callable[..., Any], more: list[click.Option], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.action, self.more = action, more

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the classes that are made of others, in processing order."""
        return [cls.__name__ for cls in concrete_classes() if inputs(cls)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Return the command for a class; the case of its name does not matter."""
        cls = persistent_class(cmd_name)
        if not inputs(cls):
            raise BadRequest(f"{cls.__name__} is not made by awe; it makes {', '.join(self.list_commands(ctx))}")
        options = [*_selection_options(cls), *_parameter_options(cls), _other_parameters(), *self.more]
        summary = (cls.__doc__ or "").strip()
        example = f"\b\nExample: awe {self.name} {cls.__name__} --object M67"
        return click.Command(
            cls.__name__, params=options, callback=self._calls(cls), help=f"{summary}\n\n{example}", short_help=summary
        )

    def _calls(self, cls: type) -> Callable[..., Any]:
        @works
        def call(place: Workplace, **given: Any) -> Any:
            return self.action(place, cls, given)

        return call


def _selection_options(cls: type) -> list[click.Option]:
    options = [click.Option([f"--{name}"], metavar="NAME", help=doc) for name, doc in _SELECTION.items()]
    options.append(click.Option(["--frame"], type=int, metavar="ID", help="make it of this one frame"))
    options.append(
        click.Option(["--grid"], metavar="NAME", help="grid target; without it, one is laid out for the target")
    )
    if "detection" in inputs(cls):
        options.append(
            click.Option(["--detect-on"], type=int, metavar="ID", help="detect the sources on this other frame")
        )
    if "source_lists" in inputs(cls):
        several = click.Option(
            ["--source-list", "source_lists"], type=int, multiple=True, metavar="ID", help="associate these lists"
        )
        options.append(several)
    return options


def _parameter_options(cls: Any) -> list[click.Option]:
    """Return an option for each process parameter of a class."""
    declared = fields(cls.Parameters) if hasattr(cls, "Parameters") else ()
    return [_parameter_option(f) for f in declared]


def _parameter_option(declared: Any) -> click.Option:
    kind = declared.type
    if get_origin(kind) in (Union, types.UnionType):
        (kind,) = [part for part in get_args(kind) if part is not type(None)]
    default = parameter_default(declared)
    shown = getattr(default, "value", default)
    unit = f" ({declared.metadata['unit']})" if declared.metadata["unit"] else ""
    return click.Option(
        [f"--{declared.name.replace('_', '-')}", f"param_{declared.name}"],
        type=click.Choice([m.value for m in kind]) if issubclass(kind, enum.Enum) else str,
        metavar=None if issubclass(kind, enum.Enum) else kind.__name__.upper(),
        help=f"{declared.metadata['doc']}{unit} [default: {str(shown).lower() if shown is None else shown}]",
    )


def _other_parameters() -> click.Option:
    doc = "parameter of a class on the way, such as BiasFrame.sigma_clip=5; may be given several times"
    return click.Option(["-p", "--parameter", "others"], multiple=True, metavar="CLASS.NAME=VALUE", help=doc)


def wishes(cls: type, given: dict[str, Any]) -> tuple[Any, dict[type, Any]]:
    """Return the parameters wanted of the target class (None: its defaults), and of classes on the way."""
    own = {name.removeprefix("param_"): v for name, v in given.items() if name.startswith("param_") and v is not None}
    others: dict[type, dict[str, str]] = {cls: own}
    for text in given["others"]:
        owner, name, value = _split(text)
        others.setdefault(owner, {})[name] = value
    wanted = {owner: parameters_of(owner, **values) for owner, values in others.items() if values}
    return wanted.pop(cls, None), wanted


def _split(text: str) -> tuple[type, str, str]:
    left, equals, value = text.partition("=")
    owner, dot, name = left.partition(".")
    if not (equals and dot and value):
        raise BadRequest(f"a parameter is given as CLASS.NAME=VALUE, such as BiasFrame.sigma_clip=5, got {text!r}")
    return persistent_class(owner), name, value


def planned(session: Any, cls: Any, given: dict[str, Any]) -> Plan:
    """Return the plan for what the options select."""
    names = (*_SELECTION, "frame", "grid", "source_lists", "detect_on")
    selection = {name: given.get(name) for name in names if given.get(name) not in (None, ())}
    if "source_lists" in selection:
        selection["source_lists"] = list(selection["source_lists"])
    wish, others = wishes(cls, given)
    return plan_of(session, targets(session, cls, **selection), others, wish)


def _show_plan(place: Workplace, cls: Any, given: dict[str, Any]) -> int:
    with place.session() as session:
        plan = planned(session, cls, given)
        if given["as_json"]:
            print_json(plan_printing.plan_json(cls, plan))
        else:
            click.echo(plan_printing.plan_text(cls, plan, given["every_step"]))
        return MissingInput.exit_code if plan.impossible else 0


def _make(place: Workplace, cls: Any, given: dict[str, Any]) -> int:
    if given["dry_run"]:
        return _show_plan(place, cls, given)
    place = with_workers(place, given["workers"])
    start = time.monotonic()
    get_ready(place.settings)
    with place.session() as session:
        plan = planned(session, cls, given)
        there = [(t.object_id, str(t)) for t in plan.up_to_date]
    progress = Progress(quiet=place.quiet or given["as_json"])
    with gracefully(place.engine, progress):  # the session has ended: no transaction stays open during the run
        outcome = execute(plan, place.engine, place.settings, progress)
    seconds = time.monotonic() - start
    if given["as_json"]:
        print_json(plan_printing.outcome_json(cls, plan.impossible, there, outcome, seconds))
    else:
        click.echo(plan_printing.outcome_text(cls, plan.impossible, there, outcome, seconds))
    return FAILED if outcome.failed or plan.impossible else 0


_JSON = {"param_decls": ["--json", "as_json"], "is_flag": True, "help": "as JSON"}
_EVERY = {"param_decls": ["--every-step"], "is_flag": True, "help": "list each step, however many there are"}

plan = TargetGroup(
    "plan",
    action=_show_plan,
    more=[click.Option(**_EVERY), click.Option(**_JSON)],  # type: ignore[arg-type]
    help="""Show what would be made for a target, and why.

    Nothing is changed. Each class has its own options: awe plan Coadd --help. The exit code is 4 if
    a target can't be made.

    \b
    Example: awe plan Coadd --object M67 --filter g
             awe plan Coadd --object M67 -p BiasFrame.sigma_clip=5
    """,
)

make = TargetGroup(
    "make",
    action=_make,
    more=[
        click.Option(
            ["--workers"], type=click.IntRange(1, 1024), metavar="N", help="processes that work at the same time"
        ),
        click.Option(["-n", "--dry-run"], is_flag=True, help="show the plan only"),
        click.Option(**_EVERY),  # type: ignore[arg-type]
        click.Option(**_JSON),  # type: ignore[arg-type]
    ],
    help="""Make a target and all that it needs.

    What exists and is up to date is used as it is. A step that fails does not stop those that don't need it;
    the exit code is then 9. Ctrl-C lets the running steps end; the same command resumes.

    \b
    Example: awe make Coadd --object M67 --filter g --workers 8
             awe make SourceList --frame 812 --detect-thresh 3
             awe make SourceList --object M67 --detect-on 812
    """,
)
