"""The merchant's side of refunds: make, list, approve and cancel them, and say which transaction pays one.

All refunds of a session that aren't canceled never exceed what its address received and is confirmed, per asset and
chain: that is checked in the unit that stores a refund, and again in the one that approves it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from crypto_checkout.core import ids
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset, Choice
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.diagnosis.explain_transaction import ObservedTransaction
from crypto_checkout.core.errors import InvalidBody, RecoverableError, RefundNotOpen
from crypto_checkout.core.money import format_units, parse_units
from crypto_checkout.core.public.refund_types import RefundResource
from crypto_checkout.core.refunds import recognition
from crypto_checkout.core.refunds.refund import (
    REFUND_STATUSES,
    DestinationProof,
    Refund,
    RefundStatus,
)
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.services.checkout.payment_methods import AcceptedChain, AcceptedChains, ChainsByMode
from crypto_checkout.services.checkout.session_reader import find
from crypto_checkout.services.refunds import destinations
from crypto_checkout.services.refunds.destinations import WrongDestination
from crypto_checkout.services.refunds.records import (
    RefundRecords,
    find_refund,
    is_own_asset,
    refundable_units,
    session_of,
)
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors
from crypto_checkout.store.paging import ListPage, Window
from crypto_checkout.store.refunds import refunds as store

_MOST_TO_PAY = 1000
_LOST_AFTER = timedelta(minutes=10)


class TransactionSource(Protocol):
    """A chain as transactions are read from it; `chain.evm.chain` and `chain.sandbox.view` implement it."""

    async def transaction(self, tx_hash: str) -> ObservedTransaction | None:
        """Return a transaction's effects; None if no node knows it. Raises RecoverableError."""


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """The merchant's data of a new refund.

    `amount` is a decimal of whole coins, None for all that is refundable; the asset is by default the session's.
    """

    session_id: str
    amount: str | None = None
    chain_id: int | None = None
    asset: str | None = None
    reason: str | None = None
    destination: str | None = None


