"""The progress of a run: one live line on a terminal, a plain line for each step elsewhere."""

import shutil
import sys
import time
from dataclasses import dataclass, field

import click

from awe.cli.printing import seconds_shown
from awe.processing.orders import Order
from awe.processing.worker import Result


@dataclass
class Progress:
    """Shows steps as they start and end; on standard error, so that results can be piped."""

    quiet: bool = False
    live: bool = field(default_factory=lambda: sys.stderr.isatty())  # noqa: PLW0108  the stream of now, not of the import
    started: float = field(default_factory=time.monotonic)
    running: dict[int, str] = field(default_factory=dict)
    failed: int = 0

    def __call__(self, order: Order, result: Result | None, done: int, total: int) -> None:
        """Note that a step started (no result) or ended."""
        if result is None:
            self.running[order.number] = order.target
        else:
            self.running.pop(order.number, None)
            self.failed += result.object_id is None and not not_started(result)
        if self.quiet:
            return
        if self.live:
            self._rewrite(done, total)
        elif result is not None and not not_started(result):
            click.echo(_line(order, result, done, total), err=True)

    def _rewrite(self, done: int, total: int) -> None:
        failed = f", {self.failed} failed" if self.failed else ""
        newest = next(reversed(self.running.values()), "")
        text = f"{done}/{total} steps{failed}, {seconds_shown(time.monotonic() - self.started)}  {newest}"
        width = shutil.get_terminal_size().columns - 1
        click.echo(f"\r{text[:width]:{width}}", nl=False, err=True)

    def end(self) -> None:
        """Remove the live line."""
        if self.live and not self.quiet:
            click.echo("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r", nl=False, err=True)


def not_started(result: Result) -> bool:
    """Tell whether a step did not start, since something it needs failed."""
    return result.object_id is None and result.error.startswith("not started")


def _line(order: Order, result: Result, done: int, total: int) -> str:
    place = f"[{done:{len(str(total))}}/{total}]"
    if result.object_id is None:
        return f"{place} failed: {result.error.splitlines()[0]}"
    how = "was made meanwhile" if result.found else f"{result.seconds:.1f} s"
    return f"{place} {order.class_name} {result.object_id}  {order.subject}  {how}"
