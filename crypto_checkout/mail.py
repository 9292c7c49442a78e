"""Send a mail by SMTP (RFC 5321): over TLS, with STARTTLS (RFC 3207), or unencrypted if configured so."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Literal

from crypto_checkout.core.errors import MailRefused, MessageNotSent

TIMEOUT_SECONDS = 20.0

_PERMANENT = range(500, 600)

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS = re.compile(rf"{_ATOM}(\.{_ATOM})*@[\w-]+(\.[\w-]+)*")
"""A dot-atom (RFC 5322, section 3.4.1) at a domain in any script. The standard parser fails at some others."""

Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail to be sent. `html` is an alternative to the text; an empty `message_id` makes a random one."""

    sender: str
    to: Sequence[str]
    subject: str
    text: str
    html: str = ""
    sender_name: str = ""
    reply_to: str = ""
    message_id: str = ""

    @property
    def domain(self) -> str:
        """The domain of the sender."""
        return self.sender.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class MailServer:
    """The server that takes the mail. Unless `security` is `none`, nothing is ever sent unencrypted."""

    host: str
    port: int
    security: Security
    user: str = ""
    password: str = field(default="", repr=False)
    timeout_seconds: float = TIMEOUT_SECONDS

    async def send(self, letter: Letter, now: datetime) -> None:
        """Send one mail to all recipients.

        Raises MessageNotSent with the reason, which never contains the password, and MailRefused where another attempt
        is in vain.
        """
        import aiosmtplib  # late: a shop without mail doesn't load it

        try:
            mail = _composed(letter, now)
        except ValueError as error:
            raise MailRefused(f"This can't be written into a mail: {_reason(error)}") from None
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
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise self._refused([(each.recipient, each.code, each.message) for each in error.recipients]) from None
        except aiosmtplib.SMTPDataError as error:
            is_permanent = error.code in _PERMANENT
            raise (MailRefused if is_permanent else MessageNotSent)(self._took_none(error)) from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise MessageNotSent(self._took_none(error)) from None
        if refused:
            raise self._refused([(address, code, message) for address, (code, message) in refused.items()])

    def _refused(self, answers: Sequence[tuple[str, int, str]]) -> MessageNotSent:
        """Return the error for refused recipients; it is permanent if all of them are refused for good."""
        said = "; ".join(f"{address}: {code} {message}" for address, code, message in sorted(answers))
        is_permanent = all(code in _PERMANENT for _, code, _ in answers)
        return (MailRefused if is_permanent else MessageNotSent)(f"{self.host}:{self.port} refused {_short(said)}")

    def _took_none(self, error: Exception) -> str:
        return f"{self.host}:{self.port} took no mail: {_reason(error)}"


def _composed(letter: Letter, now: datetime) -> EmailMessage:
    """Write a mail. Raises ValueError for what fits no header: a line break, or an address that is none."""
    for each in filter(None, (letter.sender, letter.reply_to, *letter.to)):
        if not _ADDRESS.fullmatch(each):
            raise ValueError(f'"{each}" is not an address for mail')
    mail = EmailMessage()
    mail["From"] = Address(display_name=letter.sender_name, addr_spec=letter.sender)
    mail["To"] = [Address(addr_spec=each) for each in letter.to]
    if letter.reply_to:
        mail["Reply-To"] = Address(addr_spec=letter.reply_to)
    mail["Subject"] = letter.subject
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = letter.message_id or make_msgid(domain=letter.domain)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
    mail.set_content(letter.text)
    if letter.html:
        mail.add_alternative(letter.html, subtype="html")
    return mail


def _reason(error: Exception) -> str:
    """Return the error in one short line; a server's answer may be long and malformed."""
    code, message = getattr(error, "code", None), getattr(error, "message", "")
    said = str(error) if code is None else f"{code} {message}"
    return _short(said) or type(error).__name__


def _short(text: str) -> str:
    """Return a text as one line that can be stored and shown on a terminal: servers may answer in any bytes."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:200]
