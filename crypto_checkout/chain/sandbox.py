"""The simulated chain of test mode: one block a second, no node, no network.

Its blocks are not stored: number, time and hash of each follow from the seed, the genesis time and the branches that
reorgs made. Only transactions are kept. Chain time runs with the clock, plus what was mined ahead, so an idle sandbox
has nothing to write.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.errors import ChainMoved, ProviderFailed
from crypto_checkout.core.follow import Block, Head, Header
from crypto_checkout.core.payment import Kind, Transfer

CHAIN_ID = 1337
NAME = "Sandbox"
CONFIRMATIONS = 3
ASSETS = (
    Asset(CHAIN_ID, "ETH", 18),
    Asset(CHAIN_ID, "USDC", 6, Address("0x00000000000000000000000000000000000005dc"), usd_pegged=True),
)
PAYER = Address("0x00000000000000000000000000000000005a9d80")

# Account m/44'/60'/0' of the phrase that all test tools share ("test test … junk"): anybody can check its addresses.
XPUB = "xpub6Ce9NcJvTk36xtLSrJLZqE7wtgA5deCeYs7rSQtreh4cj6ByPtrg9sD7V2FNFLPnf8heNP3FGkeV9qwfzvZNSd54JoNXVsXFYSYwHsnJxqP"

_SHORT_PAUSE_BLOCKS = 60


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction of the simulated chain, with the one transfer it makes."""

    hash: str
    block_number: int
    to: Address
    units: int
    kind: Kind
    contract: Address | None


@dataclass(slots=True)
class State:
    """All that is kept of the chain. `branches` holds (first block, salt), oldest first.

    `pauses` holds (block, seconds): so many seconds more than one passed before that block, while the server was off.
    `newest` is the newest block's number when it was last asked for: a clock that is set back takes no block away.
    """

    seed: str
    genesis: datetime
    blocks_ahead: int = 0
    pauses: list[tuple[int, int]] = field(default_factory=list)
    branches: list[tuple[int, str]] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    newest: int = 0

    def due(self, now: datetime) -> int:
        """Return the number of the newest block by the clock and what was mined ahead of it."""
        elapsed = (now - self.genesis) // timedelta(seconds=1) - sum(seconds for _, seconds in self.pauses)
        return max(0, elapsed) + self.blocks_ahead

    def resume(self, processed: int, now: datetime) -> None:
        """Let the time that the server was off pass before one block, instead of in a block a second."""
        last = max(processed, self.newest)
        missed = self.due(now) - last
        if missed > _SHORT_PAUSE_BLOCKS:
            self.pauses.append((last + 1, missed - 1))

    def time(self, number: int) -> datetime:
        """Return a block's time."""
        paused = sum(seconds for block, seconds in self.pauses if block <= number)
        return self.genesis + timedelta(seconds=number + paused)

    def to_json(self) -> str:
        """Write the state as JSON."""
        return json.dumps({**asdict(self), "genesis": self.genesis.isoformat()})

    @classmethod
    def from_json(cls, text: str) -> "State":
        """Read what `to_json` wrote."""
        raw: dict[str, Any] = json.loads(text)
        return cls(
            seed=raw["seed"],
            genesis=datetime.fromisoformat(raw["genesis"]),
            blocks_ahead=raw["blocks_ahead"],
            branches=[(int(first), str(salt)) for first, salt in raw["branches"]],
            transactions=[Transaction(**{**item, "kind": Kind(item["kind"])}) for item in raw["transactions"]],
            newest=raw["newest"],
            pauses=[(int(block), int(seconds)) for block, seconds in raw["pauses"]],
        )


