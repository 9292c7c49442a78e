"""Read the balances of addresses that were never compared: what they hold at the last processed block.

There may be a hundred thousand of them, at the start of a large shop. They are read, and stored, some thousands at a
time, so that nobody else waits for them.
"""

import asyncio
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import BalancesRefused, ProviderFailed, StateUnavailable
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.outflow import Outflow, unseen
from crypto_checkout.services.ledger.reading.bisection import HistoricCoins
from crypto_checkout.services.ledger.second_reading import BalanceAgreement
from crypto_checkout.services.ledger.watched_addresses import AddressBalances
from crypto_checkout.store.database import Database, ReadUnit
from crypto_checkout.store.ledger import credits
from crypto_checkout.store.ledger import outflows as outflow_store

_READ_AT_ONCE = 7680
_ADDED_AT_ONCE = 3840
_KNOWN_AT_ONCE = 500


class FirstReader(BalanceAgreement, HistoricCoins, Protocol):
    """A chain as first balances are read from it; `chain.evm.chain` and `chain.sandbox.chain` implement it."""

    async def compare_balances(self, header: Header, held: Mapping[Address, int], known: Mapping[Address, int]) -> None:
        """Raise ProviderFailed if providers contradict each other, or too few show money that isn't in `known`."""


class FirstBalances:
    """Reads the first balances of one chain's addresses. `tolerate` raises a refusal again, unless it came often."""

    def __init__(
        self,
        db: Database,
        chain: FirstReader,
        chain_id: int,
        watched: AddressBalances,
        tolerate: Callable[[BalancesRefused], None],
    ) -> None:
        self._db = db
        self._chain = chain
        self._chain_id = chain_id
        self._watched = watched
        self._tolerate = tolerate

    async def read(self, start: Header) -> list[Outflow]:
        """Read the balances of all unread addresses after a block; return what left them unseen.

        Raises ProviderFailed and ChainMoved.
        """
        # In their order in the table: each part then writes to a few of its pages, not to all of them.
        is_long, found = len(self._watched.unread) > _ADDED_AT_ONCE, list[Outflow]()
        for some in _in_order(self._watched.unread, _READ_AT_ONCE):
            first, left = await self._some(start, some)
            found += left
            has_left = {each.address for each in left}
            for part in _parts(some, _ADDED_AT_ONCE):
                self._watched.add_balances({each: first[each] for each in part})
                if is_long:
                    await self._watched.save_early(start, [each for each in part if each not in has_left])
            await self._watched.take_fingerprints()
        return found

    async def _some(self, start: Header, unread: Sequence[Address]) -> tuple[Mapping[Address, int], list[Outflow]]:
        """Return the balances that addresses had before the first payment of their session, and what left them unseen.

        Nothing else is expected at an unassigned address than what is credited to it: all the rest is found next.
        """
        known, held = await asyncio.gather(
            self._known_coins(unread), self._chain.balances(start, unread), return_exceptions=True
        )
        if isinstance(known, BaseException):
            raise known
        try:
            if isinstance(held, BaseException):
                raise held
            # A balance read too high here would hide a payment later; one read too low would make up a payment.
            await self._chain.compare_balances(start, held, known)
            lower = [address for address in unread if held[address] < known[address]]
            sent = await self._chain.nonces(start, lower) if lower else {}
            await self._read_again(start, {a: units for a, units in held.items() if units > known[a] or sent.get(a)})
        except (StateUnavailable, BalancesRefused) as error:
            if isinstance(error, BalancesRefused):
                self._tolerate(error)
            # A new address is unused (`services.ledger.wallet_check`): all it holds is in the ledger.
            self._watched.take_from_ledger(unread)
            return known, []
        # After a reorg, balances are read again at an older block, when some addresses had been paid. They can hold
        # less than was credited only if they sent transactions. Otherwise the reading is wrong, and with it as the
        # start, the credited money would seem to arrive again.
        from_ledger = [address for address in lower if not sent[address]]
        self._watched.take_from_ledger(from_ledger)
        from_ledger += [a for a in unread if a in self._watched.unassigned and held[a] > known[a]]
        were = await self._known_coins([*sent], up_to=start.number)
        left = [unseen(start, a, were[a] - held[a]) for a in lower if sent[a] and held[a] < were[a]]
        return {**held, **{address: known[address] for address in from_ledger}}, left

    async def _known_coins(self, addresses: Sequence[Address], up_to: int | None = None) -> dict[Address, int]:
        """Return what was credited to each address, less what left it, up to a block if one is named."""
        known: dict[Address, int] = {}
        for some in _parts(addresses, _KNOWN_AT_ONCE):

            def read(unit: ReadUnit, some: Sequence[Address] = some) -> dict[Address, int]:
                left = outflow_store.coins(unit, self._chain_id, some, up_to=up_to)
                come = credits.coins(unit, self._chain_id, some, up_to=up_to).items()
                return {address: max(0, units - left[address]) for address, units in come}

            known |= await self._db.read(read)
        return known

    async def _read_again(self, start: Header, held: Mapping[Address, int]) -> None:
        """Refuse first balances off the ledger that a second reading doesn't confirm: they hide or make up payments."""
        if held and await self._chain.agreed_balances(start, [*held]) != held:
            raise ProviderFailed(f"two readings of the balances at block {start.number} differ")


def _in_order(addresses: Iterable[Address], size: int) -> Iterator[Sequence[Address]]:
    """Yield addresses in their order; to sort a hundred thousand at once would keep all others waiting for 30 ms."""
    left = list(addresses)
    heapq.heapify(left)
    while left:
        yield [heapq.heappop(left) for _ in range(min(size, len(left)))]


def _parts(addresses: Sequence[Address], size: int) -> Iterator[Sequence[Address]]:
    return (addresses[place : place + size] for place in range(0, len(addresses), size))
