"""The real application in the test's own process, and clients of its API.

    async with open_app(tmp_path) as app:
        session = (await app.api.post("/checkout_sessions", json=PRICE)).json()

Its loops run as they do in a server, and webhooks may go to this machine. The network is not needed, nor a port. Each
answer is held against the OpenAPI document (`tests.support.conformity`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from crypto_checkout.app.clock import system_clock
from crypto_checkout.app.server import RunningServer, open_server
from crypto_checkout.config import Config
from crypto_checkout.core.errors import ChainMoved, ProviderFailed
from crypto_checkout.core.owner.api_key import ApiKey, Scope
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.services.owner import api_keys
from tests.support import conformity, server
from tests.support.waiting import until

ALL_SCOPES = tuple(Scope)
PRICE = {"amount": {"value": "30.00", "currency": "USD"}}
LINK = {"title": "A book", "fiatAmount": "30.00"}
ENDPOINT = {"url": "https://shop.example/hook", "events": ["*"]}


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __call__(self) -> datetime:
        return self.now

    def move(self, **ahead: float) -> None:
        """Move on, as in `clock.move(hours=24)`."""
        self.now += timedelta(**ahead)


@dataclass
class RateClock:
    """A monotonic clock that stands still until it is moved, in seconds."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class App:
    """A running application. `api` is a client with a test key that may do everything."""

    opened: RunningServer
    clients: AsyncExitStack
    api: httpx.AsyncClient = field(init=False)

    async def key(
        self, *, livemode: bool = False, scopes: Sequence[Scope] = ALL_SCOPES, name: str = "test"
    ) -> tuple[ApiKey, str]:
        """Make a key; return it and its text."""
        return await self.opened.db.write(
            lambda unit: api_keys.create(unit, self.opened.events, livemode=livemode, name=name, scopes=scopes)
        )

    async def client(
        self, *, livemode: bool = False, scopes: Sequence[Scope] = ALL_SCOPES, address: str = "127.0.0.1"
    ) -> httpx.AsyncClient:
        """Return a client of the API with a key of its own, which asks from an address."""
        _, text = await self.key(livemode=livemode, scopes=scopes)
        return await self.anybody(f"Bearer {text}", address=address)

    async def anybody(self, authorization: str | None = None, *, address: str = "127.0.0.1") -> httpx.AsyncClient:
        """Return a client of the API with this header, or without one."""
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.opened.web, client=(address, 50_000)),
            base_url="http://shop.example/api/v1",
            headers={} if authorization is None else {"Authorization": authorization},
            event_hooks={"request": [arrive], "response": [conformity.check]},
        )
        return await self.clients.enter_async_context(client)


async def arrive(_: httpx.Request) -> None:
    """Let the loop turn before a request, as it does before each that comes over the network."""
    await asyncio.sleep(0)


@asynccontextmanager
async def open_app(
    folder: Path,
    *,
    clock: Callable[[], datetime] = system_clock,
    metrics_token: str | None = None,
    **sections: Any,
) -> AsyncIterator[App]:
    """Open the application in a folder; `sections` are those of checkout.toml, as in `rate_limit={"burst": 2}`."""
    config = Config.model_validate(
        {
            "database": {"path": folder / "checkout.db", **url_of(folder / "checkout.db")},
            "webhooks": {"allow_private_networks": True},
            "rate_limit": {"per_second": 10_000, "burst": 100_000},
            **sections,
        },
        context={"path": folder / "checkout.toml"},
    )
    async with AsyncExitStack() as clients, open_server(config, metrics_token=metrics_token, clock=clock) as web:
        app = App(web, clients)
        app.api = await app.client()
        for watcher in web.watchers:
            if watcher.status.chain_id == SANDBOX:
                await until(partial(has_looked, watcher), "follow the simulated chain")
        yield app


SANDBOX = 1337


async def has_looked(watcher: Watcher) -> bool:
    """Take a turn; it fails where this process takes the chain over meanwhile, or another one follows it."""
    try:
        await watcher.turn()
    except (ProviderFailed, ChainMoved):
        return False
    return True


def url_of(path: Path) -> dict[str, str]:
    """Return the part of a configuration that names the database in place of a file, where the engine is a server's."""
    return {} if server.url_in_place_of is None else {"url": server.url_in_place_of(path, has_tables=True)}


async def made(api: httpx.AsyncClient, path: str, body: Any, **options: Any) -> dict[str, Any]:
    """POST, and return what was made."""
    answer = await api.post(path, json=body, **options)
    assert answer.status_code == 201, answer.text
    resource: dict[str, Any] = answer.json()
    return resource


async def listed(api: httpx.AsyncClient, path: str, **query: Any) -> dict[str, Any]:
    """Return a page of a list."""
    answer = await api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    assert set(page) == {"object", "data", "hasMore", "nextCursor"}
    assert page["object"] == "list"
    return page


def error(answer: httpx.Response) -> dict[str, Any]:
    """Return the error of an answer."""
    found: dict[str, Any] = answer.json()["error"]
    return found
