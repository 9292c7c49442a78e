"""Check that no address can be given out twice, at the start and every ten minutes.

After a restore from an old copy, the next index in the database may be one that was given out already. So the index
moves past every address that a chain shows as used. The addresses that it passes are watched from then on
(`store.checkout.unassigned`): money there is an unmatched payment. Where the file beside the database records how far
addresses were given out, that is enough to take payments meanwhile, and while no node answers.

Later, a used address beyond the next index means that another server gives out addresses of the same wallet.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.core.checkout.unassigned_address import UnassignedAddress
from crypto_checkout.core.errors import RecoverableError
from crypto_checkout.core.ledger.balance_groups import ExpectedGroup, fingerprint
from crypto_checkout.core.ledger.follow import Head, Header
from crypto_checkout.log import get_logger
from crypto_checkout.services.checkout.payment_methods import Wallet
from crypto_checkout.services.checkout.unassigned_addresses import derive
from crypto_checkout.services.ledger.startup_check import until_passed
from crypto_checkout.services.loops import every
from crypto_checkout.store.checkout import unassigned, wallets
from crypto_checkout.store.database import Database, WriteUnit

log = get_logger("wallets")

_EVERY_SECONDS = 600.0

WINDOW = 100
"""The number of unused addresses in a row after which all later ones are taken to be unused."""


class AddressUsage(Protocol):
    """A chain that shows which addresses are used; `chain.evm.chain` implements it."""

    async def used(self, addresses: Sequence[Address], *, sends: bool = True) -> set[Address]:
        """Return those of the addresses that the chain has seen; deposits send nothing."""

    async def head(self) -> Head:
        """Return the newest block number."""

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Return the headers at these heights."""

    async def mismatches(self, header: Header, groups: Sequence[ExpectedGroup]) -> list[ExpectedGroup]:
        """Return the groups whose balances after a block differ, or may differ, from the expected ones."""


class WalletCheck:
    """Checks a live wallet against each of its chains.

    `unready` holds the ids of the chains that haven't passed, with the reason; `services.checkout.payment_methods`
    refuses sessions on them. With `is_recorded` it is empty from the start: the next index is past all that were given
    out, by a record beside the database. `foreign` is the newest index that a chain showed as used, although it was
    never given out here; None if there is none.
    """

    def __init__(
        self, db: Database, wallet: Wallet, chains: Mapping[int, AddressUsage], *, is_recorded: bool = False
    ) -> None:
        self._db = db
        self._wallet = wallet
        self._chains = chains
        self.foreign: int | None = None
        reason = "the server is still comparing its wallet with the chain."
        self.unready = {} if is_recorded else dict.fromkeys(chains, reason)

    async def run(self) -> None:
        """Check every chain, repeatedly until it passes."""
        await asyncio.gather(
            *(
                until_passed(self.unready, chain_id, partial(self.check, chain), what="the wallet", chain_id=chain_id)
                for chain_id, chain in self._chains.items()
            )
        )

    async def recheck(self) -> None:
        """Check the next addresses on every chain that has passed, every ten minutes, until cancelled."""
        await every(_EVERY_SECONDS, self._check_ahead_everywhere, log=log, failure="the wallet could not be checked")

    async def check(self, chain: AddressUsage) -> int:
        """Move the next index past all addresses that a chain shows as used; return it. Raises RecoverableError."""
        wallet_id = self._wallet.wallet_id
        first = await self._db.read(lambda unit: wallets.next_index(unit, wallet_id))
        while True:
            indices = range(first, first + WINDOW)
            # In a thread: without a native library, deriving a hundred addresses takes half a second.
            addresses = await asyncio.to_thread(derive, self._wallet, indices, True)
            used = await chain.used([each.address for each in addresses], sends=self._wallet.branch is not None)
            if not used:
                return first
            first = await self._db.write(partial(self._pass, addresses=addresses, used=used))

    async def check_ahead(self, chain: AddressUsage) -> None:
        """Check the chain again if the coins at the next addresses show that one of them is used: one call.

        Raises RecoverableError.
        """
        first = await self._db.read(lambda unit: wallets.next_index(unit, self._wallet.wallet_id))
        addresses = await asyncio.to_thread(derive, self._wallet, range(first, first + WINDOW), True)
        (newest,) = await chain.headers([(await chain.head()).number])
        group = ExpectedGroup(tuple(each.address for each in addresses), fingerprint([0] * len(addresses)))
        if await chain.mismatches(newest, [group]):
            await self.check(chain)

    async def _check_ahead_everywhere(self) -> None:
        for chain_id, chain in self._chains.items():
            if chain_id not in self.unready:
                try:
                    await self.check_ahead(chain)
                except RecoverableError as error:
                    log.info("the wallet could not be compared with the chain", chain=chain_id, error=str(error))

    def _pass(self, unit: WriteUnit, addresses: Sequence[UnassignedAddress], used: Collection[Address]) -> int:
        """Move the next index past the used ones, and record the passed addresses; return the next index.

        Those below it were given out by this server meanwhile. As long as the wallet has given out nothing here, used
        addresses are the owner's own; deposits never are.
        """
        wallet_id = self._wallet.wallet_id
        first = wallets.next_index(unit, wallet_id)
        last = max(each.derivation_index for each in addresses if each.address in used)
        if last < first:
            return first
        wallets.move_past(unit, wallet_id, last)
        is_own = self._wallet.branch is not None and unassigned.is_unused(unit, wallet_id)
        passed = [each for each in addresses if first <= each.derivation_index <= last]
        unassigned.insert(unit, [replace(each, used_before=is_own) for each in passed])
        if not is_own:
            self.foreign = last
            log.critical(
                "addresses are used that this database never gave out: it was restored from an older copy, or another "
                "server uses the same wallet without a label of its own; going on behind them",
                index=last + 1,
            )
        return last + 1
