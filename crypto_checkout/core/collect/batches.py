"""Transactions that collect from addresses with code: anybody may send them, and pays only the fee. Pure.

These are deposits of a cold address, and addresses of a wallet that delegate (EIP-7702).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.collect import calls
from crypto_checkout.core.collect.holdings import Holding, Market, NotWorthMoving

MOST_IN_ONE = 100
"""The most amounts in one transaction: EIP-7825 caps its gas, and 200 came near."""


@dataclass(frozen=True, slots=True)
class CollectBatch:
    """One transaction to the Collector on a chain: it moves each of the items, or leaves it, to the destination."""

    chain_id: int
    destination: Address
    items: tuple[Holding, ...]

    @property
    def data(self) -> bytes:
        """The calldata."""
        salts: dict[Address, list[bytes]] = defaultdict(list)
        accounts: dict[Address, list[Address]] = defaultdict(list)
        for each in self.items:
            if each.salt is None:
                accounts[each.asset.contract or calls.COIN].append(each.address)
            else:
                salts[each.asset.contract or calls.COIN].append(each.salt)
        assert not (salts and accounts), "deposits and accounts take different calls"
        return calls.collect(self.destination, salts) if salts else calls.collect_from(accounts)

    @property
    def is_of_deposits(self) -> bool:
        """True for deposits; accounts that delegate are called by their addresses."""
        return self.items[0].salt is not None

    @property
    def sums(self) -> Mapping[Asset, int]:
        """The sum of the items by asset."""
        found: dict[Asset, int] = {}
        for each in self.items:
            found[each.asset] = found.get(each.asset, 0) + each.units
        return found

    @property
    def addresses(self) -> int:
        """The number of different addresses."""
        return len({each.address for each in self.items})


def batches(holdings: Iterable[Holding], market: Market) -> list[CollectBatch]:
    """Return the transactions that collect all that is worth it, chain by chain, the most valuable amounts first.

    Amounts whose fee or price isn't known are collected too.
    """
    groups: dict[tuple[int, Address, bool], list[Holding]] = defaultdict(list)
    for each in holdings:
        if each.destination is None or not each.units:
            continue
        if market.reason_to_leave(each) is not NotWorthMoving.FEE_TOO_HIGH:
            groups[each.asset.chain_id, each.destination, each.salt is None].append(each)
    return [
        CollectBatch(chain_id, destination, tuple(part))
        for (chain_id, destination, _), items in sorted(groups.items())
        for part in _parts(sorted(items, key=lambda each: _value(each, market), reverse=True))
    ]


def _value(holding: Holding, market: Market) -> tuple[bool, int]:
    """Return a key by which holdings of all assets are ordered by their worth; those without a price come first."""
    worth = market.worth(holding.asset, holding.units)
    return worth is None, 0 if worth is None else int(worth.amount.scaleb(8))


def _parts(items: Sequence[Holding]) -> list[Sequence[Holding]]:
    return [items[start : start + MOST_IN_ONE] for start in range(0, len(items), MOST_IN_ONE)]
