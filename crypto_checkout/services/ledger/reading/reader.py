"""Read the next stretch of a chain: as one range where its providers allow that, or else block by block."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import StateUnavailable
from crypto_checkout.core.ledger.balance_groups import ExpectedGroup
from crypto_checkout.core.ledger.follow import Head, Header
from crypto_checkout.core.ledger.payment import Transfer
from crypto_checkout.core.ledger.range_reading import RangeReading
from crypto_checkout.services.ledger.reading.ahead import AheadReader, WholeBlocks
from crypto_checkout.services.ledger.reading.stretch import Stretch

_LONG = timedelta(minutes=2)
_TURNS_READ_AGAIN = 5
_BLOCKS_READ_AGAIN = 16
_MOST_KNOWN = 10_000


class RangeReader(AheadReader, Protocol):
    """A chain whose blocks can be read as a range; `chain.evm.chain` and `chain.sandbox.chain` implement it."""

    @property
    def reads_ranges(self) -> bool:
        """False while blocks have to be read whole."""

    @property
    def range_blocks(self) -> int:
        """The recommended number of blocks in a range."""

    async def read_range(
        self, start: Header, last: Header, since: int, groups: Sequence[ExpectedGroup], others: Sequence[Address]
    ) -> RangeReading:
        """Read the blocks after `start` up to `last`, and logs from block `since` on if that costs nothing.

        `others` are addresses in no group, of which only the logs are read.
        """

    def stop_reading_ranges(self, reason: str) -> None:
        """Have blocks read whole for some minutes."""

    async def nonces(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the number of transactions that each address had sent up to a block. Raises StateUnavailable."""


class StretchReader:
    """Reads the stretches of one chain. `clock` is monotonic.

    The logs of a stretch are asked for together with those of the turns before: a node behind a load balancer that
    lags answers "none" for a block that it doesn't have, and what it left out is found with the next turns.

    Coins that come and leave again within a stretch don't show in the balances after it. In the steady state it has a
    few blocks; after a pause, a stretch ends before each transaction that a watched address sent, so that only what
    contracts take from an address that is itself a contract, or delegates to one, can leave unseen.
    """

    def __init__(self, chain: RangeReader, clock: Callable[[], float]) -> None:
        self._chain = chain
        self._ends: deque[int] = deque(maxlen=_TURNS_READ_AGAIN)
        self._known: set[tuple[str, str | None, int | None]] = set()
        self._senders: tuple[int, Mapping[Address, int]] = (-1, {})
        self.whole = WholeBlocks(chain, clock)

    async def next(
        self, start: Header, head: Head, oldest: int, groups: Sequence[ExpectedGroup], others: Sequence[Address]
    ) -> Stretch:
        """Read the stretch after a processed block. `oldest` is the oldest block that is kept.

        `groups` are the addresses whose balances are compared, `others` the ones whose balance was never read.

        Raises ProviderFailed, and ChainMoved where nodes contradict each other.
        """
        if not self._chain.reads_ranges:
            return await self.whole.next(start, head.number, groups)
        try:
            last = await self._last(start, head, groups, others)
        except StateUnavailable:
            return await self.whole.next(start, head.number, groups)
        since = max(oldest + 1, min(self._ends, default=start.number - _BLOCKS_READ_AGAIN))
        read = await self._chain.read_range(start, last, since, groups, others)
        logged, left = (
            tuple(each for each in some if _key(each) not in self._known) for some in (read.transfers, read.collected)
        )
        self.whole.drop()  # what was read ahead isn't asked for where ranges can be read
        return Stretch(self._chain, start, read.last, read.links, logged, read.matching, left=left)

    def processed(self, stretch: Stretch) -> None:
        """Note that the evidence of a stretch is stored."""
        self._ends.append(stretch.start.number + 1)
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()  # what is recorded again changes nothing
        self._known.update(map(_key, (*stretch.logged, *stretch.left)))

    def forget(self) -> None:
        """Forget everything: the processed blocks are others by now."""
        self._ends.clear()
        self._known.clear()
        self._senders = (-1, {})
        self.whole.drop()

    async def _last(
        self, start: Header, head: Head, groups: Sequence[ExpectedGroup], others: Sequence[Address]
    ) -> Header:
        """Return the last block of the stretch: in a long one, that before an address sends its first transaction."""
        last = await self._header(min(head.number, start.number + self._chain.range_blocks), head)
        if last.time - start.time < _LONG or last.number == start.number + 1:
            return last
        addresses = [*(address for group in groups for address in group.addresses), *others]
        sent = await self._sent(start, head, last, addresses)
        number = last.number
        for address in sent:
            number = await self._before_sending(address, start, number)
        return last if number == last.number else await self._header(number, head)

    async def _header(self, number: int, head: Head) -> Header:
        if head.header is not None and head.number == number:
            return head.header
        (header,) = await self._chain.headers([number])
        return header

    async def _sent(self, start: Header, head: Head, last: Header, addresses: Sequence[Address]) -> list[Address]:
        """Return the addresses that sent a transaction in a stretch; most never sent any."""
        until, senders = self._senders
        if last.number > until or any(address not in senders for address in addresses):
            newest = last if head.header is None else head.header
            senders = await self._chain.nonces(newest, addresses)
            self._senders = (newest.number, senders)
        ever = [address for address in addresses if senders[address]]
        if not ever:
            return []
        before, after = await self._chain.nonces(start, ever), await self._chain.nonces(last, ever)
        return [address for address in ever if before[address] != after[address]]

    async def _before_sending(self, address: Address, start: Header, last: int) -> int:
        """Return the block before an address's first transaction in a stretch, or that block if it is the first one."""

        async def count(number: int) -> int:
            (header,) = await self._chain.headers([number])
            return (await self._chain.nonces(header, [address]))[address]

        low, high = start.number, last
        before = await count(low)
        if await count(high) == before:
            return last
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if await count(middle) == before else (low, middle)
        return low if low > start.number else high


def _key(transfer: Transfer) -> tuple[str, str | None, int | None]:
    return (transfer.block_hash, transfer.tx_hash, transfer.log_index)
