"""The channels on which alerts are sent: mail, and a webhook signed like those of events."""

import json
from collections.abc import Sequence
from typing import Protocol

from crypto_checkout.core import ids
from crypto_checkout.core.alerts.alerts import Message
from crypto_checkout.core.errors import MessageNotSent
from crypto_checkout.core.moments import Clock
from crypto_checkout.entropy import Entropy
from crypto_checkout.mail import Letter, MailServer
from crypto_checkout.services.webhooks.dispatcher import AttemptSender
from crypto_checkout.webhooks import signing

_ENTROPY = Entropy()


class Channel(Protocol):
    """A way to send alerts; its `name` stays the same over restarts."""

    @property
    def name(self) -> str:
        """Its name in the log and in the tables."""

    @property
    def target(self) -> str:
        """Its receivers, as shown to the operator."""

    async def send(self, message: Message) -> None:
        """Send a message. Raises MessageNotSent."""


class MailChannel:
    """Alerts by mail."""

    name = "mail"

    def __init__(self, server: MailServer, *, sender: str, to: Sequence[str], clock: Clock) -> None:
        self._server = server
        self._sender = sender
        self._to = to
        self._clock = clock

    @property
    def target(self) -> str:
        """Its receivers, as shown to the operator."""
        return ", ".join(self._to)

    async def send(self, message: Message) -> None:
        """Send a message."""
        await self._server.send(Letter(self._sender, self._to, message.subject, message.text), self._clock())


class WebhookChannel:
    """Alerts by webhook, with the same guard and the same two signatures as an event."""

    name = "webhook"

    def __init__(self, sender: AttemptSender, *, url: str, secret: str, clock: Clock) -> None:
        self._sender = sender
        self._url = url
        self._secret = secret
        self._clock = clock

    @property
    def target(self) -> str:
        """Its receivers, as shown to the operator."""
        return self._url

    async def send(self, message: Message) -> None:
        """Send a message with an id, by which a receiver recognises repetitions."""
        now = self._clock()
        alert_id = ids.make(ids.ALERT, now, _ENTROPY.take(ids.ENTROPY_BYTES))
        data = {"id": alert_id, **message.data, "subject": message.subject, "text": message.text}
        body = json.dumps(data, ensure_ascii=False).encode()
        headers = signing.headers(alert_id, body, [self._secret], int(now.timestamp()))
        outcome = await self._sender.send(self._url, headers, body)
        if not outcome.is_success:
            raise MessageNotSent(f"the webhook took no alert: {outcome.detail}")