class SandboxChain:
    """The simulated chain, behind the interface of `chain.evm`. `clock` is the time; `state` is changed in place.

    For the event loop's thread only: between a block and its payment nobody may read.
    """

    batch_blocks = 2_000

    def __init__(self, state: State, clock: Callable[[], datetime]) -> None:
        self.state = state
        self._clock = clock

    @property
    def number(self) -> int:
        """The newest block's number. It stands still while the clock makes up for having been set back."""
        self.state.newest = max(self.state.newest, self.state.due(self._clock()))
        return self.state.newest

    @property
    def time(self) -> datetime:
        """The newest block's time."""
        return self.state.time(self.number)

    def pay(
        self, to: Address, units: int, entropy: bytes, contract: Address | None = None, *, internal: bool = False
    ) -> Transaction:
        """Mine a new block with a transaction that pays, by way of a contract if `internal`; the state has changed."""
        self.mine(1)
        kind = Kind.TOKEN if contract is not None else Kind.INTERNAL if internal else Kind.NATIVE
        transaction = Transaction("0x" + entropy.hex(), self.number, to, units, kind, contract)
        self.state.transactions.append(transaction)
        return transaction

    def mine(self, blocks: int) -> None:
        """Put blocks on top, each a second later than the one before: chain time moves ahead of the clock."""
        # From the newest block on, not from the clock: a payment must be in a block that nobody has processed.
        self.state.blocks_ahead += max(0, self.state.newest - self.state.due(self._clock())) + blocks

    async def head(self) -> Head:
        """Return the newest block number."""
        return Head(self.number)

    async def header(self, number: int) -> Header:
        """Return the header at a height. Raises ProviderFailed for one that is not mined yet."""
        return (await self.headers([number]))[0]

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Return the headers at these heights."""
        newest = self.number
        if any(not 0 <= number <= newest for number in numbers):
            raise ProviderFailed(f"there are only blocks 0 to {newest}")
        return [self._header(number) for number in numbers]

    async def blocks(self, first: int, last: int) -> list[Block]:
        """Return the blocks of a range, oldest first; internal transfers show in balances only, as on a real chain."""
        headers = await self.headers(range(first, last + 1))
        by_block = defaultdict[int, list[Transaction]](list)
        for transaction in self.state.transactions:
            if first <= transaction.block_number <= last:
                by_block[transaction.block_number].append(transaction)
        return [Block(header, _transfers(by_block[header.number], header)) for header in headers]

    async def succeeded(self, transfers: Sequence[Transfer]) -> list[Transfer]:
        """Keep all: no transaction reverts here."""
        return list(transfers)

    async def confirm(self, transfers: Sequence[Transfer]) -> None:
        """Nobody else could be asked."""

    async def confirm_balances(self, header: Header, held: Mapping[Address, int]) -> None:
        """Nobody else could be asked."""

    async def balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return what addresses hold of the coin at a block: what was ever paid to them, for nobody sends from here."""
        found = dict.fromkeys(addresses, 0)
        for transaction in self._until(header):
            if transaction.contract is None and transaction.to in found:
                found[transaction.to] += transaction.units
        return found

    async def spent(self, header: Header, addresses: Collection[Address]) -> dict[Address, int]:  # noqa: ARG002 - likewise
        """Return no costs."""
        return dict.fromkeys(addresses, 0)

    async def internal_transfers(self, header: Header, addresses: Collection[Address]) -> list[Transfer]:
        """Return what contracts sent to addresses in a block."""
        return [
            _transfer(transaction, header)
            for transaction in self._until(header)
            if transaction.block_number == header.number
            and transaction.kind is Kind.INTERNAL
            and transaction.to in addresses
        ]

    async def used(self, addresses: Sequence[Address]) -> set[Address]:
        """Return those of the addresses that were ever paid."""
        return {t.to for t in self.state.transactions} & set(addresses)

    def doubt(self, reason: str) -> None:
        """Nobody else could be asked."""

    async def close(self) -> None:
        """Nothing is open."""

    def _until(self, header: Header) -> list[Transaction]:
        """Return the transactions up to a block. Raises ChainMoved where another block is in its place."""
        if self._hash(header.number) != header.hash:
            raise ChainMoved(f"block {header.number} is another one by now")
        return [each for each in self.state.transactions if each.block_number <= header.number]

    def _header(self, number: int) -> Header:
        parent_hash = self._hash(number - 1) if number else "0x" + "00" * 32
        return Header(number, self._hash(number), parent_hash, self.state.time(number))

    def _hash(self, number: int) -> str:
        salt = next((salt for first, salt in reversed(self.state.branches) if first <= number), "")
        return "0x" + hashlib.sha256(f"{self.state.seed}/{salt}/{number}".encode()).hexdigest()


def _transfers(transactions: Sequence[Transaction], header: Header) -> tuple[Transfer, ...]:
    return tuple(_transfer(each, header) for each in transactions if each.kind is not Kind.INTERNAL)


def _transfer(transaction: Transaction, header: Header) -> Transfer:
    return Transfer(
        to=transaction.to,
        sender=PAYER,
        units=transaction.units,
        kind=transaction.kind,
        contract=transaction.contract,
        tx_hash=transaction.hash,
        log_index=0 if transaction.kind is Kind.TOKEN else None,
        block_number=header.number,
        block_hash=header.hash,
        block_time=header.time,
    )
