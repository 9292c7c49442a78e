"""Issue the receipt of a session, and put its mails into the outbox, in the unit of work that settles the session."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.receipts.mail import Mail, MailKind
from crypto_checkout.core.receipts.receipt import Seller
from crypto_checkout.store.checkout import links
from crypto_checkout.store.database import WriteUnit
from crypto_checkout.store.receipts import mails, receipts


def _no_wake() -> None:
    """Wake nobody: the sender of another process finds the rows when it polls."""


@dataclass(frozen=True, slots=True)
class MailPolicy:
    """The mails to write: the payer's receipt if `to_payers`, and one to each address in `owners` for a payment."""

    to_payers: bool = False
    owners: Sequence[str] = ()
    test_mode: bool = False

    def covers(self, livemode: bool) -> bool:
        """Tell whether a mode sends mail at all."""
        return livemode or self.test_mode


class ReceiptIssuer:
    """The writing side of receipts; after a commit with a mail, `wake` wakes the sender."""

    def __init__(
        self, seller: Seller | None = None, policy: MailPolicy | None = None, wake: Callable[[], None] = _no_wake
    ) -> None:
        self._seller = seller or Seller()
        self.policy = policy or MailPolicy()
        self._wake = wake

    def settle(self, unit: WriteUnit, session: Session, *, is_first: bool) -> Session:
        """Return a session that became settled with the number of its receipt, which is issued the first time only.

        A session that was settled before there were receipts has none.
        """
        if not is_first:
            if session.receipt_number is not None:
                mails.release(unit, session.id, session.livemode)
                unit.after_commit(self._wake)
            return session
        link = None if session.link_id is None else links.get(unit, session.link_id, session.livemode)
        receipt = receipts.issue(unit, session, None if link is None else link.title, self._seller)
        self._write_mails(unit, session)
        return replace(session, receipt_number=receipt.name)

    def _write_mails(self, unit: WriteUnit, session: Session) -> None:
        if not self.policy.covers(session.livemode):
            return
        email = session.options.customer_email
        wanted = {
            MailKind.RECEIPT: email if self.policy.to_payers else None,
            MailKind.PAID: ",".join(self.policy.owners),
        }
        for kind, recipients in wanted.items():
            if recipients:
                mails.add(unit, Mail(session.livemode, kind, session.id, recipients, unit.now, unit.now))
                unit.after_commit(self._wake)
