"""A fast receiver of webhooks: it records the arrival of each request, and answers 200.

    python -m scripts.benchmarks._receiver [PERCENT]

It prints its port. `GET /` returns the deliveries so far, as JSON: [[webhook-id, Unix seconds], …]; `GET /number`
returns their number. That percentage of requests, at random, gets a 500 instead and isn't recorded.
"""

import asyncio
import json
import random
import re
import sys
import time
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_ID = re.compile(rb"\r\nwebhook-id: (\S+)\r\n", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_FAILED = b"HTTP/1.1 500 Failed\r\nContent-Length: 0\r\n\r\n"

received: list[tuple[str, float]] = []
failing_percent = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._received = b""
        self._began = 0.0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's do not inherit from it

    def data_received(self, data: bytes) -> None:
        if not self._received:
            self._began = time.time()
        self._received += data
        head_end = self._received.find(_HEAD_END)
        if head_end < 0:
            return
        length = _LENGTH.search(self._received)
        if len(self._received) < head_end + len(_HEAD_END) + int(length[1] if length else 0):
            return
        assert self._transport is not None
        self._transport.write(self._answer())
        self._received = b""

    def _answer(self) -> bytes:
        if self._received.startswith(b"GET "):
            body = json.dumps(len(received) if self._received.startswith(b"GET /number") else received).encode()
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        if random.random() * 100 < failing_percent:  # noqa: S311 - no secret
            return _FAILED
        found = _ID.search(self._received)
        received.append((found[1].decode() if found else "", self._began))
        return _OK


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
