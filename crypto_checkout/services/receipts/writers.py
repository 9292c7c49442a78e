"""Write the mails about one payment, when they are due: what they say is what is so then."""

from collections.abc import Callable, Mapping

from crypto_checkout.core.errors import ResourceNotFound
from crypto_checkout.core.receipts import notices
from crypto_checkout.core.receipts.mail import Mail, MailText
from crypto_checkout.core.shop import Shop
from crypto_checkout.services.receipts.reader import ReceiptReader, ShownReceipt
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.database import Database, ReadUnit
from crypto_checkout.store.receipts import receipts

ReceiptText = Callable[[ShownReceipt, str], MailText]
"""Writes a receipt for its payer; the text is the name of the chain."""


class PaymentMails:
    """Writes the payer's receipt, by `receipt_text`, and the owner's notice. `chains` are the chains' names."""

    def __init__(
        self,
        db: Database,
        reader: ReceiptReader,
        receipt_text: ReceiptText,
        shop: Shop,
        chains: Mapping[int, str],
    ) -> None:
        self._db = db
        self._reader = reader
        self._receipt_text = receipt_text
        self._shop = shop
        self._chains = chains

    async def receipt(self, mail: Mail) -> MailText | None:
        """Write a payer's receipt."""
        shown = await self._reader.of(mail.subject_id)
        return self._receipt_text(shown, self._chain(shown.session["chainId"]))

    async def paid(self, mail: Mail) -> MailText | None:
        """Write that a payment was made."""

        def read(unit: ReadUnit) -> MailText:
            session, receipt = sessions.get(unit, mail.subject_id), receipts.of_session(unit, mail.subject_id)
            if session is None or receipt is None:
                raise ResourceNotFound(f"There is no receipt of {mail.subject_id}.")
            return notices.paid(receipt, session, self._chain(session.asset.chain_id), self._shop)

        return await self._db.read(read)

    def _chain(self, chain_id: int) -> str:
        return self._chains.get(chain_id, f"chain {chain_id}")
