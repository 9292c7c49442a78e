"""The exchanges on this machine: one HTTP server that answers as each price source's own does, or worse.

Requests to any host end here, so that sources are opened as in production. `EXCHANGES` holds an entry for each source.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx

from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.prices.source import Connections
from tests.support.waiting import WAIT_SECONDS

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
    """Record of the requests; sources that are `held` answer only after `release`."""

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
    exchanges = Exchanges(answers={name: exchange.right for name, exchange in EXCHANGES.items()})
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
    return next(name for name, exchange in EXCHANGES.items() if target.startswith(exchange.path))


class Redirected(httpx.AsyncBaseTransport):
    """Sends each request to one server, whichever host it is for."""

    def __init__(self, url: str) -> None:
        self._url = httpx.URL(url)
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(scheme="http", host=self._url.host, port=self._url.port)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@asynccontextmanager
async def connections_to(
    url: str, *, clock: Clock, timeout_seconds: float = WAIT_SECONDS
) -> AsyncIterator[Connections]:
    """Open what sources are made of; the chains are read from the exchanges' server too, as raw bytes."""
    async with httpx.AsyncClient(transport=Redirected(url)) as client:

        async def read_contract(chain_id: int, address: str, data: str) -> bytes:
            try:
                answer = await client.get(f"https://node.example/contracts/{chain_id}/{address}/{data}")
                return answer.raise_for_status().content
            except httpx.HTTPError as error:
                raise ProviderFailed(f"{url}: {error}") from error

        yield Connections(client, read_contract, chain_ids=[1], clock=clock, timeout_seconds=timeout_seconds)


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


def round_data(price: int = 300_012_000_000, *, age: int = 60, round_id: int = 7, answered_in: int = 7) -> bytes:
    """Answer as a feed of Chainlink does: five words of 32 bytes."""
    updated_at = int(NOW.timestamp()) - age
    words = (round_id, price % 2**256, updated_at, updated_at, answered_in)
    return b"".join(word.to_bytes(32) for word in words)


@dataclass(frozen=True)
class Exchange:
    """The answers of one price source's own server, for ETH/USD at `NOW`.

    `path` begins the paths of its requests. `right` is the answer behind `price`, of `observed_at`. `unsupported` are
    answers about a currency that it does not know; `wrong` are well-formed answers without a price of ETH/USD.
    """

    path: str
    right: bytes
    price: Decimal
    unsupported: tuple[bytes, ...]
    wrong: tuple[bytes, ...]
    observed_at: datetime = NOW


EXCHANGES = {
    "chainlink": Exchange(
        path="/contracts/",
        right=http(200, round_data()),
        price=Decimal("3000.12"),
        unsupported=(b"",),  # known without a request: no currency but the dollar has a feed
        wrong=(http(200, round_data(0)), http(200, round_data(age=3901)), http(200, round_data(round_id=8))),
    ),
    "coinbase": Exchange(
        path="/v2/prices/",
        right=ok(coinbase("3000.10")),
        price=Decimal("3000.10"),
        unsupported=(
            http(404, '{"errors":[{"id":"not_found","message":"Invalid base currency"}]}'),
            http(400, '{"errors":[{"id":"invalid_request","message":"Invalid currency (SLE)"}]}'),
        ),
        wrong=(
            ok(coinbase("3000", base="BTC")),
            ok(coinbase("3000", currency="EUR")),
            ok(coinbase("")),
            ok(coinbase("3000 USD")),
            ok(coinbase("0x10")),
            ok(coinbase("3" * 21)),
            ok({"data": {"amount": None, "base": "ETH", "currency": "USD"}}),
            ok({"data": {"amount": True, "base": "ETH", "currency": "USD"}}),
            ok({"data": {"amount": ["3000"], "base": "ETH", "currency": "USD"}}),
            ok({"data": []}),
        ),
    ),
    "kraken": Exchange(
        path="/0/public/",
        right=ok(kraken("3000.30", "3000.10")),
        price=Decimal("3000.20"),
        unsupported=(ok({"error": ["EQuery:Unknown asset pair"]}),),
        wrong=(ok(kraken("3000", "3000", "XXBTZUSD")), ok({"error": ["EService:Unavailable"]})),
    ),
    "coingecko": Exchange(
        path="/api/v3/",
        right=ok(coingecko(3000.15)),
        price=Decimal("3000.15"),
        observed_at=NOW - timedelta(seconds=30),
        unsupported=(
            http(200, '{"ethereum":{"last_updated_at":1795426200}}'),
            http(200, '{"ethereum":{}}'),
        ),
        wrong=(ok({"ethereum": {"usd": 3000}}), ok({"bitcoin": {"usd": 3000, "last_updated_at": 1795426200}})),
    ),
}
