"""A real mail server on this machine, which keeps all mails."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from subprocess import run
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.waiting import WAIT_SECONDS

USER, PASSWORD = "shop", "correct horse"


@dataclass
class Mailbox:
    """The received mails; `refusal` is the server's answer instead of accepting one, as in "451 come back later"."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    refusal: str | None = None

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        if self.refusal is not None:
            return self.refusal
        content = cast("bytes", envelope.content)
        self.mails.append(message_from_bytes(content, policy=policy.default))
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 OK"

    def text(self, place: int = -1) -> str:
        """Return the text of a mail."""
        body = self.mails[place].get_body(("plain",))
        assert body is not None, "every mail has a text"
        return str(body.get_content())


class _Controller(Controller):
    """A controller that takes a free port: aiosmtpd's own connects to the number that it was told."""

    def _trigger_server(self) -> None:
        server = self.server
        assert server is not None
        self.port = cast("Any", server).sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def mailbox(certificate: Path | None = None, *, security: str = "none", sign_in: bool = False) -> Iterator[Mailbox]:
    """Run a mail server on a free port; with a certificate (and key, in one file) it offers TLS."""
    box = Mailbox()
    options: dict[str, Any] = {}
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        if security == "starttls":
            options |= {"tls_context": context, "require_starttls": True}
    if sign_in:
        # aiosmtpd counts STARTTLS as TLS, and nothing else.
        options |= {"authenticator": _authenticate, "auth_require_tls": security == "starttls"}
    controller = _Controller(
        box,
        hostname="127.0.0.1",
        port=0,
        ssl_context=context if security == "tls" else None,
        ready_timeout=WAIT_SECONDS,
        **options,
    )
    controller.start()
    try:
        box.port = controller.port
        yield box
    finally:
        controller.stop()


def make_certificate(folder: Path) -> Path:
    """Make a certificate for this machine, with its key, in one file."""
    path, key = folder / "server.pem", folder / "key.pem"
    run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", str(key), "-out", str(path)],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


def _authenticate(_: SMTP, __: Session, ___: Envelope, ____: str, given: object) -> AuthResult:
    is_known = isinstance(given, LoginPassword) and given == LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=is_known, handled=is_known)
