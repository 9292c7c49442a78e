"""A test mail on request, and what is mailed to whom, for the owner to see."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from crypto_checkout.core.errors import MessageNotSent
from crypto_checkout.core.moments import Clock
from crypto_checkout.mail import Letter, MailServer


@dataclass(frozen=True, slots=True)
class MailTest:
    """The mail as it is configured; `server` is None where none is sent.

    `notices` is `off`, `each` or `daily`, and `owners` get them; `daily_at` tells when.
    """

    server: MailServer | None
    sender: str
    shop_name: str
    to_payers: bool
    notices: str
    owners: Sequence[str]
    daily_at: str
    test_mode: bool
    reply_to: str
    clock: Clock = field(repr=False)

    async def send(self, to: Sequence[str]) -> str | None:
        """Send a test, and return what went wrong; None if the server took it."""
        if self.server is None:
            return "No mail server is configured: smtp_host and from are needed in [mail]."
        letter = Letter(
            self.sender,
            to,
            f"[{self.shop_name}] Test: mail arrives",
            f"This is a test. Mail of {self.shop_name} arrives here.\n",
            sender_name=self.shop_name,
            reply_to=self.reply_to,
        )
        try:
            await self.server.send(letter, self.clock())
        except MessageNotSent as error:
            return str(error)
        return None
