"""Reconcile the ledger with the chains: for each issued address and asset, credited = balance + swept.

Both sides are read at one block of each chain, the last that its watcher has processed:

- credited: all payments in canonical blocks up to it, unmatched ones included;
- balance: the address's balance after that block, of the native coin and of each known token;
- swept: the recorded outflows of the address (`core.ledger.outflow`), whoever moved the money. Where these don't make
  it add up, as for sweeps before they were recorded, the chain is asked: a token's logs, and for the native coin the
  address's own transactions, fees included, whose blocks are found by asking for its nonce at earlier blocks.

Limits: a node that is no archive has no earlier states, so the outflow of an address swept before outflows were
recorded is unknown there; it is listed as unproven, and is no difference. Tokens that were never configured are not
compared.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Protocol
from zlib import crc32

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.diagnosis.reconcile import AddressBalance
from crypto_checkout.core.errors import RecoverableError, StateUnavailable
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.outflow import FEE, VALUE, Outflow
from crypto_checkout.core.ledger.payment import Transfer
from crypto_checkout.services.checkout.payment_methods import AcceptedChain
from crypto_checkout.store.checkout import issued_addresses, sessions, unassigned
from crypto_checkout.store.checkout.issued_addresses import IssuedAddress
from crypto_checkout.store.database import Database, ReadUnit
from crypto_checkout.store.ledger import credits, cursors, outflows
from crypto_checkout.store.ledger.credits import Credit
from crypto_checkout.store.ledger.cursors import Cursor

PAGE = 3_072
"""The number of addresses compared at once: four calls of the most that fit into one."""

_MOST_TRIES = 3
_MOST_NONCES = 4


class HistoricBalances(Protocol):
    """A chain as balances and outflows are read from it; `chain.evm.chain` and `chain.sandbox.chain` implement it."""

    async def balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the balances after a block."""

    async def token_balances(self, header: Header, token: Address, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the balances of a token after a block."""

    async def nonces(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the number of transactions that each address had sent up to a block."""

    async def spent_between(self, first: int, last: Header, address: Address) -> int:
        """Return the total cost of an address's own transactions in the blocks after `first`, up to `last`."""

    async def tokens_sent(
        self, first: int, last: Header, addresses: Sequence[Address], tokens: Sequence[Address] | None = None
    ) -> list[Transfer]:
        """Return the transfers of tokens that addresses sent from block `first` to `last`."""


@dataclass(frozen=True, slots=True)
class ChainComparison:
    """The result for one chain: `block` is the one at which both sides were read, None if it couldn't be completed.

    `differing` has the balances that don't add up, `unproven` those whose outflow no node knows. `problem` is the
    reason if the comparison is incomplete.
    """

    chain_id: int
    name: str
    block: Header | None
    addresses: int
    accounts: int = 0
    differing: tuple[AddressBalance, ...] = ()
    unproven: tuple[AddressBalance, ...] = ()
    problem: str | None = None


@dataclass(slots=True)
class _CreditedSide:
    """The credited amounts of one asset by address, the recorded outflows, and the block of the first credit."""

    units: dict[Address, int] = field(default_factory=lambda: defaultdict(int))
    left: dict[Address, list[Outflow]] = field(default_factory=lambda: defaultdict(list))
    first: dict[Address, int] = field(default_factory=dict)

    def swept(self, address: Address) -> int:
        """Return the sum of what left an address."""
        return sum(each.units for each in self.left.get(address, ()))

    def expected(self, address: Address) -> int:
        """Return the balance that an address should have."""
        return self.units.get(address, 0) - self.swept(address)


@dataclass(frozen=True, slots=True)
class _ComparedAddress:
    """An address with its place among those of its kind, its session if it has one, and its place in the wallet."""

    seq: int
    address: Address
    session_id: str | None
    derivation_index: int
    address_path: str | None


class _Reorganised(Exception):
    """The block at which both sides were read is no longer on the chain."""


class Reconciliation:
    """Compares the chains of one mode. With `since`, only sessions whose grace period ends after it are compared.

    `progress` is called with the chain, the number of addresses done, and their total.
    """

    def __init__(
        self,
        db: Database,
        configured: Sequence[tuple[HistoricBalances, AcceptedChain]],
        *,
        livemode: bool,
        since: datetime | None = None,
        progress: Callable[[AcceptedChain, int, int], None],
    ) -> None:
        self._db = db
        self._configured = configured
        self._livemode = livemode
        self._since = since
        self._progress = progress

    async def run(self) -> list[ChainComparison]:
        """Compare every chain; one that can't be read doesn't keep others from it."""
        return [await self._try(chain, accepted) for chain, accepted in self._configured]

    async def _try(self, chain: HistoricBalances, accepted: AcceptedChain) -> ChainComparison:
        total = await self._db.read(self._total)
        for _ in range(_MOST_TRIES):
            try:
                return await self._compare(chain, accepted, total)
            except _Reorganised:
                problem = "the chain was reorganised again and again while it was read"
            except RecoverableError as error:
                problem = str(error)
                break
        return ChainComparison(accepted.id, accepted.name, None, total, problem=problem)

    async def compare_some(
        self, chain: HistoricBalances, accepted: AcceptedChain, cursor: Cursor, some: Sequence[IssuedAddress]
    ) -> Sequence[AddressBalance] | None:
        """Return the balances of some addresses that differ for certain, with few questions; None after a reorg.

        The outflow of an address isn't searched: what such an address holds less isn't known to be a difference.
        Raises RecoverableError.
        """
        compared = [_compared(each) for each in some]
        page = _Page(self._db, chain, accepted, cursor, compared, is_thorough=False)
        found = await page.compare(await self._assets(accepted))
        if not await self._db.read(lambda unit: cursors.is_unreverted(unit, accepted.id, cursor)):
            return None
        return [each for each in found if each.difference]

    async def _compare(self, chain: HistoricBalances, accepted: AcceptedChain, total: int) -> ChainComparison:
        cursor = await self._db.read(lambda unit: cursors.cursor(unit, accepted.id))
        if cursor is None:
            problem = "no block of it was processed yet: let `crypto-checkout serve` run" if total else None
            return ChainComparison(accepted.id, accepted.name, None, total, problem=problem)
        assets = await self._assets(accepted)
        accounts: list[AddressBalance] = []
        done, compared = 0, 0
        self._progress(accepted, 0, total)
        for read in (self._issued, self._unassigned):
            after = 0
            while page := await self._db.read(partial(read, after=after)):
                accounts += await _Page(self._db, chain, accepted, cursor, page).compare(assets)
                compared += len(page) * len(assets)
                after, done = page[-1].seq, done + len(page)
                self._progress(accepted, done, max(done, total))
        if not await self._db.read(lambda unit: cursors.is_unreverted(unit, accepted.id, cursor)):
            raise _Reorganised
        differing = tuple(each for each in accounts if each.difference)
        unproven = tuple(each for each in accounts if not each.difference and not each.is_proven)
        return ChainComparison(accepted.id, accepted.name, cursor.header, done, compared, differing, unproven)

    def _total(self, unit: ReadUnit) -> int:
        return sessions.count(unit, self._livemode) + unassigned.count(unit, self._livemode)

    def _issued(self, unit: ReadUnit, after: int) -> list[_ComparedAddress]:
        page = issued_addresses.listed(unit, self._livemode, after, PAGE, self._since)
        return [_compared(each) for each in page]

    def _unassigned(self, unit: ReadUnit, after: int) -> list[_ComparedAddress]:
        page = unassigned.watched(unit, self._livemode, after, PAGE)
        return [
            _ComparedAddress(
                place.seq, place.address.address, None, place.address.derivation_index, place.address.address_path
            )
            for place in page
        ]

    async def _assets(self, accepted: AcceptedChain) -> list[Asset]:
        """Return the assets of a chain: the configured ones, and all that sessions ever asked for."""
        used = await self._db.read(lambda unit: sessions.tokens(unit, accepted.id))
        configured = {asset.contract for asset in accepted.assets}
        return [*accepted.assets, *(asset for asset in used if asset.contract not in configured)]


def _compared(issued: IssuedAddress) -> _ComparedAddress:
    return _ComparedAddress(issued.seq, issued.address, issued.session_id, issued.derivation_index, issued.address_path)


class _Page:
    """A page of addresses on one chain. Unless it `is_thorough`, no outflow is searched: that takes many questions."""

    def __init__(
        self,
        db: Database,
        chain: HistoricBalances,
        accepted: AcceptedChain,
        cursor: Cursor,
        page: Sequence[_ComparedAddress],
        *,
        is_thorough: bool = True,
    ) -> None:
        self._db = db
        self._chain = chain
        self._accepted = accepted
        self._cursor = cursor
        self._is_thorough = is_thorough
        self._owners = {each.address: each for each in page}

    async def compare(self, assets: Sequence[Asset]) -> list[AddressBalance]:
        """Return the accounts whose balance isn't just what was credited, and that don't add up or can't be proven."""
        sides = await self._credited()
        addresses, block = [*self._owners], self._cursor.header
        found: list[AddressBalance] = []
        for asset in assets:
            side = sides.get(asset.contract, _CreditedSide())
            if asset.contract is None:
                held = await self._chain.balances(block, addresses)
            else:
                held = await self._chain.token_balances(block, asset.contract, addresses)
            differing = [each for each in addresses if held[each] != side.expected(each)]
            found += await self._accounts(asset, side, {each: held[each] for each in differing})
        return found

    async def _credited(self) -> dict[Address | None, _CreditedSide]:
        addresses = [*self._owners]
        number = self._cursor.number

        def read(unit: ReadUnit) -> tuple[list[Credit], list[Outflow]]:
            left = outflows.at_addresses(unit, self._accepted.id, addresses)
            return credits.up_to(unit, self._accepted.id, number, addresses), left

        rows, left = await self._db.read(read)
        sides: dict[Address | None, _CreditedSide] = defaultdict(_CreditedSide)
        for outflow in left:
            if outflow.block_number <= number:
                sides[outflow.contract].left[outflow.address].append(outflow)
        for row in rows:
            side, address = sides[row.contract], row.address
            side.units[address] += row.units
            side.first[address] = min(row.block_number, side.first.get(address, row.block_number))
        return sides

    async def _accounts(self, asset: Asset, side: _CreditedSide, held: Mapping[Address, int]) -> list[AddressBalance]:
        """Read the outflow of the addresses whose balance differs from the credits; return those that don't add up."""
        if not held:
            return []
        nonces = await self._nonces(side, held)
        if self._is_thorough:
            swept = await self._swept(asset, side, [*held], nonces)
        else:
            swept = {each: None if nonces[each] else side.swept(each) for each in held}
        return [
            AddressBalance(
                chain_id=self._accepted.id,
                chain=self._accepted.name,
                address=address,
                session_id=self._owners[address].session_id,
                derivation_index=self._owners[address].derivation_index,
                address_path=self._owners[address].address_path,
                asset=asset,
                credited=side.units.get(address, 0),
                balance=units,
                has_sent=nonces[address] > 0,
                swept=swept[address],
            )
            for address, units in held.items()
            if swept[address] is None or units + (swept[address] or 0) != side.units.get(address, 0)
        ]

    async def _nonces(self, side: _CreditedSide, held: Mapping[Address, int]) -> Mapping[Address, int]:
        """Return the nonces of addresses; if not thorough, of a few of those that hold less than was credited.

        These are others each time. The rest are taken to have sent something, so that nothing is concluded from them.
        """
        if self._is_thorough:
            return await self._chain.nonces(self._cursor.header, [*held])
        lower = [each for each in held if held[each] < side.expected(each)]
        lower.sort(key=lambda address: crc32(f"{self._cursor.hash}{address}".encode()))
        known = await self._chain.nonces(self._cursor.header, lower[:_MOST_NONCES])
        return {each: known.get(each, 1) for each in held}

    async def _swept(
        self, asset: Asset, side: _CreditedSide, addresses: Sequence[Address], nonces: Mapping[Address, int]
    ) -> dict[Address, int | None]:
        """Return the outflow of each address by the chain, None if no node knows it; 0 for one never credited."""
        block = self._cursor.header
        swept: dict[Address, int | None] = dict.fromkeys(addresses, 0)
        some = [each for each in addresses if each in side.first]
        if asset.contract is not None:
            first = min((side.first[each] for each in some), default=0)
            sent = await self._chain.tokens_sent(first, block, some, [asset.contract]) if some else []
            for address in some:
                swept[address] = sum(each.units for each in sent if each.sender == address)
            return swept
        for address in some:
            # Own transactions are counted by the chain; what left otherwise is only known from the record.
            others = sum(each.units for each in side.left.get(address, ()) if each.log_index not in {VALUE, FEE})
            swept[address] = others
            if nonces[address]:
                try:
                    spent = await self._chain.spent_between(side.first[address] - 1, block, address)
                    swept[address] = spent + others
                except StateUnavailable:
                    swept[address] = None
        return swept
