"""Follow a chain: compare the hashes of processed blocks with a node's, and decide the next step.

There are three outcomes, as in electrumx: go on, go back, or ask again. Nothing is fetched or written here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from crypto_checkout.core.address import Address
from crypto_checkout.core.ledger.payment import Transfer


@dataclass(frozen=True, slots=True)
class Header:
    """The link of a block to its parent. Hashes are 0x-hex in lower case."""

    number: int
    hash: str
    parent_hash: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Block:
    """A header and the transfers in its block, whose success is not checked yet.

    `senders` are the senders of all its transactions: their balances may have fallen. `collected` is what addresses
    with code say was collected from them (`core.ledger.outflow`), whoever's they are.
    """

    header: Header
    transfers: tuple[Transfer, ...] = ()
    senders: frozenset[Address] = frozenset()
    collected: tuple[Transfer, ...] = ()

    def dated(self, time: datetime) -> "Block":
        """Return the block with another time, its transfers included."""
        header = replace(self.header, time=time)
        transfers, collected = (
            tuple(replace(transfer, block_time=time) for transfer in some) for some in (self.transfers, self.collected)
        )
        return Block(header, transfers, self.senders, collected)


@dataclass(frozen=True, slots=True)
class Head:
    """A node's newest block number, with its header if known; `final_number` as in `core.ledger.assess.Tip`."""

    number: int
    final_number: int | None = None
    header: Header | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Advance:
    """The headers are on the chain of the last processed block, above it."""

    headers: tuple[Header, ...]


@dataclass(frozen=True, slots=True)
class Rollback:
    """The last processed block is no longer on the chain; look for the common ancestor below it."""

    above: int


@dataclass(frozen=True, slots=True)
class Refetch:
    """The node moved to another branch between two answers, so these must not be stored."""

    reason: str


def follow(cursor_number: int, cursor_hash: str, headers: Sequence[Header]) -> Advance | Rollback | Refetch:
    """Compare the last processed block with headers above it, oldest first.

    They link up if the first has that block as its parent, and each has the one before it. Where blocks between them
    weren't read, the first has to be the processed block itself, as the node shows it now.
    """
    if not headers:
        return Refetch("no header came")
    is_cursor = headers[0].number == cursor_number
    expected_number, expected_parent = cursor_number + 1, cursor_hash
    if is_cursor and headers[0].hash != cursor_hash:
        return Rollback(above=cursor_number)
    above = headers[1:] if is_cursor else headers
    for header in above or headers:
        is_next = header.number == expected_number
        if not is_next and not (is_cursor and header.number > expected_number):
            return Refetch(f"asked for block {expected_number}, got {header.number}")
        if is_next and header.parent_hash != expected_parent:
            if header is headers[0]:
                return Rollback(above=cursor_number)
            return Refetch(f"block {header.number} does not follow the block fetched before it")
        expected_number, expected_parent = header.number + 1, header.hash
    return Advance(tuple(above))


def common_ancestor(kept: Mapping[int, str], canonical: Mapping[int, str]) -> int | None:
    """Return the newest block number on which the kept hashes and the node's agree, or None."""
    return max((number for number, block_hash in canonical.items() if kept.get(number) == block_hash), default=None)
