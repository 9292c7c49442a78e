"""Progress of a long command, on the standard error: a bar on a terminal, occasional lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

_LINE_EVERY_SECONDS = 2.0

Progress = Callable[[str, int, int], None]
"""Takes the name of a task, the amount done, and the total."""


@contextmanager
def shown(unit: str) -> Iterator[Progress]:
    """Show reported progress, counted in `unit`, such as "addresses"."""
    if sys.stderr.isatty():
        with _bar(unit) as report:
            yield report
    else:
        yield _lines(unit)


@contextmanager
def _bar(unit: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
    with Bars(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        bars_by_task = {}

        def report(task: str, done: int, total: int) -> None:
            if task not in bars_by_task:
                bars_by_task[task] = bars.add_task(task)
            bars.update(bars_by_task[task], completed=done, total=total)

        yield report


def _lines(unit: str) -> Progress:
    printed_at: dict[str, float] = {}

    def report(task: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - printed_at.setdefault(task, now) >= _LINE_EVERY_SECONDS:
            printed_at[task] = now
            click.echo(f"{task}: {done:,} of {total:,} {unit}", err=True)

    return report
