"""Revenue, as charts and rows."""

from datetime import date
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
    (part,) = revenue.parts(
        overview(came(MONDAY), dollars, came(TUESDAY, payments=2, units=3 * 10**16, fiat_minor=9000))
    )
    assert [(row.period, row.asset, row.payments, row.amount, row.fiat) for row in part.rows] == [
        ("24 Nov 2026", "ETH", 2, "0.03 ETH", "90.00 USD"),
        ("23 Nov 2026", "ETH", 1, "0.01 ETH", "30.00 USD"),
        ("23 Nov 2026", "USDC", 1, "1234.5 USDC", "1,234.50 USD"),
    ]
    assert (part.total, part.legend, part.top) == ("1,354.50 USD", ((1, "ETH"), (2, "USDC")), "2,000 USD")


def test_one_asset_on_two_chains_is_one_row_unless_its_decimals_differ() -> None:
    (part,) = revenue.parts(
        overview(
            came(MONDAY, "USDC", asset_decimals=6, units=10**6),
            came(MONDAY, "USDC", asset_decimals=6, units=10**6, chain_id=8453),
            came(MONDAY, "USDC", units=10**18, chain_id=56),
        )
    )
    assert [row.amount for row in part.rows] == ["2 USDC", "1 USDC"]


def test_currencies_are_never_added_up() -> None:
    found = revenue.parts(
        overview(came(MONDAY), came(MONDAY, currency="JPY", payments=5), came(MONDAY, currency="EUR"))
    )
    assert [(part.currency, part.total) for part in found] == [
        ("JPY", "3,000 JPY"),
        ("EUR", "30.00 EUR"),
        ("USD", "30.00 USD"),
    ]


def test_days_without_money_are_drawn_too_and_a_long_range_by_months() -> None:
    (short,) = revenue.parts(overview(came(MONDAY), first=date(2026, 11, 1), last=date(2026, 11, 30)))
    (long,) = revenue.parts(overview(came(MONDAY), came(TUESDAY), first=date(2025, 12, 1), last=date(2026, 11, 30)))
    columns = [ET.fromstring(part.chart.svg).findall("g") for part in (short, long)]  # noqa: S314 - our own
    assert [len(each) for each in columns] == [30, 12]
    assert [(row.period, row.fiat) for row in long.rows] == [("Nov 2026", "60.00 USD")]


def test_many_assets_share_the_last_colour() -> None:
    names = ("AAA", "BBB", "CCC", "DDD", "EEE")
    (part,) = revenue.parts(
        overview(*(came(MONDAY, name, fiat_minor=5000 - place) for place, name in enumerate(names)))
    )
    assert part.legend == ((1, "AAA"), (2, "BBB"), (3, "CCC"), (4, "Others"))
    assert len(part.rows) == 5


def test_an_asset_has_the_same_colour_in_each_currency() -> None:
    found = revenue.parts(overview(came(MONDAY, payments=9), came(MONDAY, "USDC", currency="EUR")))
    assert [part.legend for part in found] == [((1, "ETH"),), ((2, "USDC"),)]


def test_the_conversion_is_a_share_of_what_was_made() -> None:
    assert revenue.conversion(overview()) == "42.9"
    assert revenue.conversion(Overview(MONDAY, TUESDAY, (), ())) is None
    assert revenue.parts(Overview(MONDAY, TUESDAY, (), ())) == []
