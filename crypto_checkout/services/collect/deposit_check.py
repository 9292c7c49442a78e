"""Check at the start that each chain can have deposits, before any is given out there.

The contracts must be there with the bytes that we know, the chain must compute addresses as we do, and the destination
must take its coin. A destination that is a contract on one chain and nothing on another has its deposits only where it
exists. A chain that passed at an earlier start is refused only once something contradicts it.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Protocol

from crypto_checkout.core.collect import readiness
from crypto_checkout.core.collect.deposits import Deposits
from crypto_checkout.core.collect.readiness import DepositFacts
from crypto_checkout.services.ledger.startup_check import Contradiction, until_passed
from crypto_checkout.store.collect import deposits as store
from crypto_checkout.store.collect.deposits import ChainFound
from crypto_checkout.store.database import Database

_PUBLIC = "money could not be collected from addresses there now; the server's log has the reason."


class DepositReader(Protocol):
    """A chain that shows the contracts that collect; `chain.evm.chain` implements it."""

    async def deposit_facts(self, deposits: Deposits) -> DepositFacts:
        """Return what the chain shows. Raises ProviderFailed."""


class DepositCheck:
    """Checks a wallet of cold-address mode on each of its chains, once per start.

    `unready` holds the ids of the chains that haven't passed, with the reason; `services.checkout.payment_methods`
    refuses sessions on them. `earlier` is what was found before this start. `reasons` has the whole reason for each
    chain that contradicts, for the owner.
    """

    def __init__(
        self,
        db: Database,
        deposits: Deposits,
        chains: Mapping[int, DepositReader],
        names: Mapping[int, str],
        earlier: Mapping[int, ChainFound],
    ) -> None:
        self._db = db
        self._deposits = deposits
        self._chains = chains
        self._names = names
        self._has_code = {chain_id: found.has_code for chain_id, found in earlier.items() if chain_id in chains}
        self.reasons: dict[int, str] = {}
        reason = "the server is still looking whether money can be collected there."
        self.unready = {
            chain_id: reason for chain_id in chains if chain_id not in earlier or not earlier[chain_id].passed
        }

    async def run(self) -> None:
        """Check every chain, repeatedly until it passes."""
        what = "the contracts that collect"
        await asyncio.gather(
            *(
                until_passed(self.unready, chain_id, partial(self._check, chain_id), what=what, chain_id=chain_id)
                for chain_id in self._chains
            )
        )

    async def _check(self, chain_id: int) -> None:
        facts = await self._read(chain_id)
        problem = readiness.problem(facts, self._deposits.destination) or await self._only_elsewhere(chain_id)
        found = ChainFound(facts.has_code, passed=problem is None)
        await self._db.write(lambda unit: store.record_chain(unit, self._deposits.wallet_id, chain_id, found))
        if problem is None:
            self.reasons.pop(chain_id, None)
            return
        self.reasons[chain_id] = problem
        raise Contradiction(
            f"[wallet] cold_address: {problem} No session is made on {self._names[chain_id]}.", public=_PUBLIC
        )

    async def _only_elsewhere(self, chain_id: int) -> str | None:
        """Return why a chain without the destination's code is refused; each other chain is asked if it never was."""
        if self._has_code[chain_id]:
            return None
        for other in self._chains:
            if other not in self._has_code:
                await self._read(other)
        elsewhere = [self._names[other] for other in self._chains if self._has_code[other]]
        return readiness.only_elsewhere(self._deposits.destination, elsewhere[0]) if elsewhere else None

    async def _read(self, chain_id: int) -> DepositFacts:
        facts = await self._chains[chain_id].deposit_facts(self._deposits)
        self._has_code[chain_id] = facts.has_code
        return facts
