"""Read a receipt with all that it shows: its session, the payments, and the refunds that were paid."""

from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core.errors import ResourceNotFound
from crypto_checkout.core.money import format_minor
from crypto_checkout.core.public import receipts as public
from crypto_checkout.core.public import render
from crypto_checkout.core.public.receipts import ReceiptClaims
from crypto_checkout.core.public.refund_types import RefundResource
from crypto_checkout.core.public.types import FiatResource, SessionResource
from crypto_checkout.core.receipts.receipt import Receipt, is_valid
from crypto_checkout.core.refunds.refund import RefundStatus
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.database import Database, ReadUnit
from crypto_checkout.store.ledger import cursors, payments
from crypto_checkout.store.receipts import receipts as store
from crypto_checkout.store.refunds import refunds


@dataclass(frozen=True, slots=True)
class ShownReceipt:
    """A receipt and its session as they are now; `refunds` are those that were paid.

    `received` is the worth of what was received, at the session's rate: not the price where that was paid in part.
    `language` is that of the payer's page, where it was noted.
    """

    receipt: Receipt
    session: SessionResource
    received: FiatResource
    is_valid: bool
    refunds: tuple[RefundResource, ...]
    language: str | None

    def claims(self, issuer: str, now: datetime) -> ReceiptClaims:
        """Return the claims to sign."""
        return public.claims(
            self.receipt,
            self.session,
            self.received,
            self.refunds,
            is_valid=self.is_valid,
            issuer=issuer,
            now=now,
        )


class ReceiptReader:
    """Reads the receipts of both modes. Knowing the session's id is enough."""

    def __init__(self, db: Database, *, public_url: str) -> None:
        self._db = db
        self.public_url = public_url

    async def of(self, session_id: str) -> ShownReceipt:
        """Return the receipt of a session. Raises ResourceNotFound, also for a session that has none."""
        return await self._db.read(lambda unit: self.read(unit, session_id))

    def read(self, unit: ReadUnit, session_id: str) -> ShownReceipt:
        """Return the receipt of a session within a unit of work, as `of` does."""
        session, receipt = sessions.get(unit, session_id), store.of_session(unit, session_id)
        if session is None or receipt is None:
            raise ResourceNotFound(f"There is no receipt of {session_id[:40]}.")
        tip = cursors.tip(unit, session.asset.chain_id)
        paid = [each for each in refunds.of_session(unit, session_id) if each.status is RefundStatus.PAID]
        return ShownReceipt(
            receipt,
            render.session(session, payments.shown(unit, session, tip), tip, self.public_url),
            {
                "amount": format_minor(session.fiat_minor(session.sums.counted_units), session.fiat.currency),
                "currency": session.fiat.currency,
            },
            is_valid(session),
            tuple(render.refund(each, self.public_url) for each in paid),
            session.payer_language,
        )
