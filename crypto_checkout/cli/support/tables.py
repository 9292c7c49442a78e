"""Tables for people: plain aligned text within 100 columns. Programs use `--json`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

WIDTH = 100
_GAP = 2


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, flexible: int) -> list[str]:
    """Return the lines of a table; if it is too wide, the column `flexible` is cut to fit."""
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(len(row[place]) for row in [[*headings], *cells]) for place in range(len(headings))]
    others = sum(widths) - widths[flexible] + _GAP * (len(widths) - 1)
    widths[flexible] = max(len(headings[flexible]), min(widths[flexible], WIDTH - others))
    return [_line(row, widths) for row in [[*headings], *cells]]


def fields(pairs: Sequence[tuple[str, str | None]]) -> list[str]:
    """Return a line for each name with its value, without those that have no value."""
    given = [(name, plain(value)) for name, value in pairs if value]
    width = max((len(name) for name, _ in given), default=0)
    return [f"  {name:<{width}}  {value}" for name, value in given]


def plain(text: str) -> str:
    """Remove unprintable characters: text from others must not move the cursor or change the writing direction."""
    return "".join(character for character in text.replace("\n", " ") if character.isprintable())


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Write a number with its noun: `1 check`, `1,204 addresses`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def minute(text: str) -> str:
    """Shorten a time of the API to minutes, in UTC: `2026-11-23 09:30`."""
    return text[:16].replace("T", " ")


def second(text: str | None) -> str | None:
    """Write a time of the API for people, in UTC; None stays None."""
    return None if text is None else f"{text[:19].replace('T', ' ')} UTC"


def moment(at: datetime) -> str:
    """Write a time for people, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def chain(names: Mapping[int, str], chain_id: int) -> str:
    """Name a chain with its id; one without a name by its id alone."""
    return f"{names[chain_id]} ({chain_id})" if chain_id in names else f"chain {chain_id}"


def mode(livemode: bool) -> str:
    """Name a mode."""
    return "live" if livemode else "test"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return (" " * _GAP).join(_fitted(cell, width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _fitted(cell: str, width: int) -> str:
    return f"{cell:<{width}}" if len(cell) <= width else f"{cell[: width - 1]}…"
