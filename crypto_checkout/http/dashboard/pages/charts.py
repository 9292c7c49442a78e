"""Charts as inline SVG, drawn on the server: shapes whose classes the style sheet colours, for light and dark.

They contain no text, which would shrink with the chart: pages put labels and a table beside it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from markupsafe import Markup

WIDTH, HEIGHT = 1000, 240
"""The size of the view box; a chart stretches to any size."""

_GAP = Decimal("0.2")
"""The part of a column's width between the bars."""

_STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a chart: its name, and a value of zero or more for each column."""

    name: str
    values: Sequence[Decimal]


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing, and the value at its upper edge; `top` is zero without data."""

    svg: Markup
    top: Decimal


def bars(
    name: str,
    labels: Sequence[str],
    series: Sequence[Series],
    *,
    title: str,
    description: str,
    write: Callable[[Decimal], str] = str,
) -> Chart:
    """Draw a column for each label, with stacked series.

    Args:
        name: prefix of the chart's ids, unique on the page.
        labels: names of the columns, shown on hover.
        series: each with one value for each label.
        title: title for screen readers.
        description: a sentence for screen readers.
        write: formats a value.

    Raises ValueError for a series of another length, or a value below zero.

    """
    for each in series:
        if len(each.values) != len(labels):
            raise ValueError(f"{each.name} has {len(each.values)} values for {len(labels)} columns")
        if any(value < 0 for value in each.values):
            raise ValueError(f"{each.name} has a value below zero")
    top = ceiling(max((sum(values, Decimal(0)) for values in zip(*(s.values for s in series), strict=True)), default=0))
    columns = [_column(index, labels, series, top, write) for index in range(len(labels))]
    ids = f"{name}-title", f"{name}-text"
    svg = Markup(
        '<svg class="chart" viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" '
        'aria-labelledby="{title_id} {text_id}"><title id="{title_id}">{title}</title>'
        '<desc id="{text_id}">{description}</desc>{grid}{columns}</svg>'
    ).format(
        width=WIDTH,
        height=HEIGHT,
        title_id=ids[0],
        text_id=ids[1],
        title=title,
        description=description,
        grid=_grid(),
        columns=Markup("").join(columns),
    )
    return Chart(svg, top)


def ceiling(value: Decimal | int) -> Decimal:
    """Round up to 1, 2, 2.5 or 5 times a power of ten; zero stays zero."""
    value = Decimal(value)
    if not value:
        return Decimal(0)
    power = Decimal(1).scaleb(value.adjusted())
    return next(step * power for step in _STEPS if step * power >= value)


def _grid() -> Markup:
    """Draw lines at the top, in the middle and at the bottom."""
    lines = (f'<line class="chart-grid" x1="0" x2="{WIDTH}" y1="{y}" y2="{y}"/>' for y in (0, HEIGHT // 2, HEIGHT))
    return Markup("").join(Markup(line) for line in lines)  # noqa: S704 - numbers of this module


def _column(
    index: int, labels: Sequence[str], series: Sequence[Series], top: Decimal, write: Callable[[Decimal], str]
) -> Markup:
    whole = Decimal(WIDTH) / len(labels)
    left, width = whole * (index + _GAP / 2), whole * (1 - _GAP)
    below = Decimal(0)
    parts = []
    lines = [labels[index]]
    for number, each in enumerate(series, start=1):
        value = each.values[index]
        if not value:
            continue
        height = HEIGHT * value / top
        below += height
        lines.append(f"{each.name}: {write(value)}")
        parts.append(
            Markup('<rect class="chart-{number}" x="{x}" y="{y}" width="{width}" height="{height}"/>').format(
                number=number, x=_short(left), y=_short(HEIGHT - below), width=_short(width), height=_short(height)
            )
        )
    # The whole column reacts to the pointer, however low its bars.
    return Markup('<g><title>{text}</title><rect class="chart-column" x="{x}" y="0" width="{width}" height="{height}"/>'
                  "{parts}</g>").format(
        text="\n".join(lines), x=_short(whole * index), width=_short(whole), height=HEIGHT, parts=Markup("").join(parts)
    )  # fmt: skip


def _short(number: Decimal) -> str:
    return f"{number.quantize(Decimal('0.01')).normalize():f}"
