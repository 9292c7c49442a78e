"""The simulated chain of test mode: one block a second, no node, no network.

Its blocks are not stored: number, time and hash of each follow from the seed, the genesis time and the branches made
by reorgs. Only transactions are stored. Chain time runs with the clock, plus the blocks mined ahead, so an idle sandbox
writes nothing.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from crypto_checkout.chain.sandbox.draft import Draft, Transactions
from crypto_checkout.chain.sandbox.state import State
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.errors import ChainMoved, ProviderFailed
from crypto_checkout.core.ledger.balance_groups import ExpectedGroup, fingerprint
from crypto_checkout.core.ledger.follow import Block, Head, Header
from crypto_checkout.core.ledger.outflow import OwnTransaction
from crypto_checkout.core.ledger.payment import Transfer, TransferKind
from crypto_checkout.core.ledger.range_reading import RangeReading
from crypto_checkout.core.sandbox import SandboxTransaction

CHAIN_ID = 1337
NAME = "Sandbox"
CONFIRMATIONS = 3
ASSETS = (
    Asset(CHAIN_ID, "ETH", 18),
    Asset(CHAIN_ID, "USDC", 6, Address("0x00000000000000000000000000000000000005dc"), usd_pegged=True),
)
DESTINATION = Address("0x00000000000000000000000000000000000c01d0")
"""The address to which test helpers collect."""
PAYER = Address("0x00000000000000000000000000000000005a9d80")

_GAS = 40_000
_GAS_EACH = 60_000

# Account m/44'/60'/0' of the phrase that all test tools share ("test test … junk"): its addresses are public.
XPUB = "xpub6Ce9NcJvTk36xtLSrJLZqE7wtgA5deCeYs7rSQtreh4cj6ByPtrg9sD7V2FNFLPnf8heNP3FGkeV9qwfzvZNSd54JoNXVsXFYSYwHsnJxqP"


class SandboxChain:
    """The simulated chain, behind the interface of `chain.evm.chain`. `clock` returns the time.

    For the event loop's thread only: a read between a block and its payment would miss the payment.
    """

    batch_blocks = 2_000
    batches_ahead = 0
    confirm_with = 1
    range_blocks = batch_blocks
    reads_ranges = False
    """Blocks are at hand: there is nothing to save."""

    def __init__(
        self, state: State, clock: Callable[[], datetime], transactions: Iterable[SandboxTransaction] = ()
    ) -> None:
        self.state = state
        self._clock = clock
        self._transactions = Transactions(transactions)

    @property
    def number(self) -> int:
        """The newest block's number. After the clock was set back, it stays the same until the clock catches up."""
        self.state.newest = max(self.state.newest, self.state.due(self._clock()))
        return self.state.newest

    @property
    def time(self) -> datetime:
        """The newest block's time."""
        return self.state.time(self.number)

    @property
    def has_outage(self) -> bool:
        """True during an outage of the chain."""
        return self.state.outage_until is not None and self._clock() < self.state.outage_until

    @property
    def has_prices(self) -> bool:
        """True unless there is an outage of prices."""
        return self.state.prices_out_until is None or self._clock() >= self.state.prices_out_until

    def draft(self) -> Draft:
        """Begin a change."""
        return Draft(self.state, self._clock(), self._transactions)

    def apply(self, draft: Draft) -> None:
        """Apply a change that has been stored."""
        self.state = draft.state
        for transaction in draft.removed:
            self._transactions.remove(transaction)
        for transaction in draft.added:
            self._transactions.add(transaction)

    def replace(self, state: State, transactions: Iterable[SandboxTransaction]) -> None:
        """Take up what another process stored."""
        self.state = state
        self._transactions = Transactions(transactions)

    def forget(self, transactions: Iterable[SandboxTransaction]) -> None:
        """Drop transactions that no session refers to any more."""
        for transaction in transactions:
            self._transactions.remove(transaction)

    async def head(self) -> Head:
        """Return the newest block number."""
        self._check_reachable()
        return Head(self.number)

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Return the headers at these heights. Raises ProviderFailed for one that is not mined yet."""
        self._check_reachable()
        newest = self.number
        if any(not 0 <= number <= newest for number in numbers):
            raise ProviderFailed(f"there are only blocks 0 to {newest}")
        return [self._header(number) for number in numbers]

    async def blocks(self, numbers: Sequence[int]) -> list[Block]:
        """Return the blocks at these heights; internal transfers show in balances only, as on a real chain."""
        headers = await self.headers(numbers)
        return [
            Block(header, _transfers(found, header), collected=_collected(found, header))
            for header, found in ((each, self.transactions_in(each.number)) for each in headers)
        ]

    async def read_range(
        self, start: Header, last: Header, since: int, groups: Sequence[ExpectedGroup], others: Sequence[Address]
    ) -> RangeReading:
        """Read what the blocks after `start` did to addresses, and logs from block `since` on."""
        addresses = {address for group in groups for address in group.addresses}.union(others)
        (shown,) = await self.headers([start.number])
        headers = [self._header(n) for n in range(max(0, min(since, start.number + 1)), last.number + 1)]
        paid = (t for h in headers for t in _transfers(self.transactions_in(h.number), h) if t.to in addresses)
        left = tuple(each for each in await self.collected(headers) if each.sender in addresses)
        different = await self.mismatches(last, groups)
        matching = [each for each in groups if each not in different]
        return RangeReading(last, (shown, last), tuple(t for t in paid if t.contract is not None), matching, left)

    async def collected(self, headers: Sequence[Header]) -> list[Transfer]:
        """Return what addresses, whoever's, say was collected from them in these blocks."""
        for header in headers:
            self._check_current(header)
        return [each for header in headers for each in _collected(self.transactions_in(header.number), header)]

    async def tokens_sent(
        self, first: int, last: Header, addresses: Sequence[Address], tokens: Sequence[Address] | None = None
    ) -> list[Transfer]:
        """Return the transfers of tokens, by default of any, that addresses sent, from block `first` on."""
        return [
            _transfer(each, self._header(each.block_number))
            for address in addresses
            for each in self._transactions.by_sender.get(address, ())
            if each.contract is not None and first <= each.block_number <= last.number
            if tokens is None or each.contract in tokens
        ]

    def stop_reading_ranges(self, reason: str) -> None:
        """Do nothing: blocks are read whole anyway."""

    async def succeeded(self, transfers: Sequence[Transfer]) -> list[Transfer]:
        """Keep all: no transaction reverts here."""
        return list(transfers)

    async def prove(self, transfers: Sequence[Transfer]) -> list[Transfer]:
        """Return all as they are: nobody else shows these blocks."""
        return list(transfers)

    async def confirm(self, transfers: Sequence[Transfer]) -> None:
        """Do nothing: there are no providers to compare."""

    async def confirm_balances(self, header: Header, held: Mapping[Address, int] | None = None) -> None:
        """Do nothing: there are no providers to compare."""

    async def compare_balances(self, header: Header, held: Mapping[Address, int], known: Mapping[Address, int]) -> None:
        """Do nothing: there are no providers to compare."""

    confirm_block = confirm_balances

    async def balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the native balances of addresses at a block."""
        return self._held(header, None, addresses)

    agreed_balances = balances

    async def balances_at(self, headers: Sequence[Header], addresses: Sequence[Address]) -> None:
        """Return None: `balances` has them at hand."""

    async def mismatches(self, header: Header, groups: Sequence[ExpectedGroup]) -> list[ExpectedGroup]:
        """Return the groups of addresses whose balances at a block differ from those expected."""
        return [group for group in groups if self._fingerprint(header, group.addresses) != group.fingerprint]

    def _fingerprint(self, header: Header, addresses: Sequence[Address]) -> bytes:
        # Thousands of addresses may have been passed over, and a block comes every second.
        if self._transactions.by_address.keys().isdisjoint(addresses):
            self._check_current(header)
            return _nothing(len(addresses))
        return fingerprint([*self._held(header, None, addresses).values()])

    async def spent(self, header: Header, addresses: Collection[Address]) -> list[OwnTransaction]:  # noqa: ARG002 - likewise
        """Return none: no address sends a transaction, it is collected from."""
        return []

    async def fee(self, tx_hash: str) -> int | None:
        """Return the fee of a transaction: what collecting takes on a real chain, at one gwei for a unit of gas."""
        moved = sum(each.hash == tx_hash for block in self._transactions.by_block.values() for each in block)
        return (_GAS + moved * _GAS_EACH) * 10**9 if moved else None

    async def nonces(self, header: Header, addresses: Collection[Address]) -> dict[Address, int]:
        """Return 1 for an address with code, as contracts have (EIP-161): one that was ever collected from."""
        sent = self._transactions.by_sender
        return {a: int(any(each.block_number <= header.number for each in sent.get(a, ()))) for a in addresses}

    async def internal_transfers(self, header: Header, addresses: Collection[Address]) -> list[Transfer]:
        """Return the coins that contracts sent to addresses in a block, added up per transaction as in traces."""
        self._check_current(header)
        found: dict[tuple[str, Address], Transfer] = {}
        for each in self.transactions_in(header.number):
            if each.kind is TransferKind.INTERNAL and each.to in addresses:
                earlier = found.get((each.hash, each.to))
                transfer = _transfer(each, header)
                found[each.hash, each.to] = replace(transfer, units=transfer.units + (earlier.units if earlier else 0))
        return [*found.values()]

    async def used(self, addresses: Sequence[Address]) -> set[Address]:
        """Return the addresses that were ever paid."""
        return {address for address in addresses if self._transactions.by_address.get(address)}

    def doubt(self, reason: str) -> None:
        """Do nothing: there are no providers to compare."""

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def held_by(self, address: Address) -> list[tuple[Address, Address | None, int]]:
        """Return what an address holds by now: itself, the contract of each asset, and the units."""
        contracts = dict.fromkeys(each.contract for each in self._transactions.by_address.get(address, ()))
        header = self._header(self.number)
        held = ((address, each, self._held(header, each, [address])[address]) for each in contracts)
        return [each for each in held if each[2]]

    def transactions_in(self, number: int) -> Sequence[SandboxTransaction]:
        """Return the transactions of a block."""
        return self._transactions.by_block.get(number, ())

    def _held(self, header: Header, token: Address | None, addresses: Sequence[Address]) -> dict[Address, int]:
        self._check_current(header)
        come, left = self._transactions.by_address, self._transactions.by_sender
        return {
            address: sum(
                each.units if each.to == address else -each.units
                for each in (*come.get(address, ()), *left.get(address, ()))
                if each.contract == token and each.block_number <= header.number
            )
            if address in come or address in left
            else 0  # as most have
            for address in addresses
        }

    def _check_reachable(self) -> None:
        if self.has_outage:
            raise ProviderFailed("the sandbox has an outage")

    def _check_current(self, header: Header) -> None:
        """Raise ChainMoved if another block is in its place."""
        self._check_reachable()
        if self._hash(header.number) != header.hash:
            raise ChainMoved(f"block {header.number} is another one by now")

    def _header(self, number: int) -> Header:
        parent_hash = self._hash(number - 1) if number else "0x" + "00" * 32
        return Header(number, self._hash(number), parent_hash, self.state.time(number))

    def _hash(self, number: int) -> str:
        salt = next((salt for first, salt in reversed(self.state.branches) if first <= number), "")
        return "0x" + hashlib.sha256(f"{self.state.seed}/{salt}/{number}".encode()).hexdigest()


def _transfers(transactions: Sequence[SandboxTransaction], header: Header) -> tuple[Transfer, ...]:
    return tuple(_transfer(each, header) for each in transactions if each.kind is not TransferKind.INTERNAL)


def _transfer(transaction: SandboxTransaction, header: Header) -> Transfer:
    return Transfer(
        to=transaction.to,
        sender=transaction.sender or PAYER,
        units=transaction.units,
        kind=transaction.kind,
        contract=transaction.contract,
        tx_hash=transaction.hash,
        log_index=transaction.place if transaction.kind is TransferKind.TOKEN else None,
        block_number=header.number,
        block_hash=header.hash,
        block_time=header.time,
    )


def _collected(transactions: Sequence[SandboxTransaction], header: Header) -> tuple[Transfer, ...]:
    """Return what the deposits of a block log of themselves, as on a real chain (`core.collect`)."""
    return tuple(
        replace(_transfer(each, header), kind=TransferKind.INTERNAL, log_index=each.place)
        for each in transactions
        if each.sender is not None
    )


@lru_cache(maxsize=64)
def _nothing(addresses: int) -> bytes:
    """Return the fingerprint of a number of addresses without coins."""
    return fingerprint([0] * addresses)
