"""A shop's webhook receiver: a real HTTP server that keeps all requests."""

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

RETRY_SECONDS = [1] * 10 + [10] * 10
"""The pauses of shops whose receivers fail at random: attempts go on for longer than any test lets receivers fail."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request: its headers in lower case, and its body."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The event in the body."""
        event: dict[str, Any] = json.loads(self.body)
        return event


class _Server(ThreadingHTTPServer):
    """Takes more than the usual five connections that wait to be accepted: others would be a second late."""

    request_queue_size = 128
    daemon_threads = True


class Receiver:
    """Answers each request with `status` after a pause, and keeps it in `received`.

    It listens on a free port unless told which. While `answers` is cleared it holds its answers back.
    """

    def __init__(self, status: int = 200, *, port: int = 0, pause_seconds: float = 0.0) -> None:
        self.status = status
        self.received: list[Received] = []
        self.answers = threading.Event()
        self.answers.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append(Received(headers, body))
                time.sleep(pause_seconds)
                receiver.answers.wait()
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def events(self, event_type: str) -> list[dict[str, Any]]:
        """Return the events of a type, as they came."""
        return [each.event for each in list(self.received) if each.event["type"] == event_type]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.answers.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
