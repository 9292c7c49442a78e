"""Gather what some blocks say about sessions: payments, internal transfers, and money that nobody asked for.

Everything that needs the network happens here, before the unit that stores it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.ledger.assess import deep_from
from crypto_checkout.core.ledger.follow import Block, Header
from crypto_checkout.core.ledger.payment import Transfer
from crypto_checkout.log import get_logger
from crypto_checkout.services.ledger import internal_transfers
from crypto_checkout.services.ledger.internal_transfers import InternalTransfers
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.ledger import balances as balance_store
from crypto_checkout.store.ledger import payments, unmatched, unnamed
from crypto_checkout.store.ledger.balances import Balance
from crypto_checkout.store.ledger.unnamed import UnnamedCredit

log = get_logger("evidence")


class TransferEvidence(internal_transfers.BalanceReader, Protocol):
    """What is asked of a chain; see `chain.evm.chain` and `chain.sandbox.chain`."""

    async def succeeded(self, transfers: Sequence[Transfer]) -> list[Transfer]:
        """Keep the transfers that did not revert."""

    def doubt(self, reason: str) -> None:
        """Let the preferred provider rest, if there is another."""

    async def confirm(self, transfers: Sequence[Transfer]) -> None:
        """Return once enough providers have shown these transfers. Raises ProviderFailed."""

    async def confirm_block(self, header: Header) -> None:
        """Return once enough providers have shown this block. Raises ProviderFailed."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What blocks say: what was paid for sessions, what else reached their addresses, and what these should hold."""

    payments: tuple[tuple[Session, Transfer], ...] = ()
    unmatched: tuple[tuple[Session, Transfer], ...] = ()
    balances: tuple[Balance, ...] = ()
    confirmed: tuple[UnnamedCredit, ...] = ()
    withdrawn: tuple[UnnamedCredit, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there is anything to store."""
        return bool(self.payments or self.unmatched or self.balances or self.confirmed or self.withdrawn)

    def as_of(self, unit: WriteUnit, chain_id: int) -> "Evidence":
        """Sort it again by what each session asks for now: its payer may have chosen since this was gathered."""
        asked_for: list[tuple[Session, Transfer]] = []
        others: list[tuple[Session, Transfer]] = []
        for found, transfer in (*self.payments, *self.unmatched):
            session = (sessions.get(unit, found.id) or found) if found.assets else found
            (asked_for if _asks_for(session, transfer, chain_id) else others).append((session, transfer))
        return replace(self, payments=tuple(asked_for), unmatched=tuple(others))

    def store(self, unit: WriteUnit, chain_id: int) -> None:
        """Store all but the payments, which are `services.ledger.judge`'s.

        Credits are taken back before new ones are stored: the same block may show another one by now.
        """
        for credit in self.withdrawn:
            unnamed.take_back(unit, credit)
        for credit in self.confirmed:
            unnamed.confirm(unit, credit)
        for session, transfer in self.unmatched:
            unmatched.record(unit, session.id, chain_id, transfer)
        balance_store.save(unit, chain_id, self.balances)


NOTHING = Evidence()


def _asks_for(session: Session, transfer: Transfer, chain_id: int) -> bool:
    return session.asset.chain_id == chain_id and session.asset.contract == transfer.contract


def take_back(unit: WriteUnit, chain_id: int, above: int) -> None:
    """Take back what the blocks above a number said, all but the payments."""
    unmatched.orphan_above(unit, chain_id, above)
    balance_store.forget_above(unit, chain_id, above)


class EvidenceReader:
    """Gathers the evidence of one chain.

    Payments for sessions of more than `agree_above_fiat`, each in its own currency, need several providers' word where
    the chain is set up so.
    """

    def __init__(
        self, db: Database, chain: TransferEvidence, chain_id: int, *, livemode: bool, agree_above_fiat: Decimal
    ) -> None:
        self._db = db
        self._chain = chain
        self._chain_id = chain_id
        self._agree_above_fiat = agree_above_fiat
        self._balances = InternalTransfers(db, chain, chain_id, livemode)

    async def of(self, start: Header, blocks: Sequence[Block]) -> Evidence:
        """Return what blocks say that follow `start`, those transfers left out that reverted.

        Looking the addresses up after fetching is safe: an address is given out before anybody can pay to it. Raises
        RecoverableError when a node doesn't tell.
        """
        transfers = [transfer for block in blocks for transfer in block.transfers]
        ours = await self._owners({transfer.to for transfer in transfers})
        arrived = await self._chain.succeeded([transfer for transfer in transfers if transfer.to in ours])
        compared = await self._balances.compare(start, blocks, arrived)
        ours = {**ours, **await self._owners({transfer.to for transfer in compared.transfers} - ours.keys())}
        asked_for: list[tuple[Session, Transfer]] = []
        others: list[tuple[Session, Transfer]] = []
        for transfer in (*arrived, *compared.transfers):
            session = ours[transfer.to]
            (asked_for if _asks_for(session, transfer, self._chain_id) else others).append((session, transfer))
        # What is not asked for now may be by the time it is stored, where the payer has a choice.
        may_count = [*asked_for, *((session, t) for session, t in others if session.assets)]
        large = [(session, t) for session, t in may_count if session.fiat.amount > self._agree_above_fiat]
        await self._chain.confirm([transfer for _, transfer in large])
        await self._confirm_depth(start, blocks, large)
        if others:
            log.warning("money came that nobody asked for", chain=self._chain_id, payments=len(others))
        return Evidence(tuple(asked_for), tuple(others), compared.balances, compared.confirmed, compared.withdrawn)

    async def _confirm_depth(
        self, start: Header, blocks: Sequence[Block], large: Sequence[tuple[Session, Transfer]]
    ) -> None:
        """Have the newest of these blocks confirmed that makes a payment deep, if one does.

        Several providers showed the payment when it was found. Since then the chain may have taken it back, and one
        provider alone go on with blocks that the others lack: by these it gets no deeper.
        """
        found = [deep_from(t.block_number, session.terms.required_confirmations) for session, t in large]
        stored = await self._db.read(lambda unit: payments.awaiting_depth(unit, self._chain_id))
        numbers = [*found, *(number for amount, number in stored if amount > self._agree_above_fiat)]
        newest = max((number for number in numbers if start.number < number <= blocks[-1].header.number), default=None)
        if newest is not None:
            await self._chain.confirm_block(blocks[newest - blocks[0].header.number].header)

    async def _owners(self, addresses: set[Address]) -> Mapping[Address, Session]:
        """Return the sessions that own any of these addresses, whatever their chain."""
        if not addresses:
            return {}
        return await self._db.read(lambda unit: sessions.at_addresses(unit, addresses))
