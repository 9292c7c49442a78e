"""Changes of the simulated chain that are not stored yet, and its transactions as they are looked up."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from crypto_checkout.chain.sandbox.state import State
from crypto_checkout.core.address import Address
from crypto_checkout.core.ledger.payment import TransferKind
from crypto_checkout.core.sandbox import SandboxTransaction

K = TypeVar("K")


class Transactions:
    """Transactions by block, by receiver, and by the address that they were collected from."""

    def __init__(self, transactions: Iterable[SandboxTransaction]) -> None:
        self.by_block: dict[int, list[SandboxTransaction]] = {}
        self.by_address: dict[Address, list[SandboxTransaction]] = {}
        self.by_sender: dict[Address | None, list[SandboxTransaction]] = {}
        for transaction in transactions:
            self.add(transaction)

    def add(self, transaction: SandboxTransaction) -> None:
        """Add a transaction."""
        self.by_block.setdefault(transaction.block_number, []).append(transaction)
        self.by_address.setdefault(transaction.to, []).append(transaction)
        if transaction.sender is not None:
            self.by_sender.setdefault(transaction.sender, []).append(transaction)

    def remove(self, transaction: SandboxTransaction) -> None:
        """Drop a transaction. A missing one is no error: not all stored transactions are loaded."""
        _drop(self.by_block, transaction.block_number, transaction)
        _drop(self.by_address, transaction.to, transaction)
        _drop(self.by_sender, transaction.sender, transaction)


def _drop(by: dict[K, list[SandboxTransaction]], key: K, transaction: SandboxTransaction) -> None:
    found = by.get(key, [])
    if transaction in found:
        found.remove(transaction)
    if not found:
        by.pop(key, None)


class Draft:
    """A pending change of the chain: invisible until it is stored and applied."""

    def __init__(self, state: State, now: datetime, transactions: Transactions) -> None:
        self.state = replace(state, pauses=[*state.pauses], branches=[*state.branches])
        self.added: list[SandboxTransaction] = []
        self.removed: list[SandboxTransaction] = []
        self.replaced_from: int | None = None
        self.touched: set[Address] = set()
        self._transactions = transactions
        self._now = now

    @property
    def number(self) -> int:
        """The newest block's number."""
        self.state.newest = max(self.state.newest, self.state.due(self._now))
        return self.state.newest

    @property
    def time(self) -> datetime:
        """The newest block's time."""
        return self.state.time(self.number)

    def mine(self, blocks: int) -> None:
        """Mine blocks, each a second later than the one before: chain time moves ahead of the clock."""
        # From the newest block on, not from the clock: a payment must be in an unprocessed block.
        self._reach(self.number + blocks)

    def mine_at_once(self, blocks: int) -> None:
        """Mine blocks that take no time, as on chains with several a second, so that no session expires."""
        for first in range(self.number + 1, self.number + 1 + blocks):
            self.state.pause(first, -1)
            self._reach(first)

    def advance(self, seconds: int) -> None:
        """Let time pass before one new block."""
        first = self.number + 1
        self.state.seconds_ahead += seconds
        self.state.pause(first, seconds - 1)
        self._reach(first)

    def begin_outage(self, seconds: int) -> None:
        """Begin an outage of the chain: reads fail for this long."""
        self.state.outage_until = self._now + timedelta(seconds=seconds)

    def withhold_prices(self, seconds: int) -> None:
        """Begin an outage of prices: test mode has none for this long."""
        self.state.prices_out_until = self._now + timedelta(seconds=seconds)

    def transfer(
        self,
        to: Address,
        units: int,
        kind: TransferKind,
        contract: Address | None,
        tx_hash: str,
        sender: Address | None = None,
    ) -> SandboxTransaction:
        """Add a transfer to the newest block, which must be new; transfers with the same hash share a transaction."""
        place = sum(1 for each in self.added if each.hash == tx_hash)
        transaction = SandboxTransaction(tx_hash, self.number, to, units, kind, contract, place, sender)
        self.added.append(transaction)
        return transaction

    def collect(self, moved: Sequence[tuple[Address, Address | None, int]], destination: Address, tx_hash: str) -> None:
        """Mine a block with a transaction that moves amounts, each of an address and a contract, to a destination."""
        self.mine(1)
        for address, contract, units in moved:
            kind = TransferKind.INTERNAL if contract is None else TransferKind.TOKEN
            self.transfer(destination, units, kind, contract, tx_hash, address)

    def pay(
        self, to: Address, units: int, tx_hash: str, contract: Address | None = None, *, internal: bool = False
    ) -> SandboxTransaction:
        """Mine a block with a payment, sent by a contract if `internal`."""
        self.mine(1)
        kind = (
            TransferKind.TOKEN if contract is not None else TransferKind.INTERNAL if internal else TransferKind.NATIVE
        )
        return self.transfer(to, units, kind, contract, tx_hash)

    def fork(self, first: int, salt: str) -> None:
        """Replace all blocks from `first` on, keeping their transactions."""
        self.replaced_from = first
        self.state.fork(first, salt)

    def take_back(self, to: Address, salt: str) -> None:
        """Reverse all payments to an address, by replacing the blocks since the first of them.

        `touched` is set to the other addresses paid in those blocks.
        """
        paid = self._transactions.by_address.get(to, ())
        first = min((each.block_number for each in paid), default=self.number)
        replaced = [self._transactions.by_block.get(number, ()) for number in range(first, self.number + 1)]
        self.touched = {each.to for block in replaced for each in block} - {to}
        self.removed.extend(paid)
        self.fork(first, salt)

    def _reach(self, number: int) -> None:
        self.state.blocks_ahead += number - self.state.due(self._now)
        self.state.newest = number
