"""A load generator: many kept-alive connections with one request in flight on each, as asyncio protocols on uvloop.

It parses only the status and the length of an answer, so that it doesn't become the limit itself. `run_wrk` applies the
same load with wrk, another tool.
"""

import asyncio
import json
import random
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_NO_BODY = b"HTTP/1.1 304 "
_WRK_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True, slots=True)
class Load:
    """The load from one process: requests at random on each connection; an answer begins with one of `expected`.

    Without `seconds` each request is sent once.
    """

    port: int
    requests: tuple[bytes, ...]
    expected: tuple[bytes, ...]
    connections: int
    seconds: float | None = None
    warm_up_seconds: float = 0.0


@dataclass(slots=True)
class Tally:
    """The result: what was answered after the warm-up, and with it (`all_answers`).

    `busy` is the share of a processor that the generator itself took, None where that isn't known.
    """

    answers: int = 0
    all_answers: int = 0
    seconds: float = 0.0
    p99_seconds: float = 0.0
    busy: float | None = None
    unexpected: list[str] = field(default_factory=list)


class _Client(asyncio.Protocol):
    def __init__(self, load: Load, requests: Iterator[bytes], latencies: list[float], unexpected: list[str]) -> None:
        self._expected = load.expected
        self._requests = requests
        self._latencies = latencies
        self._unexpected = unexpected
        self._received = b""
        self._sent_at = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's do not inherit from it
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not _is_whole(self._received):
            return
        self._latencies.append(time.perf_counter() - self._sent_at)
        if not self._received.startswith(self._expected):
            self._unexpected.append(repr(self._received[:500]))
        self._received = b""
        self._send()

    def _send(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None:
            self._unexpected.append(repr(error))
        self.done.set_result(None)


def run(load: Load) -> Tally:
    """Apply the load."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(load))


async def _run(load: Load) -> Tally:
    tally, latencies, ends_at = Tally(), list[float](), float("inf")
    if load.seconds is not None:
        ends_at = time.perf_counter() + load.warm_up_seconds + load.seconds
    requests = iter(load.requests) if load.seconds is None else _until(load.requests, ends_at)
    loop = asyncio.get_running_loop()
    clients = [_Client(load, requests, latencies, tally.unexpected) for _ in range(load.connections)]
    started, cpu_seconds = time.perf_counter(), time.process_time()
    unconnected = iter(clients)
    for _ in clients:
        await loop.create_connection(unconnected.__next__, "127.0.0.1", load.port)
    await asyncio.sleep(load.warm_up_seconds)
    if load.warm_up_seconds:
        started, cpu_seconds = time.perf_counter(), time.process_time()
    before = len(latencies)
    await asyncio.gather(*(client.done for client in clients))
    tally.seconds = time.perf_counter() - started
    tally.busy = (time.process_time() - cpu_seconds) / tally.seconds
    tally.answers, tally.all_answers = len(latencies) - before, len(latencies)
    counted = sorted(latencies[before:])
    tally.p99_seconds = counted[int(0.99 * len(counted))] if counted else 0.0
    return tally


def _until(requests: tuple[bytes, ...], ends_at: float) -> Iterator[bytes]:
    picked = repeat(requests[0]) if len(requests) == 1 else (random.choice(requests) for _ in repeat(None))  # noqa: S311
    for request in picked:
        if time.perf_counter() >= ends_at:
            return
        yield request


def _is_whole(answer: bytes) -> bool:
    head_end = answer.find(_HEAD_END)
    length = _LENGTH.search(answer)
    if length is None:
        return head_end >= 0 and answer.startswith(_NO_BODY)
    return len(answer) >= head_end + len(_HEAD_END) + int(length[1])


def run_wrk(load: Load) -> Tally:
    """Apply the load with wrk, which has no warm-up, and looks at the statuses only."""
    lines = ",\n".join(json.dumps(request.decode("ascii")) for request in load.requests)
    script = f"local r = {{{lines}}}\nrequest = function() return r[math.random(#r)] end\n"
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        options = [
            "-t1",
            f"-c{load.connections}",
            f"-d{max(1, round(load.seconds or 1))}s",
            "--latency",
            "-s",
            file.name,
        ]
        said = subprocess.run(
            ["wrk", *options, f"http://127.0.0.1:{load.port}"], capture_output=True, text=True, check=True
        ).stdout
    total = re.search(r"(\d+) requests in ([\d.]+)(\w+),", said)
    p99 = re.search(r" 99%\s+([\d.]+)(\w+)", said)
    assert total is not None, said
    assert p99 is not None, said
    answers, seconds = int(total[1]), float(total[2]) * _WRK_SECONDS[total[3]]
    failures = re.findall(r"Non-2xx or 3xx responses: \d+|Socket errors: .+", said)
    return Tally(answers, answers, seconds, float(p99[1]) * _WRK_SECONDS[p99[2]], None, failures)
