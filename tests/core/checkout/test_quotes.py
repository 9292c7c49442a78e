from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core.checkout.quotes import Observation, Rate, agreed_rate, units_for
from crypto_checkout.core.errors import PriceJumped, PriceUnavailable

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
NAMES = ("chainlink", "coinbase", "kraken", "coingecko", "fifth", "sixth", "seventh")

prices = st.decimals(min_value="0.0001", max_value="1000000", places=6)
few_prices = st.lists(prices, min_size=1, max_size=7)
close_prices = st.lists(st.decimals(min_value="2990", max_value="3010", places=8), min_size=1, max_size=7)


def said(*values: str | Decimal, age_seconds: float = 1) -> list[Observation]:
    moment = NOW - timedelta(seconds=age_seconds)
    return [Observation(name, Decimal(value), moment) for name, value in zip(NAMES, values, strict=False)]


def settled(
    observations: list[Observation],
    *,
    quorum: int = 1,
    spread: str = "3",
    failures: dict[str, str] | None = None,
    last: Rate | None = None,
) -> Rate:
    return agreed_rate(
        "ETH",
        "USD",
        observations,
        now=NOW,
        quorum=quorum,
        max_age_seconds=120,
        max_spread_percent=Decimal(spread),
        failures=failures or {},
        last=last,
    )


def refused(observations: list[Observation], *, quorum: int = 1, failures: dict[str, str] | None = None) -> str:
    with pytest.raises(PriceUnavailable) as caught:
        settled(observations, quorum=quorum, failures=failures)
    return caught.value.message


def rate_of(value: str | Decimal) -> Rate:
    return Rate("ETH", "USD", Decimal(value), ("coinbase",), NOW)


def test_one_answer_is_a_rate() -> None:
    assert settled(said("3000.10")) == Rate(
        "ETH", "USD", Decimal("3000.10"), ("chainlink",), NOW - timedelta(seconds=1)
    )


def test_the_median_of_three_is_the_middle_one() -> None:
    rate = settled(said("3010", "2990", "3005"))
    assert (rate.value, rate.sources) == (Decimal(3005), NAMES[:3])


def test_the_median_of_two_that_agree_is_halfway() -> None:
    assert settled(said("3000", "3001")).value == Decimal("3000.5")


def test_a_rate_is_as_old_as_its_oldest_answer() -> None:
    observations = [*said("3000", age_seconds=90), Observation("kraken", Decimal(3001), NOW)]
    assert settled(observations).observed_at == NOW - timedelta(seconds=90)


@pytest.mark.parametrize("value", ["0", "0.00", "0E-900"])
def test_a_zero_price_is_refused(value: str) -> None:
    assert "chainlink: a price of zero" in refused(said(value))


@pytest.mark.parametrize("value", ["-1", "-1E-400", "-1E+400"])
def test_a_negative_price_is_refused(value: str) -> None:
    assert "chainlink: a negative price" in refused(said(value))


@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_a_price_that_is_no_number_is_refused(value: str) -> None:
    assert "is no price" in refused(said(value))


@pytest.mark.parametrize("value", ["1E+400", "1E-400", "1." + "3" * 80])
def test_an_absurd_price_is_refused(value: str) -> None:
    assert "an absurd price" in refused(said(value))


def test_a_stale_answer_is_refused() -> None:
    assert "chainlink: stale (121 s old)" in refused(said("3000", age_seconds=121))


def test_an_answer_of_exactly_the_maximum_age_is_fresh() -> None:
    assert settled(said("3000", age_seconds=120)).value == 3000


def test_an_answer_from_the_future_is_refused() -> None:
    assert "from the future (16 s ahead)" in refused(said("3000", age_seconds=-16))


def test_a_clock_that_runs_slightly_ahead_is_forgiven() -> None:
    assert settled(said("3000", age_seconds=-15)).value == 3000


