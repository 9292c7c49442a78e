"""Mails to payers about refunds, sent at once."""

from typing import Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.receipts.mail import MailText
from crypto_checkout.core.refunds.refund import Refund
from crypto_checkout.mail import Letter, MailServer


class RefundTexts(Protocol):
    """Writes the mails in a language; without one that it knows, in English."""

    def refund_code(self, refund: Refund, destination: Address, code: str, language: str) -> MailText:
        """Write the mail with a code that proves an address."""

    def refund_approved(self, refund: Refund, language: str | None) -> MailText:
        """Write the mail that names the address to which a refund goes."""


class PayerMail:
    """Mails from the shop to its payers, written by `texts`; answers go to `reply_to`, unless it is empty."""

    def __init__(
        self, server: MailServer, texts: RefundTexts, *, sender: str, shop_name: str, reply_to: str, clock: Clock
    ) -> None:
        self._server = server
        self._texts = texts
        self._sender = sender
        self._shop_name = shop_name
        self._reply_to = reply_to
        self._clock = clock

    async def send_code(self, to: str, refund: Refund, destination: Address, code: str, language: str) -> None:
        """Mail a code that proves an address. Raises MessageNotSent."""
        await self._send(to, self._texts.refund_code(refund, destination, code, language))

    async def tell_approved(self, to: str, refund: Refund, language: str | None) -> None:
        """Tell the payer which address a refund goes to. Raises MessageNotSent."""
        await self._send(to, self._texts.refund_approved(refund, language))

    async def _send(self, to: str, mail: MailText) -> None:
        letter = Letter(
            self._sender,
            [to],
            mail.subject,
            mail.text,
            html=mail.html,
            sender_name=self._shop_name,
            reply_to=self._reply_to,
        )
        await self._server.send(letter, self._clock())
