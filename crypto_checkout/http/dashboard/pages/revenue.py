"""Revenue as the overview shows it, in one currency: figures with their change, a chart, and its rows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from crypto_checkout.core.money import DECIMALS, format_minor, format_units, with_commas
from crypto_checkout.http.dashboard.pages.charts import Chart, Series, bars
from crypto_checkout.services.reporting.totals import Overview
from crypto_checkout.store.checkout.totals import MoneyIn

MOST_SERIES = 4
"""The number of colours in a chart; the last one is for all further assets."""

OTHERS = "Others"

_MOST_DAYS = 92


@dataclass(frozen=True, slots=True)
class Row:
    """The revenue in one asset on a day or in a month; amounts with their units."""

    period: str
    asset: str
    payments: int
    amount: str
    fiat: str


@dataclass(frozen=True, slots=True)
class Figure:
    """The revenue of the last days, today included, beside that of as many days before.

    `change` is the difference in percent, such as `+22.4%`; None where there was nothing before. `tone` is `up`,
    `down`, or empty: a day that isn't over yet is never down.
    """

    title: str
    amount: str
    change: str | None
    tone: str
    before: str


FIGURES = (
    ("Today", 1, "yesterday"),
    ("Last 7 days", 7, "in the 7 days before"),
    ("Last 30 days", 30, "in the 30 days before"),
)
"""The figures: their titles, their numbers of days, and the names of the same number of days before."""

COMPARED_DAYS = 2 * max(days for _, days, _ in FIGURES)
"""The number of days, today included, that the figures are made of."""


@dataclass(frozen=True, slots=True)
class CurrencyPart:
    """The revenue at prices in one currency: total, chart with scale, ends and legend, and rows, by day or by month.

    `refunded` is what was paid back of it, None for nothing, and `net` the rest.

    The legend has the numbers of the colours and the names of the assets, the same in each currency.
    """

    currency: str
    total: str
    refunded: str | None
    net: str
    chart: Chart
    top: str
    legend: tuple[tuple[int, str], ...]
    rows: tuple[Row, ...]
    begins: str
    ends: str
    is_monthly: bool


def currencies(overview: Overview) -> list[str]:
    """Return the currencies of the revenue, the most payments first."""
    counts: dict[str, int] = defaultdict(int)
    for each in (*overview.earlier, *overview.money_in):
        counts[each.currency] += each.payments
    return sorted(counts, key=lambda currency: (-counts[currency], currency))


def figures(overview: Overview, currency: str) -> list[Figure]:
    """Return the figures in a currency; an overview for them begins `COMPARED_DAYS` ago."""
    return [_figure(overview, currency, *each) for each in FIGURES]


def part(overview: Overview, currency: str) -> CurrencyPart:
    """Return the revenue in a currency; the chart includes days without any."""
    money = [each for each in overview.money_in if each.currency == currency]
    return _part(currency, money, _names(overview.money_in), overview)


def conversion(overview: Overview) -> str | None:
    """Return the share of a range's sessions that are paid by now, such as `75.0%`; None without sessions."""
    return f"{Decimal(100 * overview.paid) / overview.created:.1f}%" if overview.created else None


def _figure(overview: Overview, currency: str, title: str, days: int, name: str) -> Figure:
    first = overview.last - timedelta(days=days - 1)
    now = overview.taken(currency, first, overview.last)
    before = overview.taken(currency, first - timedelta(days=days), first - timedelta(days=1))
    tone = "up" if now > before else "down" if now < before and days > 1 else ""
    return Figure(
        title,
        _format_fiat(now, currency),
        _change(now, before),
        tone if before else "",
        f"{_format_fiat(before, currency)} {name}" if before else f"nothing {name}",
    )


def _change(now: int, before: int) -> str | None:
    if not before:
        return None
    percent = (Decimal(100 * (now - before)) / before).quantize(Decimal("0.1"))
    sign = "+" if percent > 0 else "\u2212" if percent < 0 else ""
    return f"{sign}{abs(percent):,}%"


