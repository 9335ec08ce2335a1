"""`awe ingest`: raw frames, each with a verdict."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from awe.cli.external import asking, external_options, stated_by
from awe.cli.failures import REFUSED
from awe.cli.printing import plural, print_json
from awe.cli.workplace import Workplace, works
from awe.errors import NotFound
from awe.instruments import load_definitions
from awe.model.ingested import Verdict
from awe.processing.external import Ask, ExternalIngester
from awe.processing.external_facts import Stated
from awe.processing.ingest import Ingester, Report, find_files


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-n", "--dry-run", is_flag=True, help="read and judge the files, store nothing")
@click.option("--json", "as_json", is_flag=True, help="verdicts as JSON")
@external_options
@works
def ingest(place: Workplace, files: tuple[Path, ...], dry_run: bool, as_json: bool, **external: Any) -> int:
    """Take in raw frames, or with --as calibrated ones; each file gets a verdict.

    FILES are FITS files (also .fz and .gz), or folders with such files. A file that is refused does not stop the
    others; nothing of it is stored. The exit code is 10 if any was refused.

    Frames made elsewhere become objects without inputs, marked external. What their header does not tell (unit,
    zeropoint, filter, instrument, date) is said by options, or asked for on a terminal. Pixels stay as they are.

    \b
    Example: awe ingest /data/2026-02-14 extra.fits.fz
             awe ingest --dry-run --json /data/2026-02-14
             awe ingest --as Coadd --unit adu --weight '{stem}.weight.fits' stack_g.fits stack_r.fits
    """
    stated, place = stated_by(place, external)
    found = find_files(files)
    if not found:
        raise NotFound(f"no FITS file in {', '.join(map(str, files))}")
    asks = None if as_json else asking()
    opened = ingester(place, dry_run) if stated is None else external_ingester(place, dry_run, stated, len(found), asks)
    with opened as worker:
        reports = list(_shown(worker.ingest(found), found, quiet=as_json or place.quiet))
    counts = Counter(report.verdict for report in reports)
    if as_json:
        print_json({"counts": {v.value: counts[v] for v in Verdict}, "files": [vars(r) for r in reports]})
    else:
        click.echo(summary(counts))
    return REFUSED if counts[Verdict.REFUSED] else 0


@contextmanager
def ingester(place: Workplace, dry_run: bool = False) -> Iterator[Ingester]:
    """Yield what ingests files with the instruments of the settings."""
    folder = place.settings.instruments
    definitions = load_definitions(folder if folder != Path() else None)
    if dry_run:
        yield Ingester(place.engine, None, place.settings, definitions, dry_run=True)
        return
    engine = place.engine  # a missing database is to be told before a data server starts
    with place.connected() as (settings, store):
        yield Ingester(engine, store, settings, definitions)


@contextmanager
def external_ingester(
    place: Workplace, dry_run: bool, stated: Stated, count: int, ask: Ask | None
) -> Iterator[ExternalIngester]:
    """Yield what ingests frames made elsewhere."""
    with ingester(place, dry_run) as plain:
        given = plain.engine, plain.store, plain.settings, plain.definitions, plain.dry_run
        yield ExternalIngester(*given, stated=stated, ask=ask, count=count)


def _shown(reports: Iterator[Report], paths: Sequence[Path], quiet: bool) -> Iterator[Report]:
    """Print each verdict as it comes."""
    name = min(48, max(len(path.name) for path in paths))
    number = len(str(len(paths)))
    for i, report in enumerate(reports, 1):
        if not quiet:
            said = f"{report.verdict.value:13}  {Path(report.path).name:{name}}  {report.reason}"
            click.echo(f"[{i:{number}}/{len(paths)}] {said}")
        yield report


def summary(counts: Counter[Verdict]) -> str:
    """Return one sentence on what became of the files.

    >>> summary(Counter({Verdict.INGESTED: 3, Verdict.REFUSED: 1}))
    '4 files: 3 ingested, 1 refused'
    """
    parts = [f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict]]
    return f"{plural(sum(counts.values()), 'file')}: {', '.join(parts)}"
