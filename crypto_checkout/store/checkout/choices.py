"""What payers may choose from, as one column of links and of sessions."""

import json
from collections.abc import Sequence

from crypto_checkout.core.assets import Choice


def to_text(choices: Sequence[Choice]) -> str | None:
    """Write choices in their order, as `[[1, "ETH"], [10, "USDC"]]`; None where there are none."""
    return json.dumps([[each.chain_id, each.symbol] for each in choices], ensure_ascii=False) if choices else None


def from_text(text: str | None) -> tuple[Choice, ...]:
    """Read them back."""
    return () if text is None else tuple(Choice(chain_id, symbol) for chain_id, symbol in json.loads(text))