class Refunds:
    """The refunds of both modes; `chains` are the chains of both by their ids, to look at transactions."""

    def __init__(
        self,
        db: Database,
        records: RefundRecords,
        accepted: ChainsByMode[AcceptedChains],
        chains: Mapping[int, TransactionSource],
    ) -> None:
        self._db = db
        self._records = records
        self.accepted = accepted
        self._chains = chains

    def create(self, livemode: bool, new: RefundRequest) -> Callable[[WriteUnit], RefundResource]:
        """Return the unit that stores a new refund.

        The unit raises ResourceNotFound for an unknown session, and InvalidBody, UnsupportedChain or UnsupportedAsset:
        among others for an amount above what is refundable.
        """

        def make(unit: WriteUnit) -> RefundResource:
            session = find(unit, new.session_id, livemode)
            asset = self._asset(session, new)
            confirmations = self.confirmations(session, asset)
            left = refundable_units(unit, session, asset, confirmations)
            destination = self._destination(unit, asset, new.destination)
            refund = Refund(
                id=unit.new_id(ids.REFUND),
                livemode=livemode,
                session_id=session.id,
                asset=asset,
                units=_amount(new.amount, asset, left),
                required_confirmations=confirmations,
                reason=new.reason,
                destination=destination,
                proof=DestinationProof.MERCHANT if destination else DestinationProof.NONE,
                status=RefundStatus.AWAITING_APPROVAL if destination else RefundStatus.AWAITING_ADDRESS,
                created_at=unit.now,
                updated_at=unit.now,
            )
            given = (EventType.REFUND_ADDRESS_GIVEN,) if destination else ()
            return self._records.insert(unit, session, refund, *given)

        return make

    async def get(self, livemode: bool, refund_id: str) -> RefundResource:
        """Return a refund. Raises ResourceNotFound."""
        return self._records.describe(await self._db.read(lambda unit: find_refund(unit, refund_id, livemode)))

    async def listed(self, livemode: bool, filters: store.RefundFilter, window: Window) -> ListPage[RefundResource]:
        """Return a page of refunds."""
        page = await self._db.read(lambda unit: store.listed(unit, livemode, filters, window))
        return page.map(self._records.describe)

    async def to_pay(self, livemode: bool) -> list[Refund]:
        """Return the approved refunds for which no transaction was named, oldest first, at most a thousand."""
        waiting = await self._db.read(lambda unit: store.with_status(unit, livemode, RefundStatus.TO_PAY, _MOST_TO_PAY))
        return [each for each in waiting if each.tx_hash is None]

    def approve(
        self, livemode: bool, refund_id: str, destination: str, proof: DestinationProof
    ) -> Callable[[WriteUnit], RefundResource]:
        """Return the unit that approves a refund to an address, which is fixed from then on.

        For the owner only, after the password: no API key may do this. The unit raises ResourceNotFound, RefundNotOpen,
        and InvalidBody for an address that is not allowed.
        """

        def approve(unit: WriteUnit) -> RefundResource:
            refund = find_refund(unit, refund_id, livemode)
            _check(refund, [RefundStatus.AWAITING_ADDRESS, RefundStatus.AWAITING_APPROVAL], "approved")
            session = session_of(unit, refund)
            if refundable_units(unit, session, refund.asset, refund.required_confirmations) < 0:
                raise RefundNotOpen(
                    f"Refund {refund_id} can't be approved: the network reversed a payment, and the refunds of "
                    f"{refund.session_id} now exceed what is left. Cancel one."
                )
            tip = cursors.tip(unit, refund.asset.chain_id)
            approved = replace(
                refund,
                destination=self._destination(unit, refund.asset, destination),
                proof=proof,
                status=RefundStatus.TO_PAY,
                approved_at=unit.now,
                searched_from=None if tip is None else tip.number,
                updated_at=unit.now,
            )
            return self._records.update(unit, approved, EventType.REFUND_APPROVED)

        return approve

    async def cancel(self, livemode: bool, refund_id: str) -> Callable[[WriteUnit], RefundResource]:
        """Return the unit that cancels a refund that is not paid.

        One whose transaction was named can be canceled only once that is known not to pay it, or after ten minutes in
        which no node knew it: else the money could leave, and be promised a second time. Raises ResourceNotFound; the
        unit raises RefundNotOpen.
        """
        refund = await self._db.read(lambda unit: find_refund(unit, refund_id, livemode))
        may_pay = refund.tx_hash is not None and await self._may_pay(refund, refund.tx_hash)

        def cancel(unit: WriteUnit) -> RefundResource:
            current = find_refund(unit, refund_id, livemode)
            _check(current, [status for status, info in REFUND_STATUSES.items() if info.can_cancel], "canceled")
            is_recent = unit.now - current.updated_at < _LOST_AFTER
            if current.tx_hash is not None and (may_pay or is_recent or current.tx_hash != refund.tx_hash):
                raise RefundNotOpen(
                    f"Refund {refund_id} can't be canceled now: transaction {current.tx_hash} was named as its payment."
                )
            canceled = replace(current, status=RefundStatus.CANCELED, tx_hash=None, updated_at=unit.now)
            return self._records.update(unit, canceled, EventType.REFUND_CANCELED)

        return cancel

    async def paid(self, livemode: bool, refund_id: str, tx_hash: str) -> Callable[[WriteUnit], RefundResource]:
        """Return the unit that notes which transaction pays a refund; the chain decides whether it does.

        Raises ResourceNotFound, and InvalidBody for a transaction that is known to fail, or not to pay it. One that no
        node knows yet is waited for. The unit raises RefundNotOpen.
        """
        refund = await self._db.read(lambda unit: find_refund(unit, refund_id, livemode))
        _check_payable(refund)
        await self._check_transaction(refund, tx_hash)

        def note(unit: WriteUnit) -> RefundResource:
            current = find_refund(unit, refund_id, livemode)
            _check_payable(current)
            return self._records.update(unit, replace(current, tx_hash=tx_hash, updated_at=unit.now))

        return note

    async def name(self, livemode: bool, refund_id: str, tx_hash: str) -> None:
        """Note which transaction pays a refund, as `paid` does; one that was found to be paid already stays so."""
        try:
            await self._db.write(await self.paid(livemode, refund_id, tx_hash))
        except RefundNotOpen:
            current = await self._db.read(lambda unit: find_refund(unit, refund_id, livemode))
            if current.tx_hash != tx_hash:
                raise

    def confirmations(self, session: Session, asset: Asset) -> int:
        """Return the confirmations that money in an asset needs: as many as the session's price asks for there."""
        if is_own_asset(session, asset):
            return session.terms.required_confirmations
        chain = self.chain(asset.chain_id)
        return session.terms.required_confirmations if chain is None else chain.confirmations_for(session.fiat)

    def chain(self, chain_id: int) -> AcceptedChain | None:
        """Return a chain of either mode; None where it is no longer configured."""
        return self.accepted.all_chains().get(chain_id)

    async def _may_pay(self, refund: Refund, tx_hash: str) -> bool:
        """Tell whether a transaction can pay a refund, or already does; True where the chain can't be asked."""
        chain = self._chains.get(refund.asset.chain_id)
        try:
            if chain is not None and await chain.transaction(tx_hash) is None:
                return False
            await self._check_transaction(refund, tx_hash)
        except RecoverableError:
            return True
        except InvalidBody:
            return False
        return True

    async def _check_transaction(self, refund: Refund, tx_hash: str) -> None:
        """Raise InvalidBody for a transaction that is known to fail, or not to pay a refund."""
        chain = self._chains.get(refund.asset.chain_id)
        try:
            observed = None if chain is None else await chain.transaction(tx_hash)
        except RecoverableError:
            return  # the loop asks again
        if observed is None or observed.header is None:
            return
        taken = await self._db.read(lambda unit: store.taken(unit, refund.asset.chain_id, tx_hash))
        problem = recognition.objection(refund, observed.transfers, taken)
        if not observed.has_succeeded:
            problem = "it failed"
        # Without traces a node doesn't show what contracts sent: the loop compares balances then.
        if problem is not None and (observed.is_traced or not observed.has_succeeded or not refund.asset.is_native):
            raise InvalidBody(f"txHash: {tx_hash} doesn't pay this refund: {problem}.", param="txHash")

    def _asset(self, session: Session, new: RefundRequest) -> Asset:
        chain_id = new.chain_id or session.asset.chain_id
        if chain_id == session.asset.chain_id and new.asset in {None, session.asset.symbol}:
            return session.asset
        accepted = self.accepted.of(session.livemode)
        if new.asset is None:
            return accepted.chain(chain_id).asset(None)
        return accepted.asset(Choice(chain_id, new.asset))

    def _destination(self, unit: ReadUnit, asset: Asset, text: str | None) -> Address | None:
        if text is None:
            return None
        try:
            address = destinations.read(text)
            destinations.check(unit, self.accepted, asset.chain_id, address)
        except WrongDestination as error:
            raise InvalidBody(f"destination: {error}.", param="destination") from None
        return address


def _amount(text: str | None, asset: Asset, left: int) -> int:
    """Read the amount of a refund; all that is left for None. Raises InvalidBody for more than that, or nothing."""
    shown = f"{format_units(max(0, left), asset.decimals)} {asset.symbol}"
    if text is None:
        if left <= 0:
            raise InvalidBody("amount: nothing received for this session is left to refund.", param="amount")
        return left
    try:
        units = parse_units(text, asset.decimals)
    except ValueError as error:
        raise InvalidBody(f"amount: {error}.", param="amount") from None
    if units <= 0:
        raise InvalidBody("amount: must be more than zero.", param="amount")
    if units > left:
        raise InvalidBody(f"amount: only {shown} can still be refunded for this session.", param="amount")
    return units


def _check(refund: Refund, allowed: list[RefundStatus], done: str) -> None:
    if refund.status not in allowed:
        raise RefundNotOpen(f"Refund {refund.id} is {refund.status}: only {', '.join(allowed)} can be {done}.")


def _check_payable(refund: Refund) -> None:
    _check(refund, [RefundStatus.TO_PAY], "paid")
