"""Mails to payers about refunds, in English: the language of their page isn't kept."""

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.money import format_units
from crypto_checkout.core.refunds.refund import Refund
from crypto_checkout.mail import Letter, MailServer


class PayerMail:
    """Mails from the shop to its payers; answers go to `reply_to`, unless it is empty."""

    def __init__(self, server: MailServer, *, sender: str, shop_name: str, reply_to: str, clock: Clock) -> None:
        self._server = server
        self._sender = sender
        self._shop_name = shop_name
        self._reply_to = reply_to
        self._clock = clock

    async def send_code(self, to: str, refund: Refund, destination: Address, code: str) -> None:
        """Mail a code that proves an address. Raises MessageNotSent."""
        await self._send(
            to,
            f"{code} is your code for a refund",
            f"Someone asked {self._shop_name} to send a refund of {_amount(refund)} to this address:\n\n"
            f"{checksum(destination)}\n\n"
            f"If that was you and the address is yours, enter this code on the page: {code}\n\n"
            "Otherwise, ignore this email and don't share the code.\n",
        )

    async def tell_approved(self, to: str, refund: Refund) -> None:
        """Tell the payer which address a refund goes to. Raises MessageNotSent."""
        assert refund.destination is not None, "it was approved"
        await self._send(
            to,
            "Your refund is approved",
            f"{self._shop_name} will send {_amount(refund)} to this address:\n\n"
            f"{checksum(refund.destination)}\n\n"
            "If this isn't your address, contact the shop at once.\n",
        )

    async def _send(self, to: str, subject: str, text: str) -> None:
        letter = Letter(self._sender, [to], subject, text, sender_name=self._shop_name, reply_to=self._reply_to)
        await self._server.send(letter, self._clock())


def _amount(refund: Refund) -> str:
    return f"{format_units(refund.units, refund.asset.decimals)} {refund.asset.symbol}"
