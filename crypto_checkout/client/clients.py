"""The two clients: the same resources behind a blocking and an asynchronous connection."""

import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

import anyio
import httpx

from . import calls, resources
from .connections import AsyncConnection, Connection

C = TypeVar("C")

DEFAULT_TIMEOUT_SECONDS = 30.0
DEFAULT_MAX_RETRIES = 2


class _Resources(Generic[C]):
    def __init__(self, connection: C) -> None:
        self.payment_links = resources.PaymentLinksApi(connection)
        self.checkout_sessions = resources.CheckoutSessionsApi(connection)
        self.webhook_endpoints = resources.WebhookEndpointsApi(connection)
        self.events = resources.EventsApi(connection)
        self.customers = resources.CustomersApi(connection)
        self.refunds = resources.RefundsApi(connection)
        self.balances = resources.BalancesApi(connection)
        self.collections = resources.CollectionsApi(connection)
        self.test_helpers = resources.TestHelpersApi(connection)


class CheckoutClient(_Resources[Connection]):
    """The blocking client. Create one per process; threads may share it.

    Methods raise a subclass of `CheckoutClientError`: a `CheckoutApiError` if the server refuses the request,
    `ConnectionFailed` if it can't be reached.

    Args:
        base_url: the server's public URL.
        api_key: a key like `ck_test_…` or `ck_live_…`; it selects test mode or live mode.
        timeout_seconds: limits connecting, and then each wait for a piece of the answer.
        max_retries: the number of retries without an answer, on 429, and on 500, 502, 503 and 504. They follow after
            half a second, then twice as long each time up to 8 s, or after `Retry-After`, up to a minute.
        transport: replaces httpx's transport, for a proxy of your own or for an application in the same process.
        sleep: waits between attempts.

    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        max_retries: int = DEFAULT_MAX_RETRIES,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        http = httpx.Client(
            base_url=calls.address(base_url),
            headers=calls.headers(api_key),
            timeout=timeout_seconds,
            transport=transport,
        )
        self._connection = Connection(http, max_retries=max_retries, sleep=sleep)
        super().__init__(self._connection)

    def close(self) -> None:
        """Close the connections. Repeating is safe."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


class AsyncCheckoutClient(_Resources[AsyncConnection]):
    """The asynchronous client, for asyncio and trio: await each method, and read each list with `async for`.

    The arguments are those of `CheckoutClient`, with an asynchronous `transport` and `sleep`.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        max_retries: int = DEFAULT_MAX_RETRIES,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        http = httpx.AsyncClient(
            base_url=calls.address(base_url),
            headers=calls.headers(api_key),
            timeout=timeout_seconds,
            transport=transport,
        )
        self._connection = AsyncConnection(http, max_retries=max_retries, sleep=sleep)
        super().__init__(self._connection)

    async def aclose(self) -> None:
        """Close the connections. Repeating is safe."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self.aclose()
