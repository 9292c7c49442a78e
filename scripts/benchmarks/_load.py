"""A load generator: many kept-alive connections with one request in flight on each, as asyncio protocols on uvloop.

It parses only the status and the length of an answer, so that it doesn't become the limit itself.
"""

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Load:
    """The load from one process: the same request on each connection, repeated; `expected` begins each answer."""

    port: int
    request: bytes
    expected: bytes
    connections: int
    seconds: float
    warm_up_seconds: float = 0.5


@dataclass(slots=True)
class Tally:
    """The result. `cpu_seconds` shows if the generator itself was the limit."""

    answers: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    unexpected: list[bytes] = field(default_factory=list)


class _Client(asyncio.Protocol):
    def __init__(self, load: Load, tally: Tally) -> None:
        self._load = load
        self._tally = tally
        self._transport: asyncio.WriteTransport | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's do not inherit from it
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not _is_whole(self._received):
            return
        self._tally.answers += 1
        if not self._received.startswith(self._load.expected):
            self._tally.unexpected.append(self._received[:500])
        self._received = b""
        assert self._transport is not None
        self._transport.write(self._load.request)

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None:
            self._tally.unexpected.append(repr(error).encode())


def run(load: Load) -> Tally:
    """Send the load for the given time, after a warm-up that does not count."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(load))


async def _run(load: Load) -> Tally:
    tally = Tally()
    loop = asyncio.get_running_loop()
    transports = [
        (await loop.create_connection(lambda: _Client(load, tally), "127.0.0.1", load.port))[0]
        for _ in range(load.connections)
    ]
    await asyncio.sleep(load.warm_up_seconds)
    before, started, cpu = tally.answers, time.perf_counter(), time.process_time()
    await asyncio.sleep(load.seconds)
    measured = Tally(tally.answers - before, time.perf_counter() - started, time.process_time() - cpu, tally.unexpected)
    for transport in transports:
        transport.close()
    return measured


def _is_whole(answer: bytes) -> bool:
    head_end = answer.find(_HEAD_END)
    length = _LENGTH.search(answer)
    return head_end >= 0 and length is not None and len(answer) >= head_end + len(_HEAD_END) + int(length[1])