def _names(money: Sequence[MoneyIn]) -> list[str]:
    """Return the names of the series: the assets with the most payments first, the rare ones together."""
    counts: dict[str, int] = defaultdict(int)
    for each in money:
        counts[each.asset] += each.payments
    assets = sorted(counts, key=lambda asset: (-counts[asset], asset))
    return assets if len(assets) <= MOST_SERIES else [*assets[: MOST_SERIES - 1], OTHERS]


def _part(currency: str, money: Sequence[MoneyIn], names: Sequence[str], overview: Overview) -> CurrencyPart:
    first, last = overview.first, overview.last
    periods = _periods(first, last)
    series = _series(currency, money, names, periods)
    received, refunded = sum(each.fiat_minor for each in money), overview.refunded.get(currency, 0)
    total = _format_fiat(received, currency)
    chart = bars(
        f"chart-{currency.lower()}",
        [_format_period(period) for period in periods],
        series,
        title=f"Revenue in {currency}",
        description=f"{total} from {first} to {last}. The table below has the figures.",
        write=lambda value: f"{with_commas(f'{value:.{DECIMALS[currency]}f}')} {currency}",
    )
    top = with_commas(f"{chart.top.normalize():f}")
    legend = tuple((number, each.name) for number, each in enumerate(series, 1) if any(each.values))
    return CurrencyPart(
        currency,
        total,
        _format_fiat(refunded, currency) if refunded else None,
        _format_net(received - refunded, currency),
        chart,
        f"{top} {currency}",
        legend,
        _rows(currency, money, first, last),
        begins=_format_period(periods[0]),
        ends=_format_period(periods[-1]),
        is_monthly=not _is_daily(first, last),
    )


def _series(currency: str, money: Sequence[MoneyIn], names: Sequence[str], periods: Sequence[str]) -> list[Series]:
    values: dict[tuple[str, str], int] = defaultdict(int)
    is_daily = len(periods[0]) == len("2026-11-23")
    for each in money:
        name = each.asset if each.asset in names else OTHERS
        values[name, _period(each.day, is_daily=is_daily)] += each.fiat_minor
    places = DECIMALS[currency]
    return [Series(name, [Decimal(values[name, period]).scaleb(-places) for period in periods]) for name in names]


def _rows(currency: str, money: Sequence[MoneyIn], first: date, last: date) -> tuple[Row, ...]:
    """Return the rows, newest first. A symbol on several chains is one asset, unless its decimals differ."""
    sums: dict[tuple[str, str, int], tuple[int, int, int]] = {}
    for each in money:
        key = _period(each.day, is_daily=_is_daily(first, last)), each.asset, each.asset_decimals
        payments, units, fiat_minor = sums.get(key, (0, 0, 0))
        sums[key] = payments + each.payments, units + each.units, fiat_minor + each.fiat_minor
    ordered: Mapping[tuple[str, str, int], tuple[int, int, int]] = dict(
        sorted(sorted(sums.items(), key=lambda item: item[0][1:]), key=lambda item: item[0][0], reverse=True)
    )
    return tuple(
        Row(
            _format_period(period),
            asset,
            payments,
            f"{format_units(units, decimals)} {asset}",
            _format_fiat(fiat_minor, currency),
        )
        for (period, asset, decimals), (payments, units, fiat_minor) in ordered.items()
    )


def _format_fiat(fiat_minor: int, currency: str) -> str:
    return f"{with_commas(format_minor(fiat_minor, currency))} {currency}"


def _format_net(fiat_minor: int, currency: str) -> str:
    return ("\u2212" if fiat_minor < 0 else "") + _format_fiat(abs(fiat_minor), currency)


def _is_daily(first: date, last: date) -> bool:
    """Tell whether a range is shown by day; a longer one is shown by month."""
    return (last - first).days < _MOST_DAYS


def _periods(first: date, last: date) -> list[str]:
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return list(dict.fromkeys(_period(day, is_daily=_is_daily(first, last)) for day in days))


def _period(day: date, *, is_daily: bool) -> str:
    return day.isoformat() if is_daily else day.isoformat()[:7]


def _format_period(period: str) -> str:
    """Format a day or a month."""
    is_daily = len(period) == len("2026-11-23")
    day = date.fromisoformat(period if is_daily else f"{period}-01")
    return f"{day:%-d %b %Y}" if is_daily else f"{day:%b %Y}"
