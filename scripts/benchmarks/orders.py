"""Whole orders: what one costs, how many a second a server takes, and how many a day that is.

    scripts/bench orders [--orders 500] [--polls 48] [--cores 1]

An order: the shop creates a session; the payer opens the page, which asks for the status as often as in two minutes;
the session is paid on the simulated chain; the shop's endpoint gets its three events, and the shop reads the session.
Eight orders are under way at a time, without pauses. `--cores` pins the server to so many processors, and the load to
the others, or to all where there are no others.

A day's orders are those with which the server is busy for half of the time in the busiest hour, which has a tenth of
them.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from scripts.benchmarks._figures import cpu_seconds, print_machine
from scripts.benchmarks.deliveries import number_of, receiver
from scripts.benchmarks.requests import ROOT, Shop, address, request
from tests.support.waiting import wait_until

AT_ONCE = 8
EVENTS = ("session.created", "session.detected", "session.paid")
HALF, BUSIEST_HOUR, HOUR_SECONDS = 0.5, 0.1, 3600


class Connection:
    """A kept-alive connection of somebody's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, message: bytes) -> tuple[str, bytes]:
        """Send a request; return the head and the body of its answer, which must be no error."""
        self._writer.write(message)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
        body = await self._reader.readexactly(int(length[1]) if length else 0)
        assert re.match(r"HTTP/1\.1 [23]\d\d ", head), f"{head}{body[:300]!r}"
        return head, body


async def order(shop: Shop, line: Connection, number: int, polls: int) -> None:
    """Go through one order."""
    created = json.loads((await line.ask(shop.create))[1])
    page, visitor = f"/checkout/{created['id']}", f"X-Forwarded-For: {address(number)}"
    await line.ask(request("GET", page, "Accept-Encoding: gzip", visitor))
    tag = "none"
    for _ in range(polls):
        head, _ = await line.ask(request("GET", f"{page}/status", visitor, f"If-None-Match: {tag}"))
        tag = re.findall(r"etag: (.+)\r", head, re.IGNORECASE)[0]
    await line.ask(shop.api("POST", f"/test_helpers/checkout_sessions/{created['id']}/pay", b"{}"))
    await line.ask(shop.api("GET", f"/checkout_sessions/{created['id']}"))


async def go_through(shop: Shop, orders: int, polls: int) -> None:
    """Go through all orders, some at a time."""
    numbers = iter(range(orders))

    async def one_after_the_other() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", shop.port)
        with contextlib.closing(writer):
            for number in numbers:
                await order(shop, Connection(reader, writer), number, polls)

    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))


@contextlib.contextmanager
def pinned(cores: int | None) -> Iterator[None]:
    """Have what is started here run on so many processors, and this process on the others afterwards."""
    every = os.sched_getaffinity(0)
    its = set(sorted(every)[:cores])
    os.sched_setaffinity(0, its)
    yield
    os.sched_setaffinity(0, every - its or every)


def a_day(per_second: float) -> float:
    """Return the orders of a day whose busiest hour keeps the server busy for half of the time."""
    return HALF * per_second * HOUR_SECONDS / BUSIEST_HOUR


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure whole orders.")
    parser.add_argument("--orders", type=int, default=500, help="how many")
    parser.add_argument("--polls", type=int, default=48, help="how often each page asks for the status")
    parser.add_argument("--cores", type=int, help="the processors of the server; all without it")
    arguments = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as folder, receiver(0) as url, contextlib.ExitStack() as stack:
        with pinned(arguments.cores):
            shop = Shop("now", ROOT, Path(folder, "shop"), stack)
        stack.enter_context(shop.endpoint(url, EVENTS))
        asyncio.run(go_through(shop, AT_ONCE, arguments.polls))
        wait_until(lambda: number_of(url) == AT_ONCE * len(EVENTS), "the first orders are paid")
        cpu, started = cpu_seconds(shop.pid), time.perf_counter()
        asyncio.run(go_through(shop, arguments.orders, arguments.polls))
        seconds = time.perf_counter() - started
        expected = (AT_ONCE + arguments.orders) * len(EVENTS)
        wait_until(lambda: number_of(url) == expected, "all orders are paid")
        each = (cpu_seconds(shop.pid) - cpu) / arguments.orders
    per_second = arguments.orders / seconds
    print(f"{per_second:,.1f} orders per second, {1000 * each:.1f} ms CPU each")
    print(f"On a core of its own: {1 / each:,.0f} per second, {a_day(1 / each):,.0f} a day")


if __name__ == "__main__":
    main()
