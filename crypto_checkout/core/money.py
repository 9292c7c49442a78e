"""Fiat amounts and their currencies (ISO 4217), and the decimal text of coin amounts. Never a float.

Prices of coins live in `core.checkout.quotes`.
"""

import re
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache
from typing import Annotated

CoinUnits = Annotated[int, "smallest units of a coin"]
"""An amount in the smallest units of a coin, such as wei. The database stores it as text: it can exceed 64 bits."""

_TWO = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP "
    "CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
    "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN "
    "NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP "
    "SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD XCG YER ZAR ZMW ZWG"
)
_ZERO = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"

DECIMALS: dict[str, int] = {
    **dict.fromkeys(_TWO.split(), 2),
    **dict.fromkeys(_ZERO.split(), 0),
    **dict.fromkeys(_THREE.split(), 3),
}
"""Decimal places of each currency in circulation (ISO 4217 table A.1; funds and metals are left out)."""

# Wider than any rate; those go up to 10^30.
_WIDE = Context(prec=100)
_FEWEST_RATE_DIGITS = 3
_SMALL_RATE_DIGITS = 4

_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,14})(\.[0-9]{1,8})?")

MOST_AMOUNT = Decimal(10**15 - 1)
"""The most that anything costs, in whole units of its currency."""


@dataclass(frozen=True, slots=True)
class Fiat:
    """An amount of a currency, positive and with no more decimals than the currency has."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return format_fiat(self.amount, self.currency)


def parse_fiat(text: str, currency: str) -> Fiat:
    """Read a decimal text like `"10.00"`.

    Raises:
        ValueError: The text is not a plain decimal, not positive, too long, or finer than the currency.

    """
    places = parse_currency(currency)
    match = _AMOUNT.fullmatch(text)
    if match is None:
        wanted = f"10.{'0' * places}" if places else "10"
        raise ValueError(f'"{text[:40]}" is not an amount: write a plain decimal like "{wanted}"')
    if match[2] and len(match[2]) - 1 > places:
        raise ValueError(f'"{text}" has more decimals than {currency} has: at most {places}')
    amount = Decimal(text)
    if amount <= 0:
        raise ValueError("the amount must be more than zero")
    return Fiat(amount, currency)


def parse_currency(code: str) -> int:
    """Return the number of decimals of an ISO 4217 currency. Raises ValueError for an unknown code."""
    places = DECIMALS.get(code)
    if places is None:
        raise ValueError(f'"{code[:10]}" is not a currency of ISO 4217; write a code like "USD"')
    return places


def format_fiat(amount: Decimal, currency: str) -> str:
    """Write an amount with exactly the decimals of its currency."""
    return f"{amount:.{DECIMALS[currency]}f}"


def minor_units(fiat: Fiat) -> int:
    """Return an amount in its currency's smallest unit: `10.00 USD` is 1000."""
    return int(fiat.amount.scaleb(DECIMALS[fiat.currency]))


def format_minor(minor: int, currency: str) -> str:
    """Write an amount of a currency's smallest unit with exactly the currency's decimals, whatever its size."""
    places = DECIMALS[currency]
    digits = f"{minor:0{places + 1}d}"
    return f"{digits[:-places]}.{digits[-places:]}" if places else digits


def with_commas(amount: str) -> str:
    """Put commas between the thousands of a decimal text, for people: `"1234.50"` becomes `"1,234.50"`."""
    whole, point, decimals = amount.partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    return f"{sign}{int(digits):,}{point}{decimals}"


@lru_cache(maxsize=1024)  # a session shows the same amount several times, and 0 more often
def format_units(units: int, decimals: int) -> str:
    """Write smallest units as a decimal of whole coins, without an exponent: `(1500000, 6)` is `"1.5"`."""
    whole, fraction = divmod(units, 10**decimals)
    if not fraction:
        return str(whole)
    return f"{whole}.{fraction:0{decimals}d}".rstrip("0")


def parse_units(text: str, decimals: int) -> int:
    """Read a decimal of whole coins as smallest units, exactly.

    Raises:
        ValueError: The text is not a plain decimal, or finer than the coin.

    """
    if not re.fullmatch(r"[0-9]{1,78}(\.[0-9]{1,40})?", text):
        raise ValueError(f'"{text[:40]}" is not an amount: write a plain decimal like "0.01"')
    whole, _, fraction = text.partition(".")
    if len(fraction.rstrip("0")) > decimals:
        raise ValueError(f'"{text}" is finer than the smallest unit: at most {decimals} decimals')
    # The digits without the point are the amount in the smallest unit: without a power, no float can slip in.
    return int(whole + fraction.rstrip("0").ljust(decimals, "0"))


def short_rate(text: str, currency: str) -> str:
    """Round a rate to its currency's decimals; to four significant digits where those leave fewer than three."""
    rate, places = Decimal(text), DECIMALS[currency]
    if rate.adjusted() + 1 + places < _FEWEST_RATE_DIGITS:
        places = _SMALL_RATE_DIGITS - 1 - rate.adjusted()
    return f"{rate.quantize(Decimal(1).scaleb(-places), context=_WIDE):f}"
