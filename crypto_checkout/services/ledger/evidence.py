"""Gather the evidence in blocks: payments, unmatched payments, outflows, and balances.

The chain is asked before the unit of work that stores the evidence, never within it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol, TypeGuard

from crypto_checkout.core.address import Address
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.ledger.assess import deep_from
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.outflow import Outflow
from crypto_checkout.core.ledger.payment import Transfer
from crypto_checkout.log import get_logger
from crypto_checkout.services.ledger import internal_transfers
from crypto_checkout.services.ledger.internal_transfers import InternalTransfers
from crypto_checkout.services.ledger.reading.owners import Owner, owners
from crypto_checkout.services.ledger.reading.stretch import Stretch
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.ledger import balances as balance_store
from crypto_checkout.store.ledger import late_pages, payments, unmatched, unnamed
from crypto_checkout.store.ledger import outflows as outflow_store
from crypto_checkout.store.ledger.balances import Balance
from crypto_checkout.store.ledger.unnamed import UnnamedCredit

log = get_logger("evidence")


class TransferEvidence(internal_transfers.BalanceReader, Protocol):
    """A chain as evidence is read from it; `chain.evm.chain` and `chain.sandbox.chain` implement it."""

    confirm_with: int
    """The number of providers that `confirm` requires; 1 if it does nothing."""

    def doubt(self, reason: str) -> None:
        """Rest the preferred provider, if there is another."""

    async def confirm_block(self, header: Header) -> None:
        """Return once enough providers have shown this block. Raises ProviderFailed."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The transfers that sessions ask for, the others that reached our addresses, the new expected balances, outflows.

    `confirmed` and `withdrawn` are unnamed credits of earlier blocks that count from now on, or no longer.
    `is_compared` tells whether balances were compared after the last block; None where there were none to compare.
    """

    payments: tuple[tuple[Session, Transfer], ...] = ()
    unmatched: tuple[tuple[Owner, Transfer], ...] = ()
    balances: tuple[Balance, ...] = ()
    confirmed: tuple[UnnamedCredit, ...] = ()
    withdrawn: tuple[UnnamedCredit, ...] = ()
    is_compared: bool | None = None
    outflows: tuple[tuple[Owner, Outflow], ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there is anything to store."""
        found = self.payments or self.unmatched or self.balances or self.confirmed or self.withdrawn or self.outflows
        return bool(found)

    def as_of(self, unit: WriteUnit, chain_id: int) -> "Evidence":
        """Sort the transfers again by the sessions as they are now: a payer may have chosen an asset meanwhile."""
        arrived = (*self.payments, *self.unmatched)
        may_have_chosen = sessions.by_ids(unit, {found.id for found, _ in arrived if _may_choose(found)})
        current = [
            (may_have_chosen.get(found.id, found) if _may_choose(found) else found, transfer)
            for found, transfer in arrived
        ]
        payments, others = _sorted(current, chain_id)
        return replace(self, payments=payments, unmatched=others)

    def store(self, unit: WriteUnit, chain_id: int) -> None:
        """Store all but the payments and the unmatched ones, which `services.ledger.judge` records.

        Credits are taken back before new ones are stored: the same block may show another one by now.
        """
        for credit in self.withdrawn:
            unnamed.take_back(unit, credit)
        for credit in self.confirmed:
            unnamed.confirm(unit, credit)
        balance_store.save(unit, chain_id, self.balances)
        for owner, outflow in self.outflows:
            session_id = owner.id if isinstance(owner, Session) else None
            outflow_store.record(unit, chain_id, session_id, owner.livemode, outflow)


NOTHING = Evidence()


def _sorted(
    arrived: Iterable[tuple[Owner, Transfer]], chain_id: int
) -> tuple[tuple[tuple[Session, Transfer], ...], tuple[tuple[Owner, Transfer], ...]]:
    """Return the transfers that their sessions ask for, and the others."""
    asked_for: list[tuple[Session, Transfer]] = []
    others: list[tuple[Owner, Transfer]] = []
    for owner, transfer in arrived:
        if isinstance(owner, Session) and (owner.asset.chain_id, owner.asset.contract) == (chain_id, transfer.contract):
            asked_for.append((owner, transfer))
        else:
            others.append((owner, transfer))
    return tuple(asked_for), tuple(others)


