"""Revenue, as charts and rows."""

from datetime import date, timedelta
from typing import Any
from xml.etree import ElementTree as ET

from crypto_checkout.http.dashboard.pages import revenue
from crypto_checkout.services.reporting.totals import Overview
from crypto_checkout.store.checkout.totals import MoneyIn, SessionsPerDay

MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)


def came(day: date, asset: str = "ETH", **other: Any) -> MoneyIn:
    given = {"chain_id": 1, "asset_decimals": 18, "currency": "USD", "payments": 1, "units": 10**16, "fiat_minor": 3000}
    return MoneyIn(day=day, asset=asset, **{**given, **other})


def overview(*parts: MoneyIn, first: date = MONDAY, last: date = TUESDAY) -> Overview:
    return Overview(first, last, parts, (SessionsPerDay(first, 3, 2), SessionsPerDay(last, 4, 1)))


def test_each_day_and_asset_has_its_row_the_newest_first() -> None:
    dollars = came(MONDAY, "USDC", asset_decimals=6, units=1_234_500_000, fiat_minor=123450)
    part = revenue.part(
        overview(came(MONDAY), dollars, came(TUESDAY, payments=2, units=3 * 10**16, fiat_minor=9000)), "USD"
    )
    assert [(row.period, row.asset, row.payments, row.amount, row.fiat) for row in part.rows] == [
        ("24 Nov 2026", "ETH", 2, "0.03 ETH", "90.00 USD"),
        ("23 Nov 2026", "ETH", 1, "0.01 ETH", "30.00 USD"),
        ("23 Nov 2026", "USDC", 1, "1234.5 USDC", "1,234.50 USD"),
    ]
    assert (part.total, part.legend, part.top) == ("1,354.50 USD", ((1, "ETH"), (2, "USDC")), "2,000 USD")


def test_one_asset_on_two_chains_is_one_row_unless_its_decimals_differ() -> None:
    part = revenue.part(
        overview(
            came(MONDAY, "USDC", asset_decimals=6, units=10**6),
            came(MONDAY, "USDC", asset_decimals=6, units=10**6, chain_id=8453),
            came(MONDAY, "USDC", units=10**18, chain_id=56),
        ),
        "USD",
    )
    assert [row.amount for row in part.rows] == ["2 USDC", "1 USDC"]


def test_currencies_are_never_added_up() -> None:
    found = overview(came(MONDAY), came(MONDAY, currency="JPY", payments=5), came(MONDAY, currency="EUR"))
    assert [(each, revenue.part(found, each).total) for each in revenue.currencies(found)] == [
        ("JPY", "3,000 JPY"),
        ("EUR", "30.00 EUR"),
        ("USD", "30.00 USD"),
    ]


def test_days_without_money_are_drawn_too_and_a_long_range_by_months() -> None:
    short = revenue.part(overview(came(MONDAY), first=date(2026, 11, 1), last=date(2026, 11, 30)), "USD")
    long = revenue.part(overview(came(MONDAY), came(TUESDAY), first=date(2025, 12, 1), last=date(2026, 11, 30)), "USD")
    columns = [ET.fromstring(part.chart.svg).findall("g") for part in (short, long)]  # noqa: S314 - our own
    assert [len(each) for each in columns] == [30, 12]
    assert [(row.period, row.fiat) for row in long.rows] == [("Nov 2026", "60.00 USD")]
    assert (short.begins, short.ends, short.is_monthly) == ("1 Nov 2026", "30 Nov 2026", False)
    assert (long.begins, long.ends, long.is_monthly) == ("Dec 2025", "Nov 2026", True)


def test_many_assets_share_the_last_colour() -> None:
    names = ("AAA", "BBB", "CCC", "DDD", "EEE")
    part = revenue.part(
        overview(*(came(MONDAY, name, fiat_minor=5000 - place) for place, name in enumerate(names))), "USD"
    )
    assert part.legend == ((1, "AAA"), (2, "BBB"), (3, "CCC"), (4, "Others"))
    assert len(part.rows) == 5


def test_an_asset_has_the_same_colour_in_each_currency() -> None:
    found = overview(came(MONDAY, payments=9), came(MONDAY, "USDC", currency="EUR"))
    assert [revenue.part(found, each).legend for each in ("USD", "EUR")] == [((1, "ETH"),), ((2, "USDC"),)]


def test_the_conversion_is_a_share_of_what_was_made() -> None:
    assert revenue.conversion(overview()) == "42.9%"
    assert revenue.conversion(Overview(MONDAY, TUESDAY, (), ())) is None
    assert revenue.currencies(Overview(MONDAY, TUESDAY, (), ())) == []


LAST = date(2026, 11, 30)


def days_ago(days: int, minor: int, currency: str = "USD") -> MoneyIn:
    return came(LAST - timedelta(days=days), fiat_minor=minor, currency=currency)


def compared(*money: MoneyIn) -> list[tuple[str, str | None, str, str]]:
    first = LAST - timedelta(days=6)
    split = [tuple(each for each in money if (each.day >= first) is is_in) for is_in in (True, False)]
    found = Overview(first, LAST, split[0], (), earlier=split[1])
    return [(each.amount, each.change, each.tone, each.before) for each in revenue.figures(found, "USD")]


def test_each_figure_stands_beside_the_same_number_of_days_before() -> None:
    money = [days_ago(0, 12_000), days_ago(1, 10_000), days_ago(7, 40_000), days_ago(35, 1_000_000)]
    assert compared(*money, days_ago(0, 5, "EUR")) == [
        ("120.00 USD", "+20.0%", "up", "100.00 USD yesterday"),
        ("220.00 USD", "\u221245.0%", "down", "400.00 USD in the 7 days before"),
        ("620.00 USD", "\u221293.8%", "down", "10,000.00 USD in the 30 days before"),
    ]


def test_every_day_counts_in_exactly_one_of_the_two_spans() -> None:
    for days, place in ((1, 0), (7, 1), (30, 2)):
        for ago, is_now, is_before in ((days - 1, True, False), (days, False, True), (2 * days - 1, False, True)):
            amount, _, _, before = compared(days_ago(ago, 100))[place]
            assert (amount == "1.00 USD", before.startswith("1.00 USD")) == (is_now, is_before)
        amount, _, _, before = compared(days_ago(2 * days, 100))[place]
        assert (amount, before.partition(" ")[0]) == ("0.00 USD", "nothing")


def test_a_day_that_is_not_over_is_never_shown_as_down_and_nothing_before_gives_no_percentage() -> None:
    assert compared(days_ago(0, 100), days_ago(1, 200))[0] == ("1.00 USD", "\u221250.0%", "", "2.00 USD yesterday")
    assert compared(days_ago(0, 100))[0] == ("1.00 USD", None, "", "nothing yesterday")
