"""Read again the balances from which payments were inferred, once a later block exists.

A node may answer for its newest block with the state of the next one, or with a state that it drops again. So money
that only a balance shows is provisional: a rise becomes an unnamed credit that doesn't count yet, and a fall that no
transaction explains is only remembered. With the next blocks both are read again, by hash, from all providers that
answer:

- a credit whose balance is read the same counts from then on; one whose balance isn't is taken back;
- a fall that is read the same takes back the newest unnamed credits of its address, if that can't have lost anything:
  an address that never sent a transaction nor delegated to code (EIP-7702 raises the nonce too) has a nonce of 0;
- of any other address the coins left unseen (`core.ledger.outflow`), as when a sponsor sweeps an account with foreign
  code: less is expected from then on, so that later payments show. Payments by contracts in the same turn as such an
  outflow are found only as far as they exceed it.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import BalancesRefused, StateUnavailable
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.money import CoinUnits
from crypto_checkout.log import get_logger
from crypto_checkout.services.ledger.watched_addresses import WatchedAddresses
from crypto_checkout.store.database import Database, ReadUnit
from crypto_checkout.store.ledger import balances, unnamed
from crypto_checkout.store.ledger.balances import Balance
from crypto_checkout.store.ledger.unnamed import UnnamedCredit

log = get_logger("balances")


class BalanceAgreement(Protocol):
    """A chain as balances are read again from it; `chain.evm.chain` and `chain.sandbox.chain` implement it."""

    async def agreed_balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the balances after a block, without those on which providers differ. Raises StateUnavailable."""

    async def nonces(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return the number of transactions that each address had sent up to a block. Raises StateUnavailable."""


@dataclass(frozen=True, slots=True)
class Review:
    """The outcome of a second reading.

    `agreed` credits were read the same again, `unreadable` ones are in blocks whose state no node has any more, and
    `withdrawn` ones are contradicted by the chain. `outflows` are the amounts that addresses have lost. `balances` are
    the lower expected balances of addresses with withdrawn credits that are no longer watched.
    """

    agreed: tuple[UnnamedCredit, ...] = ()
    unreadable: tuple[UnnamedCredit, ...] = ()
    withdrawn: tuple[UnnamedCredit, ...] = ()
    outflows: Mapping[Address, int] = field(default_factory=dict)
    balances: tuple[Balance, ...] = ()

    def confirmed(self, *, is_read: bool) -> tuple[UnnamedCredit, ...]:
        """Return the credits that count from now on; unreadable ones do if the last block can be read."""
        return (*self.agreed, *self.unreadable) if is_read else self.agreed


class SecondReading:
    """Reads the doubtful balances of one chain again."""

    def __init__(self, db: Database, chain: BalanceAgreement, chain_id: int, watched: WatchedAddresses) -> None:
        self._db = db
        self._chain = chain
        self._chain_id = chain_id
        self._watched = watched
        self._fallen: tuple[str, frozenset[Address]] = ("", frozenset())

    def remember_falls(self, block: Header, addresses: Collection[Address]) -> None:
        """Note the addresses whose balance is too low at a block, to be read again in the next turn."""
        self._fallen = (block.hash, frozenset(addresses))

    async def review(self, start: Header, late: Mapping[Address, int]) -> Review:
        """Read again all that rests on one reading; `start` is the last processed block, and has a successor by now.

        `late` are the coins of which this turn has found out how they left earlier.

        Raises ChainMoved and ProviderFailed when a balance can't be read.
        """
        waiting = await self._db.read(lambda unit: unnamed.provisional(unit, self._chain_id), quick=True)
        agreed: list[UnnamedCredit] = []
        unreadable: list[UnnamedCredit] = []
        withdrawn: list[UnnamedCredit] = []
        outflows: dict[Address, int] = {}
        for block, credits in _by_block(waiting).items():
            held = await self._held(block, [credit.address for credit in credits])
            for credit in credits:
                if held is None:
                    unreadable.append(credit)
                elif credit.address in held:
                    is_same = held[credit.address] == credit.provisional_balance
                    (agreed if is_same else withdrawn).append(credit)
        for address, (units, can_have_left) in (await self._missing(start, withdrawn, late)).items():
            # What was read the same again is there. Only if nothing can have left, any credit may be the wrong one.
            unread = [each for each in unreadable if each.address == address]
            credits = unread if can_have_left else await self._credits(address)
            contradicted = newest_credits(credits, units, but=withdrawn)
            withdrawn += contradicted
            left = units - sum(credit.units for credit in contradicted)
            if can_have_left and left > 0:
                outflows[address] = left
        if withdrawn:
            log.warning("unnamed credits are taken back", chain=self._chain_id, payments=len(withdrawn))
        if outflows:
            log.info(
                "coins left without a transaction", chain=self._chain_id, block=start.number, addresses=len(outflows)
            )
        kept = [credit for credit in agreed if credit not in withdrawn]
        unreadable = [credit for credit in unreadable if credit not in withdrawn]
        return Review(tuple(kept), tuple(unreadable), tuple(withdrawn), outflows, await self._unwatched(withdrawn))

    async def _unwatched(self, withdrawn: Sequence[UnnamedCredit]) -> tuple[Balance, ...]:
        """Return the expected balances without these credits at addresses that only the slow round looks at."""
        taken = Counter[Address]()
        for credit in withdrawn:
            if credit.address not in self._watched.holdings.units:
                taken[credit.address] += credit.units

        def read(unit: ReadUnit) -> list[Balance]:
            return [each for address in taken if (each := balances.stored(unit, self._chain_id, address)) is not None]

        found = await self._db.read(read) if taken else []
        return tuple(replace(each, units=CoinUnits(max(0, each.units - taken[each.address]))) for each in found)

    async def _credits(self, address: Address) -> list[UnnamedCredit]:
        return await self._db.read(lambda unit: unnamed.at_addresses(unit, self._chain_id, [address]))

    async def _missing(
        self, start: Header, withdrawn: Sequence[UnnamedCredit], late: Mapping[Address, int]
    ) -> dict[Address, tuple[int, bool]]:
        """Return the amount that is missing again at each address that fell, and whether it can have lost it."""
        block_hash, addresses = self._fallen
        units = self._watched.holdings.units
        expected = {each: units[each] for each in addresses if each in units}
        if block_hash != start.hash or not expected:
            return {}
        try:
            nonces = await self._chain.nonces(start, [*expected])
            held = await self._chain.agreed_balances(start, [*expected])
        except (StateUnavailable, BalancesRefused):
            return {}
        taken = Counter[Address](late)
        for credit in withdrawn:
            taken[credit.address] += credit.units
        return {each: (expected[each] - now - taken[each], nonces[each] > 0) for each, now in held.items()}

    async def _held(self, block: Header, addresses: Sequence[Address]) -> Mapping[Address, int] | None:
        """Return the balances on which all providers agree; None if none has the state of that block any more."""
        try:
            return await self._chain.agreed_balances(block, addresses)
        except StateUnavailable:
            return None
        except BalancesRefused:
            return {}  # the credits wait


def newest_credits(
    credits: Sequence[UnnamedCredit], units: int, *, but: Collection[UnnamedCredit] = ()
) -> list[UnnamedCredit]:
    """Return the newest of these credits, given oldest first, until they add up to an amount."""
    found: list[UnnamedCredit] = []
    for credit in reversed(credits):
        if credit not in but and units > 0:
            found.append(credit)
            units -= credit.units
    return found


def _by_block(credits: Sequence[UnnamedCredit]) -> Mapping[Header, list[UnnamedCredit]]:
    found = defaultdict[Header, list[UnnamedCredit]](list)
    for credit in credits:
        found[credit.block].append(credit)
    return found
