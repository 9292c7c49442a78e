"""Ten thousand open pages on one process: the pause between their polls grows, and everybody else is served on."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvloop

from tests.support.pages import Connection, OpenPage, quantile, read_for
from tests.support.process import Observed
from tests.support.server import FROM_NOTHING, Server

PAGES = 10_000
SHORT = 1_000
CONFIG = '[server]\ntrusted_proxies = ["127.0.0.1"]\n'
PRICE = json.dumps({"amount": {"value": "30.00", "currency": "USD"}, "expiresInSeconds": 3600})
AT_ONCE = 16
SETTLING_SECONDS = 30.0
MEASURED_SECONDS = 20.0


@pytest.mark.parametrize("pages", [SHORT, pytest.param(PAGES, marks=pytest.mark.heavy)])
def test_open_pages_leave_the_server_to_others(
    pages: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with (
        Server(tmp_path, CONFIG, under=FROM_NOTHING) as server,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        figures = runner.run(watch(server, pages))
        for name, figure in figures.items():
            record_property(name, figure)
        print(figures)  # noqa: T201
        assert set(figures["statuses"]) <= {"200", "304"}, "nobody is refused"
        assert figures["pages answered"] == pages
        # Of the server's own time: how long a read takes says more about the machine, which these pages are on too.
        assert figures["share of a core"] < 0.9
        assert figures["KiB a page"] < 64
        assert figures["pause, seconds"] == pytest.approx(max(2.5, pages / 1_000), rel=0.35)
        assert "Traceback" not in server.log


async def watch(server: Server, pages: int) -> dict[str, Any]:
    """Open pages, let them settle, and measure for a while."""
    port = urlsplit(server.url).port or 0
    process = Observed(server.process.pid)
    paths = await sell(port, server.key or "", pages)
    before = process.memory_mib()
    opened = [OpenPage(port, path, 0x0A000000 + number) for number, path in enumerate(paths)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.run(2.5 * number / pages)) for number, each in enumerate(opened)]
        await asyncio.sleep(SETTLING_SECONDS if pages > SHORT else 5)
        for each in opened:
            each.seconds.clear()
        began, cpu = time.monotonic(), process.cpu_seconds()
        reads = await read_for(MEASURED_SECONDS if pages > SHORT else 6, port, server.key or "")
        lasted = time.monotonic() - began
        share = (process.cpu_seconds() - cpu) / lasted
        connections, memory = process.descriptors(), process.memory_mib()
        for task in tasks:
            task.cancel()
    statuses: Counter[str] = Counter()
    for each in opened:
        statuses.update({status.decode(): number for status, number in each.statuses.items()})
    polls = [seconds for each in opened for seconds in each.seconds]
    return {
        "pages": pages,
        "pages answered": sum(bool(each.statuses) for each in opened),
        "connections": connections,
        "statuses": dict(statuses),
        "polls a second": round(len(polls) / lasted),
        "pause, seconds": sum(each.pause for each in opened) / pages,
        "share of a core": round(share, 2),
        "KiB a page": round((memory - before) * 1024 / pages, 1),
        "poll p99, seconds": round(quantile(polls, 0.99), 3),
        "read median, seconds": round(quantile(reads, 0.5), 3),
        "read p99, seconds": round(quantile(reads, 0.99), 3),
        "reconnected": sum(each.reconnected for each in opened),
    }


async def sell(port: int, key: str, sessions: int) -> list[str]:
    """Create sessions, and return the paths of their status."""
    request = (
        f"POST /api/v1/checkout_sessions HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(PRICE)}\r\n\r\n{PRICE}"
    ).encode()
    paths: list[str] = []

    async def some() -> None:
        with closing(await Connection.to(port)) as connection:
            while len(paths) < sessions:
                head, body = await connection.ask(request)
                assert head.startswith(b"HTTP/1.1 201"), head + body
                paths.append(f"/checkout/{json.loads(body)['id']}/status")

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return paths[:sessions]
