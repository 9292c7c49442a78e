"""The merchant's side of a webhook: an HTTP server on a thread that checks each signature."""

import json
import queue
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from crypto_checkout.webhooks import signing


@dataclass(frozen=True, slots=True)
class ReceivedWebhook:
    """A received webhook; `flaw` is the error of its signature, None for a valid one."""

    event: dict[str, Any]
    flaw: str | None


class Receiver:
    """Receives webhooks at `url`; set `secret` once it is known. Use it as a context manager."""

    def __init__(self) -> None:
        self.secret = ""
        self._deliveries: queue.SimpleQueue[ReceivedWebhook] = queue.SimpleQueue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhooks"

    def next(self) -> ReceivedWebhook:
        """Wait for a delivery and return it, oldest first."""
        return self._deliveries.get()

    def take(self, header: str, body: bytes) -> bool:
        """Check a webhook and queue it; return True for a valid signature."""
        flaw = None
        try:
            signing.verify(header, body, self.secret, now=int(time.time()))
        except signing.InvalidSignature as error:
            flaw = str(error)
        self._deliveries.put(ReceivedWebhook(json.loads(body), flaw))
        return flaw is None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class ReceiverHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_genuine = receiver.take(self.headers.get("X-Webhook-Signature", ""), body)
            self.send_response(204 if is_genuine else 400)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Log nothing: webhooks appear in the timeline."""

    return ReceiverHandler
