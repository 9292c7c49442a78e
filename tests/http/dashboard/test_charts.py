"""Charts are drawn to scale, say what they show, and carry nothing that a page's policy forbids."""

from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.http.dashboard.pages import charts
from crypto_checkout.http.dashboard.pages.charts import HEIGHT, WIDTH, Series

AMOUNTS = st.decimals(min_value=0, max_value=10**15, places=2)


def drawn(labels: list[str], *series: Series, title: str = "Money in") -> tuple[ET.Element, Decimal]:
    chart = charts.bars(
        "money", labels, series, title=title, description="More on Tuesday.", write=lambda v: f"{v} USD"
    )
    return ET.fromstring(chart.svg), chart.top  # noqa: S314 - drawn by ourselves


def bars(svg: ET.Element, number: int) -> list[tuple[float, float, float]]:
    """Return left edge, upper edge and height of a series' bars."""
    found = [each for each in svg.iter("rect") if each.get("class") == f"chart-{number}"]
    return [(float(each.attrib["x"]), float(each.attrib["y"]), float(each.attrib["height"])) for each in found]


def test_columns_are_as_high_as_their_values_and_stand_upon_each_other() -> None:
    svg, top = drawn(
        ["Mon", "Tue"], Series("ETH", [Decimal(10), Decimal(40)]), Series("USDC", [Decimal(0), Decimal(60)])
    )
    assert top == 100
    assert [(y, height) for _, y, height in bars(svg, 1)] == [(216, 24), (144, 96)]
    assert [(y, height) for _, y, height in bars(svg, 2)] == [(0, 144)]
    assert bars(svg, 1)[0][0] < WIDTH / 2 < bars(svg, 1)[1][0]


def test_a_chart_says_what_it_shows() -> None:
    svg, _ = drawn(["Mon", "Tue"], Series("ETH", [Decimal(10), Decimal(40)]))
    texts = {each.get("id"): each.text for each in svg if each.get("id")}
    assert svg.attrib["role"] == "img"
    assert [texts[name] for name in svg.attrib["aria-labelledby"].split()] == ["Money in", "More on Tuesday."]
    assert [each.text for each in svg.iterfind("g/title")] == ["Mon\nETH: 10 USD", "Tue\nETH: 40 USD"]


def test_whatever_is_written_on_a_chart_stays_text() -> None:
    hostile = '<script>alert("1")</script>&\'"'
    svg, _ = drawn([hostile], Series(hostile, [Decimal(1)]), title=hostile)
    assert not list(svg.iter("script"))
    assert svg[0].text == hostile
    assert not any(name == "style" or name.startswith("on") for each in svg.iter() for name in each.attrib)


def test_nothing_at_all_is_a_chart_too() -> None:
    for labels, values in (([], []), (["Mon"], [Decimal(0)])):
        svg, top = drawn(labels, Series("ETH", values))
        assert not top
        assert bars(svg, 1) == []


def test_a_series_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="1 values for 2 columns"):
        drawn(["Mon", "Tue"], Series("ETH", [Decimal(1)]))
    with pytest.raises(ValueError, match="below zero"):
        drawn(["Mon"], Series("ETH", [Decimal(-1)]))


@pytest.mark.parametrize(
    ("value", "top"),
    [("0", "0"), ("0.07", "0.1"), ("1", "1"), ("1.01", "2"), ("23", "25"), ("25.1", "50"), ("999", "1000")],
)
def test_the_scale_ends_at_a_round_number(value: str, top: str) -> None:
    assert charts.ceiling(Decimal(value)) == Decimal(top)


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1, max_size=40))
def test_no_bar_leaves_the_drawing(values: list[tuple[Decimal, Decimal]]) -> None:
    series = [Series(name, [pair[place] for pair in values]) for place, name in enumerate(("ETH", "USDC"))]
    svg, top = drawn([str(place) for place in range(len(values))], *series)
    assert top >= max(a + b for a, b in values)
    for number in (1, 2):
        for left, upper, height in bars(svg, number):
            assert 0 <= left <= WIDTH
            assert upper >= -0.02
            assert upper + height <= HEIGHT + 0.02
