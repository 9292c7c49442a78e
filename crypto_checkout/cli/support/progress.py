"""How far a long command is, on the standard error: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

_LINE_EVERY_SECONDS = 2.0

Progress = Callable[[str, int, int], None]
"""What is being done, how much of it is done, and how much there is in all."""


@contextmanager
def shown(unit: str) -> Iterator[Progress]:
    """Show the progress that is reported, counted in `unit`, as in "addresses"."""
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
        tasks = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what)
            bars.update(tasks[what], completed=done, total=total)

        yield report


def _lines(unit: str) -> Progress:
    said: dict[str, float] = {}

    def report(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - said.setdefault(what, now) >= _LINE_EVERY_SECONDS:
            said[what] = now
            click.echo(f"{what}: {done:,} of {total:,} {unit}", err=True)

    return report
