"""Check that no address can be given out twice.

After a restore from an old copy, the next index in the database may be one that was given out already. So the index
moves past every address that a chain shows as used. Where the file beside the database records how far addresses were
given out, that is enough to take payments meanwhile, and while no node answers.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.log import get_logger
from crypto_checkout.services.checkout.payment_methods import Wallet
from crypto_checkout.services.ledger.startup_check import until_passed
from crypto_checkout.store.checkout import wallets
from crypto_checkout.store.database import Database, WriteUnit

log = get_logger("wallets")

WINDOW = 100
"""The number of unused addresses in a row after which all later ones are taken to be unused."""


class AddressUsage(Protocol):
    """A chain that shows which addresses are used; `chain.evm.chain` implements it."""

    async def used(self, addresses: Sequence[Address]) -> set[Address]:
        """Return those of the addresses that the chain has seen."""


class WalletCheck:
    """Checks a wallet against each of its chains, once per start.

    `unready` holds the ids of the chains that haven't passed, with the reason; `services.checkout.payment_methods`
    refuses sessions on them. With `is_recorded` it is empty from the start: the next index is past all that were given
    out, by a record beside the database.
    """

    def __init__(
        self, db: Database, wallet: Wallet, chains: Mapping[int, AddressUsage], *, is_recorded: bool = False
    ) -> None:
        self._db = db
        self._wallet = wallet
        self._chains = chains
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

    async def check(self, chain: AddressUsage) -> int:
        """Move the next index past all addresses that a chain shows as used; return it. Raises RecoverableError."""
        wallet_id = self._wallet.wallet_id
        first = await self._db.read(lambda unit: wallets.next_index(unit, wallet_id))
        while True:
            indices = range(first, first + WINDOW)
            # In a thread: without a native library, deriving a hundred addresses takes half a second.
            addresses = await asyncio.to_thread(self._addresses, indices)
            used = await chain.used([*addresses.values()])
            if not used:
                return first
            indices_used = [index for index, address in addresses.items() if address in used]
            first = await self._db.write(partial(self._move_past, used=indices_used))

    def _move_past(self, unit: WriteUnit, used: Sequence[int]) -> int:
        """Move the next index past the used ones; those below it were given out by this server meanwhile."""
        wallet_id, last = self._wallet.wallet_id, max(used)
        following = wallets.next_index(unit, wallet_id)
        if last < following:
            return following
        wallets.move_past(unit, wallet_id, last)
        log.warning("addresses are used that this database doesn't know; going on behind them", index=last + 1)
        return last + 1

    def _addresses(self, indices: range) -> dict[int, Address]:
        addresses = {}
        for index in indices:
            try:
                addresses[index] = self._wallet.address(index)
            except ValueError:
                continue  # an index without a key (BIP-32)
        return addresses
