"""Read whole blocks ahead: the next batches, while the ones before are processed.

Nothing rests on them before they are asked for: a batch that doesn't follow the processed block is dropped with all
after it, and read again. So is one with which a turn fails, because it may be gone by then.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

from crypto_checkout.core.errors import RecoverableError
from crypto_checkout.core.ledger.balance_groups import ExpectedGroup
from crypto_checkout.core.ledger.follow import Block, Head, Header
from crypto_checkout.services.ledger.reading.stretch import BlockReader, Stretch

_HEAD_SECONDS = 5.0

_Found = tuple[Sequence[Block], Sequence[ExpectedGroup]]


class AheadReader(BlockReader, Protocol):
    """A chain whose blocks are read ahead; `chain.evm.chain` and `chain.sandbox.chain` implement it."""

    batches_ahead: int
    """The number of batches that may be read ahead."""

    async def head(self) -> Head:
        """Return the newest block number, and the newest final one."""

    async def mismatches(self, header: Header, groups: Sequence[ExpectedGroup]) -> list[ExpectedGroup]:
        """Return the groups whose balances after a block differ, or may differ, from the expected ones."""


@dataclass(frozen=True, slots=True)
class _BlockBatch:
    """The blocks from `first` to `last`, which are being read, with the groups that match after the last one."""

    first: int
    last: int
    reading: "asyncio.Task[_Found]"


class WholeBlocks:
    """Reads the whole blocks of one chain, batch by batch. `clock` is monotonic.

    `is_head_old` tells that the newest block is that of an earlier turn, `was_ahead` that this turn's blocks are.
    """

    def __init__(self, chain: AheadReader, clock: Callable[[], float]) -> None:
        self._chain = chain
        self._clock = clock
        self._head: tuple[float, Head] | None = None
        self._ahead = deque[_BlockBatch]()
        self.is_head_old = self.was_ahead = False

    async def newest_block(self, processed: int | None) -> Head:
        """Return the newest block; while those after the processed one are here, that of a moment ago will do."""
        now, self.was_ahead = self._clock(), False
        if self._head is not None and self._has_after(processed) and now - self._head[0] < _HEAD_SECONDS:
            self.is_head_old = True
        else:
            self._head, self.is_head_old = (now, await self._chain.head()), False
        return self._head[1]

    async def next(self, start: Header, head_number: int, groups: Sequence[ExpectedGroup]) -> Stretch:
        """Return the batch after a processed block. Raises ProviderFailed."""
        if self._has_after(start.number):
            blocks, matching = await self._ahead.popleft().reading
            if blocks[0].header.parent_hash == start.hash:
                self.was_ahead = True
                return Stretch.whole(self._chain, start, blocks, matching)
        self.drop()
        last = min(head_number, start.number + self._chain.batch_blocks)
        return Stretch.whole(self._chain, start, *await self._read(start.number + 1, last, groups))

    def begin(self, after: int, head_number: int, groups: Sequence[ExpectedGroup]) -> None:
        """Begin to read what comes after a block that is being processed."""
        after = self._ahead[-1].last if self._ahead else after
        while len(self._ahead) < self._chain.batches_ahead and after < head_number:
            first, after = after + 1, min(head_number, after + self._chain.batch_blocks)
            reading = asyncio.create_task(self._read(first, after, groups), name=f"blocks {first} to {after}")
            reading.add_done_callback(_heed)
            self._ahead.append(_BlockBatch(first, after, reading))

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep what is read ahead only where nothing fails."""
        with ExitStack() as stack:
            stack.callback(self.drop)
            yield
            stack.pop_all()

    def drop(self) -> None:
        """Stop reading ahead, and forget what was read."""
        while self._ahead:
            self._ahead.popleft().reading.cancel()

    def _has_after(self, processed: int | None) -> bool:
        return processed is not None and bool(self._ahead) and self._ahead[0].first == processed + 1

    async def _read(self, first: int, last: int, groups: Sequence[ExpectedGroup]) -> _Found:
        blocks = await self._chain.blocks(range(first, last + 1))
        try:
            different = await self._chain.mismatches(blocks[-1].header, groups) if groups else []
        except RecoverableError:
            return blocks, []  # they are asked for again when they matter
        return blocks, [each for each in groups if each not in different]


def _heed(reading: "asyncio.Task[_Found]") -> None:
    """Take note of an error, which is raised where the batch is asked for: of one that was dropped nobody would."""
    if not reading.cancelled():
        reading.exception()
