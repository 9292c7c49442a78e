"""Timelines side by side, in as many columns as fit."""

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


def side_by_side(results: Sequence[ScenarioResult], width: int, *, rule: str) -> Iterator[str]:
    """Return the lines, styled for a terminal; `click.echo` strips the styles for anything else.

    `rule` is the character of horizontal lines.
    """
    across = max(1, (width + _GAP) // (_WIDTH + _GAP))
    for start in range(0, len(results), across):
        columns = [_column(each, rule) for each in results[start : start + across]]
        height = max(map(len, columns))
        # The last rows are aligned, below the longest timeline.
        filled = [[*rows[:-3], *[""] * (height - len(rows)), *rows[-3:]] for rows in columns]
        yield from ((" " * _GAP).join(_padded(cell) for cell in row).rstrip() for row in zip_longest(*filled))
        yield ""


def _column(result: ScenarioResult, rule: str) -> list[str]:
    return [
        click.style(result.scenario, bold=True),
        click.style(rule * _WIDTH, dim=True),
        *(
            f"{click.style(f'{seconds * 1000:5.0f} ms', dim=True)}  {_coloured(name)}"
            for seconds, name in result.events
        ),
        click.style(rule * _WIDTH, dim=True),
        f"{_coloured(result.status, bold=True)}" + ("" if result.problem is None else click.style("  wrong", fg="red")),
        click.style(result.received, dim=True),
    ]


def _coloured(name: str, *, bold: bool = False) -> str:
    return click.style(name, fg=_COLOURS.get(name), bold=bold)


def _padded(cell: str) -> str:
    return cell + " " * (_WIDTH - len(click.unstyle(cell)))
