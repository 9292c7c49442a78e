"""The choice of assets that payers have, as one column of links and of sessions."""

import json
from collections.abc import Sequence

from crypto_checkout.core.assets import Choice
from crypto_checkout.store.table import Converter


def _to_text(choices: Sequence[Choice]) -> str | None:
    return json.dumps([[each.chain_id, each.symbol] for each in choices], ensure_ascii=False) if choices else None


def _from_text(text: str | None) -> tuple[Choice, ...]:
    return () if text is None else tuple(Choice(chain_id, symbol) for chain_id, symbol in json.loads(text))


COLUMN = Converter("TEXT", _to_text, _from_text, nullable=True)
"""Choices in their order, as `[[1, "ETH"], [10, "USDC"]]`; null where there are none."""
