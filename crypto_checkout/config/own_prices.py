"""Own prices that would never be used: each is a mistake, because its owner relies on it.

Reads the raw tables, as `config.contradictions` does; values of a wrong type are skipped.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from crypto_checkout.config.mistakes import Mistake, dotted
from crypto_checkout.config.shape import ChainConfig
from crypto_checkout.core.money import DECIMALS

SANDBOX_SYMBOLS = {"ETH": False, "USDC": True}
"""The coins of test mode, with whether each is pegged to the dollar."""

_PAIR = re.compile(r"([^/]+)/([A-Z]{3})", re.ASCII)
_DOLLAR = "USD"


def never_used(values: Mapping[str, Any], chains: list[Mapping[str, Any]]) -> Iterator[Mistake]:
    """Yield a mistake for each own price that nothing here would ask for."""
    prices, test_mode = values.get("prices"), values.get("test_mode")
    fixed = prices.get("fixed") if isinstance(prices, dict) else None
    coins = _coins(chains)
    if not isinstance(test_mode, dict) or test_mode.get("enabled") is not False:
        coins |= {symbol: coins.get(symbol, False) or pegged for symbol, pegged in SANDBOX_SYMBOLS.items()}
    for pair in fixed if coins and isinstance(fixed, dict) else {}:
        found = _PAIR.fullmatch(pair)
        reason = _reason(found[1], found[2], coins) if found else ""
        if reason:
            yield Mistake(dotted(("prices", "fixed", pair)), f"this price would never be used: {reason}")


def _coins(chains: list[Mapping[str, Any]]) -> dict[str, bool]:
    """Return the symbols of all coins and tokens, with whether one of that name is pegged to the dollar."""
    coins: dict[str, bool] = {}
    native = ChainConfig.model_fields["native_symbol"].default
    for chain in chains:
        tokens = chain.get("tokens")
        tables = [each for each in tokens if isinstance(each, dict)] if isinstance(tokens, list) else []
        for symbol, pegged in [
            (chain.get("native_symbol", native), False),
            *((token.get("symbol"), token.get("usd_pegged") is True) for token in tables),
        ]:
            if isinstance(symbol, str):
                coins[symbol] = coins.get(symbol, False) or pegged
    return coins


def _reason(base: str, quote: str, coins: Mapping[str, bool]) -> str:
    """Return why a price of `base` in `quote` is never asked for; empty if it may be."""
    same = next((coin for coin in coins if coin.lower() == base.lower()), None)
    if quote not in DECIMALS:
        turned = f'; the coin comes first, as in "{quote}/{base}"' if quote in coins and base in DECIMALS else ""
        return f"{quote} is no currency of ISO 4217{turned}"
    if base == quote:
        return f"one {base} is one {quote}"
    if base == _DOLLAR and base not in coins:
        return "" if any(coins.values()) else "it is the price of tokens with usd_pegged = true, and there is none"
    if base in coins:
        return ""
    if same:
        return f'the coin is written {same} here, so write "{same}/{quote}"'
    return f"no chain here takes {base}; the coins are {', '.join(coins)}"
