"""A thousand clients that send a byte now and then, or read nothing, beside clients who pay."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvloop

from tests.support.pages import quantile, read_for
from tests.support.process import Observed
from tests.support.server import FROM_NOTHING, Server

CLIENTS = 1_000
NETWORKS = 16
HEAD = b"GET /healthz HTTP/1.1\r\nHost: shop\r\nX-Slow: "
BODY = (
    b"POST /api/v1/checkout_sessions HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
    b"Content-Length: 60000\r\n\r\n"
)
BIG = b"GET /docs/api HTTP/1.1\r\nHost: shop\r\n\r\n"
MEASURED_SECONDS = 6.0


class SlowClient:
    """A client whose request never ends, or who doesn't read its answer."""

    def __init__(self, port: int, number: int) -> None:
        self._port = port
        self._source = f"127.0.2.{number % NETWORKS + 1}"
        self._kind = (HEAD, BODY, BIG)[number % 3]

    async def run(self) -> None:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self._port, local_addr=(self._source, 0), limit=1024
        )
        try:
            writer.write(self._kind)
            while not reader.at_eof() and not writer.is_closing():
                await asyncio.sleep(1)  # a byte a second, as slow attackers do
                if self._kind is not BIG:
                    writer.write(b"a")
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()


@asynccontextmanager
async def crowd(port: int) -> AsyncIterator[None]:
    clients = [SlowClient(port, number) for number in range(CLIENTS)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.run()) for each in clients]
        await asyncio.sleep(1)
        yield
        for task in tasks:
            task.cancel()


def test_a_thousand_slow_clients_take_little_memory_and_nobody_elses_time(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with Server(tmp_path, "", under=FROM_NOTHING) as server:
        port, process, key = urlsplit(server.url).port or 0, Observed(server.process.pid), server.key or ""
        assert server.client(None).get(f"{server.url}/docs/api").is_success  # rendered once
        before = process.memory_mib()

        async def watch() -> tuple[list[float], list[float], int, float]:
            alone = await read_for(MEASURED_SECONDS, port, key)
            async with crowd(port):
                beside = await read_for(MEASURED_SECONDS, port, key)
                held, memory = process.descriptors(), process.memory_mib()
                await until_closed(process)
            return alone, beside, held, memory

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            alone, beside, held, memory = runner.run(watch())
        figures = {
            "median alone, seconds": quantile(alone, 0.5),
            "median beside, seconds": quantile(beside, 0.5),
            "p99 beside, seconds": quantile(beside, 0.99),
            "descriptors": held,
            "MiB": memory - before,
        }
        for name, figure in figures.items():
            record_property(name, figure)
        print(figures)  # noqa: T201
        assert held > CLIENTS, "all of them were let in"
        assert memory - before < 200
        # Both were measured on the same machine, which may be busy: what is left is what the crowd takes.
        assert quantile(beside, 0.5) < 20 * quantile(alone, 0.5) + 0.1
        assert "Traceback" not in server.log


async def until_closed(process: Observed) -> None:
    """Wait until the server has closed the connections whose requests or answers take too long."""
    deadline = time.monotonic() + 150
    while process.descriptors() > 100:
        assert time.monotonic() < deadline, "slow clients are served for ever"
        await asyncio.sleep(0.5)


pytestmark = pytest.mark.heavy
