"""Amounts and numbers as people type them: with the separators and the digits of their region."""

from decimal import Decimal

import pytest
from babel import Locale
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core.money import DECIMALS, format_fiat
from crypto_checkout.http.checkout.orders.typed import Mistyped, MistypedError, amount, example, pieces, plainly
from crypto_checkout.http.checkout.translations import LANGUAGES

REGIONS = [Locale.parse(code) for code in (*LANGUAGES, "de_CH", "en_IN", "ar_EG", "pt_PT")]


def read(text: str, currency: str = "USD", region: str = "en") -> str | Mistyped:
    try:
        return str(amount(text, currency, Locale.parse(region)))
    except MistypedError as error:
        return error.reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("25", "25.00"), ("25,5", "25.50"), ("25.50", "25.50"), (" 007 ", "7.00"), (".5", "0.50"), ("25.5000", "25.50"),
        ("1.234,50", "1234.50"), ("1,234.50", "1234.50"), ("1 234,50", "1234.50"), ("1\u202f234,5", "1234.50"),
        ("1'234.50", "1234.50"), ("1\u2019234.50", "1234.50"), ("1.234.567", "1234567.00"),
        ("12,34,567.50", "1234567.50"), ("\uff12\uff15", "25.00"), ("\u0662\u0665\u066b\u0665", "25.50"),
        ("\u0661\u066c\u0662\u0663\u0664", "1234.00"), ("25 usd", "25.00"), ("USD 25", "25.00"),
    ],
)  # fmt: skip
def test_an_amount_is_read_whatever_the_separators(text: str, expected: str) -> None:
    assert {read(text, region=region) for region in ("en", "de", "fr", "de_CH", "ar")} == {expected}


@pytest.mark.parametrize(
    ("text", "currency", "region", "expected"),
    [
        ("1.234", "EUR", "de", "1234.00"), ("1,234", "EUR", "en", "1234.00"),
        ("1.234", "EUR", "en", Mistyped.AMBIGUOUS), ("1,234", "EUR", "de", Mistyped.AMBIGUOUS),
        ("1.234", "EUR", "fr", Mistyped.AMBIGUOUS), ("1,234", "JPY", "en", "1234"),
        ("1.234", "KWD", "en", "1.234"), ("1,234", "KWD", "de", "1.234"),
        ("1.234", "KWD", "de", Mistyped.AMBIGUOUS), ("1,234", "KWD", "en", Mistyped.AMBIGUOUS),
        ("0.123", "EUR", "en", Mistyped.TOO_FINE), ("1234.567", "EUR", "en", Mistyped.TOO_FINE),
        ("25.5", "JPY", "en", Mistyped.TOO_FINE), ("25.00", "JPY", "en", "25"),
        ("25.1234", "KWD", "en", Mistyped.TOO_FINE),
    ],
)  # fmt: skip
def test_three_digits_after_a_separator_are_read_as_the_region_does_and_never_guessed(
    text: str, currency: str, region: str, expected: str
) -> None:
    assert read(text, currency, region) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "0", "0,00", "-1", "+1", "1e9", "1E9", "NaN", "Infinity", "0x10", "1_000", "25.", "25,", ",", "D5",
        "1G", "1,2,3", "1.2.3", "1,,5", "1..5", "1,23,45", "1.50 2", "\u00b2", "\u2167", "12\u0000", "9" * 16,
        "9" * 400,
        "<b>1</b>", "25 EUR", "1;2", "\u200b5", "12.345.67",
    ],
)  # fmt: skip
def test_what_is_no_amount_is_refused(text: str) -> None:
    assert {read(text, region=region) for region in ("en", "de", "ar")} == {Mistyped.MALFORMED}


@given(text=st.text(max_size=60), currency=st.sampled_from(["USD", "JPY", "KWD"]), region=st.sampled_from(REGIONS))
def test_any_text_is_an_amount_that_its_currency_has_or_refused(text: str, currency: str, region: Locale) -> None:
    try:
        fiat = amount(text, currency, region)
    except MistypedError:
        return
    assert 0 < fiat.amount < Decimal(10) ** 15
    assert fiat.amount == Decimal(format_fiat(fiat.amount, currency))


@given(
    minor=st.integers(1, 10**15 - 1), currency=st.sampled_from(["USD", "JPY", "KWD"]), region=st.sampled_from(REGIONS)
)
def test_an_amount_that_the_page_writes_into_its_field_is_read_as_it_was(
    minor: int, currency: str, region: Locale
) -> None:
    value = format_fiat(Decimal(minor).scaleb(-DECIMALS[currency]), currency)
    assert str(amount(plainly(value, region), currency, region)) == value


@pytest.mark.parametrize("currency", ["USD", "JPY", "KWD"])
@pytest.mark.parametrize("region", REGIONS)
def test_the_examples_can_be_typed(currency: str, region: Locale) -> None:
    assert amount(example(currency, region), currency, region).amount >= 25
    assert amount(example(currency, region, "1234"), currency, region).amount >= 1234


@pytest.mark.parametrize(
    ("text", "number"),
    [("3", 3), (" 3 ", 3), ("\u0663", 3), ("\uff13", 3), ("0", 0), ("-1", None), ("1.5", None), ("", None),
     ("1e3", None), ("\u00b2", None), ("x", None)],
)  # fmt: skip
def test_a_number_of_pieces_is_whole(text: str, number: int | None) -> None:
    assert pieces(text) == number