def test_an_outlier_is_no_source_of_the_rate() -> None:
    rate = settled(said("3000", "3001", "9000", "3002"))
    assert rate.sources == ("chainlink", "coinbase", "coingecko")
    assert Decimal(3000) <= rate.value <= Decimal(3002)


def test_an_outlier_does_not_count_for_the_quorum() -> None:
    message = refused(said("3000", "3001", "9000"), quorum=3)
    assert "2 of 3 needed" in message
    assert "kraken: 9000 is an outlier" in message


def test_of_two_that_disagree_nobody_can_say_who_is_right() -> None:
    message = refused(said("3000", "3100"))
    assert "chainlink: 3000, and no majority agrees" in message
    assert "coinbase: 3100, and no majority agrees" in message


def test_two_that_are_exactly_the_spread_apart_agree() -> None:
    # 3 % of the middle, 3000, is 90.
    assert settled(said("2955", "3045")).value == 3000
    assert refused(said("2955", "3045.01"))


@pytest.mark.parametrize(
    "values",
    [
        ("2000", "3000", "4000"),
        ("3000", "3000", "3200", "3200"),
        ("2930", "2930", "3070", "3070"),
        ("1000", "2000", "3000", "3001", "4000"),
    ],
)
def test_there_is_no_rate_without_a_majority_that_agrees(values: tuple[str, ...]) -> None:
    assert "no majority agrees" in refused(said(*values))


def test_too_few_answers_are_no_rate() -> None:
    assert "1 of 2 needed" in refused(said("3000"), quorum=2)


def test_the_quorum_is_never_less_than_one() -> None:
    assert "0 of 1 needed" in refused([], quorum=0)


def test_a_source_has_one_voice() -> None:
    twice = [*said("2000", age_seconds=60), *said("3000", age_seconds=5)]
    assert settled(twice).value == 3000
    assert "1 of 2 needed" in refused(twice, quorum=2)


def test_the_message_says_what_was_wrong_with_each() -> None:
    message = refused(said("0", "NaN"), failures={"coingecko": "too many requests"})
    assert message == (
        "No reliable ETH/USD price now (0 of 1 needed sources usable): "
        "chainlink: a price of zero; coinbase: NaN is no price; coingecko: too many requests. Try again."
    )


def test_a_failure_says_more_than_that_the_last_answer_is_old() -> None:
    message = refused(said("3000", age_seconds=600), failures={"chainlink": "can't be reached"})
    assert "chainlink: can't be reached" in message


@given(few_prices)
def test_a_rate_lies_within_the_answers(values: list[Decimal]) -> None:
    try:
        rate = settled(said(*values), spread="50")
    except PriceUnavailable:
        return
    assert min(values) <= rate.value <= max(values)
    assert 2 * len(rate.sources) > len(values)


@given(close_prices)
def test_answers_that_agree_always_make_a_rate_of_all_of_them(values: list[Decimal]) -> None:
    rate = settled(said(*values), quorum=len(values))
    assert min(values) <= rate.value <= max(values)
    assert rate.sources == NAMES[: len(values)]


@given(prices, prices, st.decimals(allow_nan=True, allow_infinity=True), st.integers(0, 2))
def test_one_liar_among_three_never_moves_the_rate_out_of_the_honest_range(
    one: Decimal, other: Decimal, lie: Decimal, position: int
) -> None:
    values = [one, other]
    values.insert(position, lie)
    try:
        rate = settled(said(*values))
    except PriceUnavailable:
        return
    assert min(one, other) <= rate.value <= max(one, other)


@given(st.lists(st.decimals(min_value="2990", max_value="3010", places=8), min_size=2, max_size=2), st.decimals())
def test_one_liar_among_three_never_takes_an_honest_rate_away(honest: list[Decimal], lie: Decimal) -> None:
    assert min(honest) <= settled(said(*honest, lie), quorum=2).value <= max(honest)


