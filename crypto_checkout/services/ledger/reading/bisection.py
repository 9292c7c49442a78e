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

    async def balances_at(
        self, headers: Sequence[Header], addresses: Sequence[Address]
    ) -> Sequence[Mapping[Address, int]] | None:
        """Return the balances after several blocks by one request; None where that can't be."""


@dataclass(slots=True)
class Readings:
    """The balances of some addresses at any block, read on first use."""

    chain: HistoricCoins
    addresses: Sequence[Address]
    known: dict[str, Mapping[Address, int] | None] = field(default_factory=dict)

    async def at(self, header: Header) -> Mapping[Address, int] | None:
        """Return the balances after a block; None if no node has them any more."""
        (found,) = await self.at_each([header])
        return found

    async def at_each(self, headers: Sequence[Header]) -> list[Mapping[Address, int] | None]:
        """Return the balances after several blocks, as `at` does, from one request."""
        missing = [*{header.hash: header for header in headers if header.hash not in self.known}.values()]
        if missing:
            found: Sequence[Mapping[Address, int] | None] | None
            found = await self.chain.balances_at(missing, self.addresses)
            if found is None:
                found = await together([self._alone(header) for header in missing])
            self.known.update((header.hash, held) for header, held in zip(missing, found, strict=True))
        return [self.known[header.hash] for header in headers]

    async def _alone(self, header: Header) -> Mapping[Address, int] | None:
        try:
            return await self.chain.balances(header, self.addresses)
        except StateUnavailable:
            return None


def surprising(ledger: ExpectedBalances, last: Header, end: Mapping[Address, int] | None) -> list[Address]:
    """Return the addresses whose balances after a block aren't the expected ones."""
    return [address for address, units in (end or {}).items() if units != ledger.expected(address, last.number)]


async def unexplained(
    readings: Readings, ledger: ExpectedBalances, firsts: Mapping[Address, int], stretch: Stretch, start: Header
) -> dict[Address, list[UnexplainedChange]]:
    """Return the blocks in which balances changed otherwise than expected, found by bisection, from `firsts` on.

    Changes that cancel out between two readings aren't found, and where states are missing, a change is dated to the
    next block that can be read.
    """

    async def surpluses(points: Sequence[tuple[Address, int]]) -> list[int | None]:
        numbers = sorted({number for _, number in points})
        held = dict(zip(numbers, await readings.at_each(await stretch.read_headers(numbers)), strict=True))
        return [
            None if (found := held[number]) is None else found[address] - ledger.expected(address, number)
            for address, number in points
        ]

    last = stretch.last.number
    at_first, at_last = await surpluses([*firsts.items()]), await surpluses([(address, last) for address in firsts])
    changes: dict[Address, list[UnexplainedChange]] = {address: [] for address in firsts}
    spans = []
    for (address, first), before, after in zip(firsts.items(), at_first, at_last, strict=True):
        assert after is not None, "the caller has read the last block"
        if before:
            header = start if first == start.number else await stretch.header(first)
            changes[address].append(UnexplainedChange(header, before, max(-1, first - _PROCESSED_BLOCKS)))
        spans.append((address, first, before or 0, last, after))
    while spans := [each for each in spans if each[2] != each[4]]:
        # All spans are halved at once, so that a node is asked a few times and not once for each.
        found = await surpluses([(address, (low + high) // 2) for address, low, _, high, _ in spans])
        halves = []
        for (address, low, before, high, after), middle in zip(spans, found, strict=True):
            if high - low <= 1 or middle is None:
                changes[address].append(UnexplainedChange(await stretch.header(high), after - before, low))
            else:
                place = (low + high) // 2
                halves += [(address, low, before, place, middle), (address, place, middle, high, after)]
        spans = halves
    for of_address in changes.values():
        of_address.sort(key=lambda change: (change.header.number, change.after))
    return changes
