"""Progress of a long command, on the standard error: a bar on a terminal, occasional lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

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
    """Show a bar for each task, one below the other."""
    with ExitStack() as running:
        bars = {}

        def report(task: str, done: int, total: int) -> None:
            if task not in bars:
                running.close()  # the task before has ended
                label = f"{task}, {unit}" if unit else task
                bar = click.progressbar(length=total, label=label, show_pos=True, file=sys.stderr)
                bars[task] = running.enter_context(bar)
            bars[task].length = total
            bars[task].update(done - bars[task].pos)

        yield report


def _lines(unit: str) -> Progress:
    printed_at: dict[str, float] = {}

    def report(task: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - printed_at.setdefault(task, now) >= _LINE_EVERY_SECONDS:
            printed_at[task] = now
            click.echo(f"{task}: {done:,} of {total:,} {unit}", err=True)

    return report