@given(few_prices, st.randoms(use_true_random=False))
def test_the_order_of_the_answers_does_not_matter(values: list[Decimal], random: Random) -> None:
    observations = said(*values)
    shuffled = list(observations)
    random.shuffle(shuffled)
    assert outcome(observations) == outcome(shuffled)


def outcome(observations: list[Observation]) -> tuple[Decimal, frozenset[str]] | str:
    try:
        rate = settled(observations)
    except PriceUnavailable as error:
        return error.message
    return rate.value, frozenset(rate.sources)


@pytest.mark.parametrize(
    ("fiat", "rate", "decimals", "units"),
    [
        ("3000.00", "3000", 18, 10**18),
        ("10.00", "3000", 18, 3_333_340_000_000_000),  # 0.00333333333… becomes 0.00333334
        ("10.00", "1", 6, 10_000_000),
        ("10.00", "0.92", 6, 10_869_566),  # 10.869565217…
        ("10.00", "3", 2, 334),
        ("1", "3", 0, 1),
        ("0.01", "1000000", 18, 10**10),
        ("0.00000001", "1000000", 18, 10**10),
    ],
)
def test_an_amount_is_rounded_up_to_the_step(fiat: str, rate: str, decimals: int, units: int) -> None:
    assert units_for(Decimal(fiat), rate_of(rate), decimals) == units


def test_no_digit_is_lost_to_a_decimal_context() -> None:
    # 28 digits, the default context's precision, would round this down to the step below.
    assert (
        units_for(Decimal("12345678901234567890.00000001"), rate_of("1"), 18) == 1234567890123456789000000001 * 10**10
    )


@pytest.mark.parametrize(
    ("fiat", "rate"), [("0", "1"), ("-1", "1"), ("1", "0"), ("1", "-1"), ("NaN", "1"), ("1", "NaN")]
)
def test_what_is_not_positive_has_no_units(fiat: str, rate: str) -> None:
    with pytest.raises(ValueError, match="can't price"):
        units_for(Decimal(fiat), rate_of(rate), 18)


@given(
    st.decimals(min_value="0.001", max_value="999999999999999", places=3),
    st.decimals(min_value="0.00000001", max_value="10000000", places=12),
    st.integers(0, 30),
)
def test_an_amount_is_worth_the_fiat_and_less_than_one_step_more(fiat: Decimal, rate: Decimal, decimals: int) -> None:
    units = units_for(fiat, rate_of(rate), decimals)
    step = 10 ** max(decimals - 8, 0)
    worth = Fraction(units) * Fraction(rate) / 10**decimals
    assert units > 0
    assert units % step == 0
    assert Fraction(fiat) <= worth < Fraction(fiat) + Fraction(rate) * step / 10**decimals


# --- jumps -----------------------------------------------------------------------------------------------------------


def last_rate(value: str = "3000", *, minutes_ago: float = 5) -> Rate:
    return Rate("ETH", "USD", Decimal(value), NAMES[:2], NOW - timedelta(minutes=minutes_ago))


@pytest.mark.parametrize("value", ["300000", "0.03", "3450.01", "2608.69"])
def test_one_source_alone_may_not_move_the_rate_far_within_an_hour(value: str) -> None:
    with pytest.raises(PriceJumped) as caught:
        settled(said(value), last=last_rate())
    assert f"chainlink: {value} is far from the last rate 3000, and no other source confirms it" in caught.value.message
    assert caught.value.code == "price_unavailable"


@pytest.mark.parametrize("value", ["3450", "2608.70"])
def test_one_source_alone_may_move_it_by_five_times_the_spread(value: str) -> None:
    assert settled(said(value), last=last_rate()).value == Decimal(value)


def test_two_sources_that_agree_on_a_jump_are_believed() -> None:
    assert settled(said("300000", "300100"), last=last_rate()).value == Decimal(300050)


def test_a_rate_of_more_than_an_hour_ago_says_nothing_any_more() -> None:
    assert settled(said("300000"), last=last_rate(minutes_ago=60.1)).value == Decimal(300000)