def _identity(transfer: Transfer) -> tuple[str, str | None, int | None, Address]:
    """Return the features of a transfer that two readings of it share."""
    return (transfer.block_hash, transfer.tx_hash, transfer.log_index, transfer.to)


def _may_choose(owner: Owner) -> TypeGuard[Session]:
    """Tell whether an address has a session whose payer has a choice of assets."""
    return isinstance(owner, Session) and bool(owner.assets)


def take_back(unit: WriteUnit, chain_id: int, above: int) -> None:
    """Take back the evidence of the blocks above a number, all but the payments."""
    unmatched.orphan_above(unit, chain_id, above)
    outflow_store.orphan_above(unit, chain_id, above)
    balance_store.forget_above(unit, chain_id, above)
    late_pages.take_back(unit, chain_id, above)


class EvidenceReader:
    """Gathers the evidence of one chain.

    Payments of sessions whose price is above `agree_above_fiat`, each in its own currency, need the agreement of
    several providers where the chain is set up for that.
    """

    def __init__(
        self,
        db: Database,
        chain: TransferEvidence,
        chain_id: int,
        balances: InternalTransfers,
        *,
        agree_above_fiat: Decimal,
    ) -> None:
        self._db = db
        self._chain = chain
        self._chain_id = chain_id
        self._agree_above_fiat = agree_above_fiat
        self._balances = balances

    async def of(self, stretch: Stretch) -> Evidence:
        """Return the evidence in a stretch of blocks, without the transfers that reverted.

        The owners of addresses are read after the blocks were fetched. That misses no payment: an address is stored
        before it is given out, so no block can pay it earlier. Raises RecoverableError when a node can't answer.
        """
        transfers = await stretch.transfers()
        ours = await owners(self._db, {transfer.to for transfer in transfers})
        succeeded = await self._chain.succeeded([transfer for transfer in transfers if transfer.to in ours])
        arrived = await self._chain.prove(succeeded)
        compared = await self._balances.compare(stretch, arrived)
        left = {transfer.to for transfer in compared.transfers}.union(each.address for each in compared.outflows)
        ours = {**ours, **await owners(self._db, left - ours.keys())}
        known = {_identity(transfer) for transfer in arrived}
        more = await self._chain.prove([each for each in compared.transfers if _identity(each) not in known])
        pairs = [(ours[transfer.to], transfer) for transfer in (*arrived, *more)]
        asked_for, others = _sorted(pairs, self._chain_id)
        # Where the payer can still choose an asset, a transfer may be asked for by the time it is stored (`as_of`).
        may_count = [*asked_for, *((owner, t) for owner, t in others if _may_choose(owner))]
        large = [(session, t) for session, t in may_count if session.fiat.amount > self._agree_above_fiat]
        await self._chain.confirm([transfer for _, transfer in large])
        if self._chain.confirm_with > 1:
            agreed = {transfer: replace(transfer, agreeing=self._chain.confirm_with) for _, transfer in large}
            asked_for, others = _sorted([(owner, agreed.get(t, t)) for owner, t in pairs], self._chain_id)
        await self._confirm_depth(stretch, large)
        await stretch.verify()
        if others:
            log.warning("money came that nobody asked for", chain=self._chain_id, payments=len(others))
        outflows = tuple((ours[each.address], each) for each in compared.outflows)
        return Evidence(
            asked_for, others, compared.balances, compared.confirmed, compared.withdrawn, compared.is_compared, outflows
        )

    async def _confirm_depth(self, stretch: Stretch, large: Sequence[tuple[Session, Transfer]]) -> None:
        """Have several providers confirm the newest of these blocks that makes a large payment deep, if one does.

        They agreed on the payment when it was found. Since then the chain may have dropped it, and a single provider
        may go on with blocks that the others don't have: those must not make it deep.
        """
        if self._chain.confirm_with == 1:
            return
        first, last = stretch.start.number + 1, stretch.last.number
        found = [max(first, deep_from(t.block_number, session.terms.required_confirmations)) for session, t in large]
        stored = await self._db.read(lambda unit: payments.awaiting_depth(unit, self._chain_id))
        numbers = [*found, *(number for amount, number in stored if amount > self._agree_above_fiat)]
        newest = max((number for number in numbers if first <= number <= last), default=None)
        if newest is not None:
            await self._chain.confirm_block(await stretch.header(newest))
