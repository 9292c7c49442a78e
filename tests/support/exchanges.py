"""The exchanges on this machine: one HTTP server that answers as Coinbase, Kraken and CoinGecko do, or worse."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

PREFIXES = {"/v2/prices/": "coinbase", "/0/public/": "kraken", "/api/v3/": "coingecko"}

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Exchanges:
    """Records what it is asked; those `held` answer only after `release`."""

    url: str = ""
    answers: dict[str, bytes] = field(default_factory=dict)
    targets: list[str] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    asked: asyncio.Condition = field(default_factory=asyncio.Condition)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def count(self, name: str) -> int:
        return sum(name_of(target) == name for target in self.targets)

    async def wait_for_requests(self, count: int) -> None:
        async with self.asked:
            await self.asked.wait_for(lambda: len(self.targets) >= count)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            target = request.split()[1].decode()
            async with self.asked:
                self.targets.append(target)
                self.asked.notify_all()
            name = name_of(target)
            if name in self.held:
                await self.released.wait()
            writer.write(self.answers[name])
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone, which some tests are about
        finally:
            writer.close()


@asynccontextmanager
async def open_exchanges() -> AsyncIterator[Exchanges]:
    exchanges = Exchanges(
        answers={
            "coinbase": ok(coinbase("3000.10")),
            "kraken": ok(kraken("3000.30", "3000.10")),
            "coingecko": ok(coingecko(3000.15)),
        }
    )
    running: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.ensure_future(exchanges.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    exchanges.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield exchanges
    finally:
        exchanges.released.set()
        server.close()
        await asyncio.gather(*running)
        await server.wait_closed()


def name_of(target: str) -> str:
    return next(name for prefix, name in PREFIXES.items() if target.startswith(prefix))


def http(status: int, body: bytes | str, headers: str = "") -> bytes:
    content = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status} Status\r\nContent-Length: {len(content)}\r\nConnection: close\r\n{headers}\r\n"
    return head.encode() + content


def ok(body: Any) -> bytes:
    return http(200, json.dumps(body), "Content-Type: application/json\r\n")


def coinbase(amount: str, base: str = "ETH", currency: str = "USD") -> Any:
    return {"data": {"amount": amount, "base": base, "currency": currency}}


def kraken(ask: str, bid: str, name: str = "XETHZUSD") -> Any:
    ticker = {
        "a": [ask, "1", "1.000"],
        "b": [bid, "2", "2.000"],
        "c": ["2999.99000", "0.01000000"],
        "v": ["7203.98", "20114.61"],
        "p": ["2990.1", "2985.2"],
        "t": [10210, 31112],
        "l": ["2950.00", "2944.10"],
        "h": ["3050.00", "3060.00"],
        "o": "2970.51",
    }
    return {"error": [], "result": {name: ticker}}


def coingecko(price: Any, age_seconds: float = 30, *, coin: str = "ethereum", **more: Any) -> Any:
    updated_at = int((NOW - timedelta(seconds=age_seconds)).timestamp())
    return {coin: {"usd": price, "last_updated_at": updated_at, **more}}
