"""Amounts: what is written is what is meant, to the last digit, and nothing is guessed."""

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crypto_checkout.core.money import (
    DECIMALS,
    Fiat,
    format_fiat,
    format_units,
    parse_currency,
    parse_fiat,
    parse_units,
    with_commas,
)

all_decimals = st.sampled_from([0, 1, 2, 6, 8, 18, 24])
units_of_a_word = st.integers(0, 2**256 - 1)


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("10.00", "USD"),
        ("10", "USD"),
        ("10.5", "USD"),
        ("0.01", "USD"),
        ("999999999999999.99", "EUR"),
        ("1500", "JPY"),
        ("1.500", "KWD"),
        ("0.001", "KWD"),
    ],
)
def test_a_plain_decimal_is_read_exactly(text: str, currency: str) -> None:
    assert parse_fiat(text, currency) == Fiat(Decimal(text), currency)


@pytest.mark.parametrize(
    "text",
    ["", " ", "10.", ".5", "1,5", "1 0", " 10", "10 ", "10\n", "+10", "-10", "1e3", "1E3", "0x10", "NaN", "Infinity",
     "1_000", "010", "00", "ten", "10.00.0", "$10", "\u0661\u0660", "1000000000000000", "9" * 10_000],
)  # fmt: skip
def test_anything_else_is_refused_and_shown_only_in_part(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount") as caught:
        parse_fiat(text, "USD")
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(("text", "currency"), [("0", "USD"), ("0.00", "USD"), ("0", "JPY"), ("0.000", "KWD")])
def test_an_amount_is_more_than_zero(text: str, currency: str) -> None:
    with pytest.raises(ValueError, match="more than zero"):
        parse_fiat(text, currency)


@pytest.mark.parametrize(
    ("text", "currency", "places"),
    [("10.001", "USD", 2), ("10.000", "USD", 2), ("10.0", "JPY", 0), ("1.0001", "KWD", 3)],
)
def test_an_amount_is_no_finer_than_its_currency(text: str, currency: str, places: int) -> None:
    with pytest.raises(ValueError, match=f"more decimals than {currency} has: at most {places}"):
        parse_fiat(text, currency)


@pytest.mark.parametrize(("currency", "example"), [("USD", '"10.00"'), ("JPY", '"10"'), ("KWD", '"10.000"')])
def test_a_refusal_shows_how_to_write_it(currency: str, example: str) -> None:
    with pytest.raises(ValueError, match=f"like {example}$"):
        parse_fiat("much", currency)


@pytest.mark.parametrize("code", ["", "usd", "US", "USDT", "ETH", "XTS", "XAU", "USD ", "\u0055SD\u200b"])
def test_only_currencies_of_iso_4217_are_known(code: str) -> None:
    with pytest.raises(ValueError, match="not a currency of ISO 4217"):
        parse_currency(code)
    with pytest.raises(ValueError, match="not a currency of ISO 4217"):
        parse_fiat("10", code)


@pytest.mark.parametrize(("code", "places"), [("USD", 2), ("EUR", 2), ("JPY", 0), ("KRW", 0), ("KWD", 3), ("BHD", 3)])
def test_each_currency_has_its_own_number_of_decimals(code: str, places: int) -> None:
    assert parse_currency(code) == places


def test_every_code_is_three_letters_and_stands_in_one_list() -> None:
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in DECIMALS)
    assert len(DECIMALS) > 150


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [("10", "USD", "10.00"), ("10.5", "USD", "10.50"), ("1500", "JPY", "1500"), ("1.5", "KWD", "1.500"),
     ("999999999999999.99", "USD", "999999999999999.99"), ("1E+3", "USD", "1000.00")],
)  # fmt: skip
def test_an_amount_is_written_with_the_decimals_of_its_currency(amount: str, currency: str, text: str) -> None:
    assert format_fiat(Decimal(amount), currency) == text
    assert str(Fiat(Decimal(amount), currency)) == text


@given(st.sampled_from(sorted(DECIMALS)), st.integers(1, 10**17 - 1))
def test_what_is_written_in_fiat_reads_as_the_same(currency: str, hundredths: int) -> None:
    amount = Decimal(hundredths).scaleb(-DECIMALS[currency])
    assume(amount < 10**15)
    assert parse_fiat(format_fiat(amount, currency), currency) == Fiat(amount, currency)


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0.50", "0.50"), ("999", "999"), ("1234.50", "1,234.50"), ("-0.50", "-0.50"), ("-1234567.000", "-1,234,567.000")],
)
def test_people_read_commas_between_thousands(amount: str, text: str) -> None:
    assert with_commas(amount) == text


@pytest.mark.parametrize(
    ("units", "decimals", "text"),
    [
        (0, 18, "0"),
        (1, 18, "0.000000000000000001"),
        (10**18, 18, "1"),
        (1_500_000, 6, "1.5"),
        (1_000_001, 6, "1.000001"),
        (123, 0, "123"),
        (100, 0, "100"),
        (10**21, 18, "1000"),
        (2**256 - 1, 18, "115792089237316195423570985008687907853269984665640564039457.584007913129639935"),
    ],
)
def test_units_are_written_plainly_and_without_needless_zeros(units: int, decimals: int, text: str) -> None:
    assert format_units(units, decimals) == text
    assert parse_units(text, decimals) == units


@pytest.mark.parametrize(
    ("text", "decimals", "units"),
    [("0.0", 18, 0), ("1.50", 1, 15), ("1.0", 0, 1), ("007", 2, 700), ("0.10", 6, 100_000), ("1.000000000", 6, 10**6)],
)
def test_zeros_at_the_ends_of_a_decimal_say_nothing(text: str, decimals: int, units: int) -> None:
    assert parse_units(text, decimals) == units


@pytest.mark.parametrize(("text", "decimals"), [("0.1", 0), ("0.0000001", 6), ("1.0000000000000000001", 18)])
def test_a_decimal_finer_than_the_smallest_unit_is_refused(text: str, decimals: int) -> None:
    with pytest.raises(ValueError, match="finer than the smallest unit"):
        parse_units(text, decimals)


@pytest.mark.parametrize(
    "text", ["", "1.", ".1", "-1", "+1", "1e18", "1,0", " 1", "1\n", "0x1", "\u0661", "1" * 79, "0." + "1" * 41]
)
def test_what_is_no_plain_decimal_is_no_amount_of_units(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount"):
        parse_units(text, 18)


@given(units_of_a_word, all_decimals)
def test_units_written_and_read_are_the_same(units: int, decimals: int) -> None:
    assert parse_units(format_units(units, decimals), decimals) == units


@given(units_of_a_word, all_decimals)
def test_written_units_are_worth_what_they_were(units: int, decimals: int) -> None:
    text = format_units(units, decimals)
    whole, _, fraction = text.partition(".")
    assert int(whole + fraction.ljust(decimals, "0")) == units
    assert not fraction.endswith("0")


@given(units_of_a_word, units_of_a_word, all_decimals)
def test_more_units_are_a_larger_decimal(one: int, other: int, decimals: int) -> None:
    assume(one < other)
    left, right = (text.partition(".") for text in (format_units(one, decimals), format_units(other, decimals)))
    assert (int(left[0]), left[2]) < (int(right[0]), right[2])
