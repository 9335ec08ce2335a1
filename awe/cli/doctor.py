"""`awe doctor`: what is damaged or left over."""

from collections.abc import Iterator

import click
from sqlalchemy import Engine

from awe.cli.failures import FAILED
from awe.cli.printing import plural, print_json, seconds_shown
from awe.cli.workplace import Workplace, works
from awe.errors import AweError
from awe.processing.housekeeping import (
    Finding,
    catalogue_findings,
    dead_jobs,
    deep_findings,
    file_findings,
    half_made,
    left_scratch,
)
from awe.store import Store


@click.command()
@click.option("--repair", is_flag=True, help="repair what can be repaired")
@click.option("--all", "everything", is_flag=True, help="also files without an object that are younger than an hour")
@click.option("--deep", is_flag=True, help="read each file in full and compare its checksum (slow)")
@click.option("--compile", "compiled", is_flag=True, help="first compile the kernels that are not yet (a minute)")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@works
def doctor(place: Workplace, repair: bool, everything: bool, deep: bool, compiled: bool, as_json: bool) -> int:
    """Find what is damaged or left over, and repair it.

    Looked at are: schema and process catalogue, running jobs whose process is gone, left-over scratch folders, products
    that are not whole, files that belong to no object, objects whose file is missing or changed. The exit code is 9 if
    something is left to repair. Kernels are compiled when they are first used, unless --compile did so before.

    \b
    Example: awe doctor
             awe doctor --repair
    """
    if compiled:
        from awe.kernels.compile_ahead import compile_ahead

        place.say(f"kernels compiled in {seconds_shown(compile_ahead())}; they are kept for next time")
    engine = place.engine
    with place.connected() as (_, store):
        findings = list(_findings(place, engine, store, everything, deep))
        done = [_treated(finding, repair) for finding in findings]
    left = sum(not outcome for outcome in done)
    if as_json:
        entries = zip(findings, done, strict=True)
        print_json([{"subject": f.subject, "text": f.text, "repaired": bool(d), "done": d} for f, d in entries])
        return FAILED if left else 0
    for finding, outcome in zip(findings, done, strict=True):
        click.echo(f"{finding.subject}: {finding.text}{f': {outcome}' if outcome else ''}")
    click.echo(_verdict(findings, left))
    return FAILED if left else 0


def _findings(place: Workplace, engine: Engine, store: Store, everything: bool, deep: bool) -> Iterator[Finding]:
    yield from catalogue_findings(engine)
    yield from dead_jobs(engine)
    yield from left_scratch(place.settings)
    yield from half_made(engine)
    yield from file_findings(engine, store, everything)
    if deep:
        yield from deep_findings(engine, store)


def _treated(finding: Finding, repair: bool) -> str:
    """Return what was done about a finding; empty if nothing."""
    if not repair or finding.repair is None:
        return ""
    try:
        return finding.repair()
    except AweError as error:
        click.echo(f"awe: {finding.text} can't be repaired: {error}", err=True)
        return ""


def _verdict(findings: list[Finding], left: int) -> str:
    if not findings:
        return "all is well: schema, process catalogue, jobs, scratch folders, products and files"
    if not left:
        return f"{plural(len(findings), 'finding')}, all repaired"
    can = sum(finding.repair is not None for finding in findings)
    hint = "; `awe doctor --repair` repairs what can be" if can and left == len(findings) else ""
    return f"{plural(len(findings), 'finding')}, {left} left{hint}"
