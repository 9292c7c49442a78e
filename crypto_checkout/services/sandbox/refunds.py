"""Approve and pay refunds of test mode, as the owner does with a wallet where money is real."""

import hashlib

from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import RefundNotOpen
from crypto_checkout.core.public.refund_types import RefundResource
from crypto_checkout.core.refunds.refund import DestinationProof, RefundStatus
from crypto_checkout.services.refunds.recognition import RefundPayments
from crypto_checkout.services.refunds.records import find_refund
from crypto_checkout.services.refunds.refunds import Refunds
from crypto_checkout.store.database import WriteUnit

_APPROVABLE = frozenset({RefundStatus.AWAITING_ADDRESS, RefundStatus.AWAITING_APPROVAL})
_DONE = frozenset({RefundStatus.PAID, RefundStatus.CANCELED})


class RefundPayer:
    """The owner of the sandbox's shop; `payments` is the loop that notices what was paid."""

    def __init__(self, refunds: Refunds, payments: RefundPayments) -> None:
        self._refunds = refunds
        self._payments = payments

    def approved(self, unit: WriteUnit, refund_id: str) -> Address:
        """Return the address of a refund, which is approved first unless it is already.

        Raises ResourceNotFound, and RefundNotOpen for one that is paid or canceled.
        """
        refund = find_refund(unit, refund_id, livemode=False)
        if refund.status in _DONE:
            raise RefundNotOpen(f"Refund {refund_id} is {refund.status}: there is nothing to pay.")
        if refund.status in _APPROVABLE:
            destination, proof = refund.destination or _made_up(refund_id), refund.proof
            if refund.destination is None:
                proof = DestinationProof.MERCHANT
            self._refunds.approve(False, refund_id, destination, proof)(unit)
            return destination
        assert refund.destination is not None, "it was approved"
        return refund.destination

    async def paid(self, refund_id: str, tx_hash: str) -> RefundResource:
        """Name the transaction that pays a refund, have it noticed, and return the refund."""
        await self._refunds.name(False, refund_id, tx_hash)
        for _ in range(2):  # seen, and then paid
            await self._payments.turn()
        return await self._refunds.get(False, refund_id)


def _made_up(refund_id: str) -> Address:
    return Address("0x" + hashlib.sha256(refund_id.encode()).hexdigest()[:40])
