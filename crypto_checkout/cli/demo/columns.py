"""Timelines beside each other: as many columns as there is room for."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

import click

from crypto_checkout.cli.demo.scenarios import ScenarioResult

_WIDTH = 22
_GAP = 3
_COLOURS = {
    "paid": "green",
    "paid_late": "green",
    "underpaid": "yellow",
    "overpaid": "yellow",
    "expired": "yellow",
    "late_payment": "yellow",
    "reorged": "red",
    "failed": "red",
}


def beside(told: Sequence[ScenarioResult], width: int, *, rule: str) -> Iterator[str]:
    """Return the lines, styled for a terminal; what prints them to something else takes the styles out.

    `rule` is the character of horizontal lines.
    """
    across = max(1, (width + _GAP) // (_WIDTH + _GAP))
    for start in range(0, len(told), across):
        columns = [_column(each, rule) for each in told[start : start + across]]
        height = max(map(len, columns))
        # The ends stand in one line, below the longest timeline.
        filled = [[*rows[:-3], *[""] * (height - len(rows)), *rows[-3:]] for rows in columns]
        yield from ((" " * _GAP).join(_padded(cell) for cell in row).rstrip() for row in zip_longest(*filled))
        yield ""


def _column(told: ScenarioResult, rule: str) -> list[str]:
    return [
        click.style(told.scenario, bold=True),
        click.style(rule * _WIDTH, dim=True),
        *(f"{click.style(f'{seconds * 1000:5.0f} ms', dim=True)}  {_coloured(name)}" for seconds, name in told.events),
        click.style(rule * _WIDTH, dim=True),
        f"{_coloured(told.status, bold=True)}" + ("" if told.problem is None else click.style("  wrong", fg="red")),
        click.style(told.received, dim=True),
    ]


def _coloured(name: str, *, bold: bool = False) -> str:
    return click.style(name, fg=_COLOURS.get(name), bold=bold)


def _padded(cell: str) -> str:
    return cell + " " * (_WIDTH - len(click.unstyle(cell)))
