"""Kraken's ticker: `GET /0/public/Ticker?pair=ETHUSD`, no key needed.

https://docs.kraken.com/api/docs/rest-api/get-ticker-information. The answer is
`{"error": [], "result": {"XETHZUSD": {"a": ["3000.2", ...], "b": ["3000.1", ...], "c": [...], ...}}}`: keyed by
Kraken's own name of the pair, errors under status 200, and without a time. The price taken is the middle of the best
ask (`a`) and the best bid (`b`), because the last trade of a thin pair (ETH/CHF) may be hours old and look fresh.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from crypto_checkout.core.checkout.quotes import Observation
from crypto_checkout.core.errors import SourceFailed
from crypto_checkout.prices.http_source import HttpSource, member, number, quotient
from crypto_checkout.prices.source import SourceThrottled, UnsupportedPair

# MATIC became POL here as well; XETHZUSD's altname is ETHUSD.
COINS = frozenset({"ETH", "POL", "BNB", "AVAX", "EURC"})

# Kraken's fiat markets, in its own order; where the dollar is the quote (half of them), the answer is inverted.
FIAT_PAIRS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "EUR": ("EUR", "USD"),
        "GBP": ("GBP", "USD"),
        "AUD": ("AUD", "USD"),
        "JPY": ("USD", "JPY"),
        "CAD": ("USD", "CAD"),
        "CHF": ("USD", "CHF"),
    }
)

# A book with more than this between bid and ask has no price.
MAX_BOOK_PERCENT = 2

_ERROR = re.compile(r"E[A-Za-z]{1,20}:[A-Za-z ]{1,60}", re.ASCII)


class KrakenSource(HttpSource):
    """The order books of Kraken."""

    name = "kraken"
    base_url = "https://api.kraken.com"

    async def observe(self, base: str, quote: str) -> Observation:
        """Ask once; see `Source`."""
        left, right = _market(base, quote)
        middle = await self._middle(left, right)
        value = middle if left == base else quotient(Decimal(1), middle)
        return Observation(self.name, value, self._clock())

    async def _middle(self, left: str, right: str) -> Decimal:
        reply = await self._get("/0/public/Ticker", {"pair": f"{left}{right}"})
        reply.expect_ok()
        answer = reply.json()
        _raise_error(member(answer, "error"), f"does not quote {left}/{right}")
        ticker = _only_ticker(member(answer, "result"), left, right)
        return _middle_of(ask=_first_number(ticker, "a"), bid=_first_number(ticker, "b"))


def _market(base: str, quote: str) -> tuple[str, str]:
    if base in COINS:
        return base, quote
    if base == "USD" and quote in FIAT_PAIRS:
        return FIAT_PAIRS[quote]
    raise UnsupportedPair(f"does not quote {base}/{quote}")


def _raise_error(errors: Any, unsupported: str) -> None:
    """Raise the first of Kraken's errors, if any; entries that begin with W are warnings."""
    texts = [str(each) for each in errors if not str(each).startswith("W")] if isinstance(errors, list) else [""]
    if not texts:
        return
    text = texts[0]
    if text.startswith("EQuery:Unknown asset pair"):
        raise UnsupportedPair(unsupported)
    if "ate limit" in text or "Too many requests" in text:
        raise SourceThrottled("too many requests")
    raise SourceFailed(f"answered {text}" if _ERROR.fullmatch(text) else "answered with an error")


def _only_ticker(result: Any, left: str, right: str) -> Any:
    """Return the one ticker, called ETHUSD or XETHZUSD. Raises SourceFailed for any other."""
    names = {f"{x}{left}{z}{right}" for x in ("", "X", "Z") for z in ("", "Z")}
    if not isinstance(result, dict) or len(result) != 1 or not names >= set(result):
        raise SourceFailed(f"the answer is not about {left}/{right}")
    return next(iter(result.values()))


def _first_number(ticker: Any, key: str) -> Decimal:
    entries = member(ticker, key)
    if not isinstance(entries, list) or not entries:
        raise SourceFailed(f"the answer has nothing in {key!r}")
    return number(entries[0])


def _middle_of(*, ask: Decimal, bid: Decimal) -> Decimal:
    if bid <= 0 or ask < bid:
        raise SourceFailed("the order book is empty or crossed")
    if (ask - bid) * 100 > MAX_BOOK_PERCENT * bid:
        raise SourceFailed(f"bid and ask are more than {MAX_BOOK_PERCENT} % apart")
    return (ask + bid) / 2
