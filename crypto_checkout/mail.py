"""Send a mail by SMTP (RFC 5321): over TLS, with STARTTLS (RFC 3207), or unencrypted if configured so."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Literal

from crypto_checkout.core.errors import AlertNotSent

TIMEOUT_SECONDS = 20.0

Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True)
class MailServer:
    """The server that takes the mail. Unless `security` is `none`, nothing is ever sent unencrypted."""

    host: str
    port: int
    security: Security
    user: str = ""
    password: str = field(default="", repr=False)
    timeout_seconds: float = TIMEOUT_SECONDS

    async def send(self, sender: str, to: Sequence[str], subject: str, text: str, now: datetime) -> None:
        """Send one mail to all recipients. Raises AlertNotSent with the reason, which never contains the password."""
        import aiosmtplib  # late: a shop without alerts by mail doesn't load it

        mail = EmailMessage()
        mail["From"] = sender
        mail["To"] = ", ".join(to)
        mail["Subject"] = subject
        mail["Date"] = format_datetime(now)
        mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
        mail.set_content(text)
        try:
            refused, _ = await aiosmtplib.send(
                mail,
                hostname=self.host,
                port=self.port,
                use_tls=self.security == "tls",
                start_tls=self.security == "starttls",
                username=self.user or None,
                password=self.password if self.user else None,
                timeout=self.timeout_seconds,
            )
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise AlertNotSent(f"{self.host}:{self.port} took no mail: {_reason(error)}") from None
        if refused:
            raise AlertNotSent(f"{self.host}:{self.port} refused {', '.join(sorted(refused))}")


def _reason(error: Exception) -> str:
    """Return the error in one short line; a server's answer may be long and malformed."""
    text = " ".join(str(error).split())[:200]
    return text or type(error).__name__
