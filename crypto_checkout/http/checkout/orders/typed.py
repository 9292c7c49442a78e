"""Read the amounts and numbers that people type: digits of any script, and the separators of any region.

A comma or a point followed by three digits may stand between thousands, or before decimals. The payer's region decides;
where it doesn't, nothing is guessed.
"""

import re
import unicodedata
from enum import StrEnum

from babel import Locale
from babel.numbers import get_decimal_symbol, get_group_symbol

from crypto_checkout.core.money import DECIMALS, Fiat, parse_fiat

LONGEST = 40

_DECIMAL, _GROUP = "D", "G"
_SIGNS = {"\u066b": _DECIMAL, "\u066c": _GROUP, "\u2019": _GROUP, "'": _GROUP, "\uff0e": ".", "\uff0c": ","}
_GROUPED = re.compile(r"[0-9]{1,3}(_[0-9]{3})+|[0-9]{1,2}(_[0-9]{2})*_[0-9]{3}")
_PARTS = re.compile(r"(?P<whole>[0-9.,G]*?)(?:(?P<point>[.,D])(?P<decimals>[0-9]+))?")
_THOUSAND = 3


class Mistyped(StrEnum):
    """Reasons for which a typed amount can't be read; the values are keys of the catalogues."""

    MALFORMED = "order_malformed"
    AMBIGUOUS = "order_ambiguous"
    TOO_FINE = "order_too_fine"


class MistypedError(Exception):
    """A typed amount that can't be read, with the reason."""

    def __init__(self, reason: Mistyped) -> None:
        super().__init__(reason)
        self.reason = reason


def amount(text: str, currency: str, region: Locale) -> Fiat:
    """Read an amount that was typed by someone from a region, with or without the currency's code.

    Raises MistypedError.
    """
    plain = _plain(text, currency)
    whole, decimals = _split(plain, DECIMALS[currency], region)
    decimals = decimals.rstrip("0")
    if len(decimals) > DECIMALS[currency]:
        raise MistypedError(Mistyped.TOO_FINE)
    whole = whole.lstrip("0") or "0"
    try:
        return parse_fiat(f"{whole}.{decimals}" if decimals else whole, currency)
    except ValueError:
        raise MistypedError(Mistyped.MALFORMED) from None


def pieces(text: str) -> int | None:
    """Read a number of pieces; None for anything but a whole number."""
    digits = "".join(map(_digit, text.strip()[:LONGEST]))
    return int(digits) if digits.isascii() and digits.isdigit() else None


def example(currency: str, region: Locale, whole: str = "25") -> str:
    """Write an amount as people of a region type it, without separators between thousands."""
    decimals = "5".ljust(DECIMALS[currency], "0") if DECIMALS[currency] else ""
    return f"{whole}{get_decimal_symbol(region)}{decimals}" if decimals else whole


def plainly(amount: str, region: Locale) -> str:
    """Write an amount of the API as people of a region type it."""
    return amount.replace(".", get_decimal_symbol(region))


def _plain(text: str, currency: str) -> str:
    """Return what was typed as ASCII digits, `.`, `,`, and signs for separators that mean one thing only."""
    text = text.strip()
    if len(text) > LONGEST:
        raise MistypedError(Mistyped.MALFORMED)
    if text.upper().startswith(currency):
        text = text[len(currency) :].strip()
    elif text.upper().endswith(currency):
        text = text[: -len(currency)].strip()
    return "".join(map(_sign, text))


def _sign(letter: str) -> str:
    """Return a digit or a separator. Raises MistypedError for anything else."""
    if unicodedata.category(letter) == "Zs":
        return _GROUP
    sign = _SIGNS.get(letter) or _digit(letter)
    if letter not in _SIGNS and sign not in "0123456789.,":
        raise MistypedError(Mistyped.MALFORMED)
    return sign


def _digit(letter: str) -> str:
    value = unicodedata.decimal(letter, None)
    return letter if value is None else str(value)


def _split(plain: str, places: int, region: Locale) -> tuple[str, str]:
    """Split an amount into its whole part and its decimals. Raises MistypedError."""
    found = _PARTS.fullmatch(plain)
    if found is None:
        raise MistypedError(Mistyped.MALFORMED)
    whole, point, decimals = found["whole"], found["point"], found["decimals"] or ""
    others = set(whole) - set("0123456789")
    is_doubtful = not others and point in {".", ","} and _may_be_thousands(whole, decimals)
    if point is not None and (point in others or (is_doubtful and _is_thousands(point, places, region))):
        whole, decimals, others = f"{whole}{point}{decimals}", "", others | {point}
    if len(others) > 1 or (others and not _GROUPED.fullmatch(re.sub(r"[.,G]", "_", whole))):
        raise MistypedError(Mistyped.MALFORMED)
    return re.sub(r"[.,G]", "", whole), decimals


def _may_be_thousands(whole: str, decimals: str) -> bool:
    return len(decimals) == _THOUSAND and 1 <= len(whole) <= _THOUSAND and not whole.startswith("0")


def _is_thousands(sign: str, places: int, region: Locale) -> bool:
    """Tell whether a sign before three digits stands between thousands. Raises MistypedError if it may mean both.

    In a currency without three decimals it can hardly be anything else, except where decimals are written like this.
    """
    if places >= _THOUSAND:
        if sign == get_decimal_symbol(region):
            return False
    elif sign == get_group_symbol(region):
        return True
    raise MistypedError(Mistyped.AMBIGUOUS)
