"""Find the blocks in which balances changed otherwise than expected, by bisection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import StateUnavailable
from crypto_checkout.core.ledger.expected_balances import ExpectedBalances, UnexplainedChange
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.services.ledger.reading.stretch import Stretch, together

_PROCESSED_BLOCKS = 3
"""The processed blocks that are read again where a balance at the last of them was read too late."""


class HistoricCoins(Protocol):
    """A chain as balances are read from it; `chain.evm.chain` and `chain.sandbox.chain` implement it."""

    async def balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the balances after a block. Raises StateUnavailable for a block that is too old."""


@dataclass(slots=True)
class Readings:
    """The balances of some addresses at any block, read on first use."""

    chain: HistoricCoins
    addresses: Sequence[Address]
    known: dict[str, Mapping[Address, int] | None] = field(default_factory=dict)

    async def at(self, header: Header) -> Mapping[Address, int] | None:
        """Return the balances after a block; None if no node has them any more."""
        if header.hash not in self.known:
            try:
                self.known[header.hash] = await self.chain.balances(header, self.addresses)
            except StateUnavailable:
                self.known[header.hash] = None
        return self.known[header.hash]


def surprising(ledger: ExpectedBalances, last: Header, end: Mapping[Address, int] | None) -> list[Address]:
    """Return the addresses whose balances after a block aren't the expected ones."""
    return [address for address, units in (end or {}).items() if units != ledger.expected(address, last.number)]


async def unexplained(
    readings: Readings, ledger: ExpectedBalances, address: Address, stretch: Stretch, first: int, start: Header
) -> list[UnexplainedChange]:
    """Return the blocks from `first` on in which a balance changed otherwise than expected, found by bisection.

    Changes that cancel out between two readings aren't found, and where states are missing, a change is dated to the
    next block that can be read.
    """

    async def surpluses(numbers: Sequence[int]) -> list[int | None]:
        found = await together([readings.at(header) for header in await stretch.read_headers(numbers)])
        return [
            None if held is None else held[address] - ledger.expected(address, number)
            for held, number in zip(found, numbers, strict=True)
        ]

    last = stretch.last.number
    before, after = await surpluses([first, last])
    before = before or 0
    assert after is not None, "the caller has read the last block"
    header = start if first == start.number else await stretch.header(first)
    changes = [UnexplainedChange(header, before, max(-1, first - _PROCESSED_BLOCKS))] if before else []
    spans = [(first, before, last, after)]
    while spans := [each for each in spans if each[1] != each[3]]:
        # All spans are halved at once, so that a node is asked a few times and not once for each.
        found = await surpluses([(low + high) // 2 for low, _, high, _ in spans])
        halves = []
        for (low, before, high, after), middle in zip(spans, found, strict=True):
            if high - low <= 1 or middle is None:
                changes.append(UnexplainedChange(await stretch.header(high), after - before, low))
            else:
                place = (low + high) // 2
                halves += [(low, before, place, middle), (place, middle, high, after)]
        spans = halves
    return sorted(changes, key=lambda change: (change.header.number, change.after))
