"""A stretch of a chain: the blocks after the last processed one, of which only those that matter are read.

Where the chain is read block by block, all of them are there from the start. Otherwise there are the logs of the whole
stretch, and headers and whole blocks are read when they are asked for.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from crypto_checkout.core.errors import ChainMoved
from crypto_checkout.core.ledger.balance_groups import ExpectedGroup
from crypto_checkout.core.ledger.follow import Block, Header
from crypto_checkout.core.ledger.payment import Transfer

Answer = TypeVar("Answer")

_AT_ONCE = 8


class BlockReader(Protocol):
    """A chain as its blocks are read; `chain.evm.chain` and `chain.sandbox.chain` implement it."""

    batch_blocks: int

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Return the headers at these heights."""

    async def blocks(self, numbers: Sequence[int]) -> list[Block]:
        """Return the blocks at these heights, lowest first."""


@dataclass(slots=True)
class Stretch:
    """The blocks after `start` up to `last`.

    `links` are the headers that show whether they follow `start` (`core.ledger.follow.follow`), `logged` the token
    transfers in their logs, and `left` what their logs say left our addresses, some of them in blocks before `start`,
    which may be recorded already. `matching` are groups
    whose balances after the last block are the expected ones. `is_whole` tells that all blocks are read.
    """

    chain: BlockReader
    start: Header
    last: Header
    links: tuple[Header, ...]
    logged: tuple[Transfer, ...] = ()
    matching: Sequence[ExpectedGroup] = ()
    is_whole: bool = False
    left: tuple[Transfer, ...] = ()
    _blocks: dict[int, Block] = field(default_factory=dict)
    _headers: dict[int, Header] = field(default_factory=dict)

    @classmethod
    def whole(
        cls, chain: BlockReader, start: Header, blocks: Sequence[Block], matching: Sequence[ExpectedGroup] = ()
    ) -> "Stretch":
        """Make a stretch of blocks that are all read."""
        headers = tuple(block.header for block in blocks)
        known = {block.header.number: block for block in blocks}
        return cls(chain, start, headers[-1], headers, matching=matching, is_whole=True, _blocks=known)

    @property
    def blocks(self) -> list[Block]:
        """The blocks that were read so far, oldest first."""
        return [self._blocks[number] for number in sorted(self._blocks)]

    @property
    def headers(self) -> list[Header]:
        """The headers of the stretch's own blocks that were read so far, oldest first."""
        known = {**self._headers, **{number: block.header for number, block in self._blocks.items()}}
        known[self.last.number] = self.last
        return [known[number] for number in sorted(known) if number > self.start.number]

    async def header(self, number: int) -> Header:
        """Return a header of the stretch, or of a block before it. Raises ProviderFailed."""
        (found,) = await self.read_headers([number])
        return found

    async def read_headers(self, numbers: Sequence[int]) -> list[Header]:
        """Return several headers, as `header` does."""
        known = {
            **self._headers,
            **{number: block.header for number, block in self._blocks.items()},
            self.start.number: self.start,
            self.last.number: self.last,
        }
        missing = sorted(set(numbers) - known.keys())
        for found in await self.chain.headers(missing) if missing else []:
            known[found.number] = self._headers[found.number] = replace(found, time=min(found.time, self.last.time))
        return [known[number] for number in numbers]

    async def read(self, numbers: Iterable[int]) -> list[Block]:
        """Read the blocks with these numbers that weren't read yet; return them, oldest first.

        Raises ChainMoved if one is another block than its header, and ProviderFailed.
        """
        found: list[Block] = []
        missing, size = sorted(set(numbers) - self._blocks.keys()), self.chain.batch_blocks
        batches = [missing[place : place + size] for place in range(0, len(missing), size)]
        for blocks in await together([self.chain.blocks(each) for each in batches]):
            for block in blocks:
                known = {each.number: each for each in (self.start, self.last, *self._headers.values())}
                number = block.header.number
                header = known.get(number, block.header)
                if header.hash != block.header.hash:
                    raise ChainMoved(f"block {number} is another one by now")
                self._blocks[number] = block.dated(min(header.time, self.last.time))
                found.append(self._blocks[number])
        return found

    async def transfers(self) -> list[Transfer]:
        """Return the transfers of the logs and of the blocks that were read so far.

        Raises ChainMoved if a log is from another branch.
        """
        found = [transfer for block in self.blocks for transfer in block.transfers]
        return [*found, *await self._dated(self.logged)]

    async def outgoing(self) -> list[Transfer]:
        """Return what its logs say left our addresses. Raises ChainMoved if a log is from another branch."""
        return await self._dated(self.left)

    async def _dated(self, logs: Sequence[Transfer]) -> list[Transfer]:
        found: list[Transfer] = []
        for transfer in logs:
            header = await self.header(transfer.block_number)
            if header.hash != transfer.block_hash:
                raise ChainMoved(f"the logs of block {header.number} are another branch's")
            found.append(replace(transfer, block_time=header.time))
        return found

    async def verify(self) -> None:
        """Read again, from one node, the headers of all blocks that were read. Raises ChainMoved if one differs.

        They weren't compared with each other: one of them can be from a branch of which the last block is not.
        """
        known = {**self._headers, **{number: block.header for number, block in self._blocks.items()}}
        if self.is_whole or not known:
            return
        known[self.last.number] = self.last
        for header in await self.chain.headers(sorted(known)):
            if header.hash != known[header.number].hash:
                raise ChainMoved(f"block {header.number} is another one by now")


async def together(questions: Sequence[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """Return the answers to some questions, a few of them asked at a time. Raises the first error, after all ended."""
    found: list[Answer] = []
    try:
        for place in range(0, len(questions), _AT_ONCE):
            answers = await asyncio.gather(*questions[place : place + _AT_ONCE], return_exceptions=True)
            for answer in answers:
                if isinstance(answer, BaseException):
                    raise answer
                found.append(answer)
    finally:
        for question in questions:
            question.close()  # one that was never asked
    return found
