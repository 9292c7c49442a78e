"""The I/O of the clients, blocking and asynchronous side by side. Requests and retries are decided elsewhere."""

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Generic, TypeVar

import anyio
import httpx

from crypto_checkout.client.calls import ApiCall

from . import calls, pages
from .pages import Page
from .retries import Answer, Outcome, Wait, judge

T = TypeVar("T")


def _jitter() -> float:
    return random.random()  # noqa: S311 - it spreads delays, it guards nothing


class Connection:
    """Sends calls and waits for their answers; threads may share one."""

    def __init__(self, http: httpx.Client, *, max_retries: int, sleep: Callable[[float], object] = time.sleep) -> None:
        self._http = http
        self._max_retries = max_retries
        self._sleep = sleep

    def send(self, call: ApiCall[T]) -> T:
        """Send a call, with retries, and return its result."""
        request = calls.to_request(call, self._http)
        attempt = 1
        while True:
            match judge(self._attempt(request), attempt=attempt, max_retries=self._max_retries, jitter=_jitter()):
                case Wait(seconds):
                    self._sleep(seconds)
                case Answer(body):
                    return call.read(body)
            attempt += 1

    def listing(self, call: ApiCall[Page[T]]) -> "Listing[T]":
        """Return the list whose first page a call requests; nothing is sent yet."""
        return Listing(self, call)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _attempt(self, request: httpx.Request) -> Outcome:
        try:
            return self._http.send(request)
        except httpx.RequestError as error:
            return error


class AsyncConnection:
    """The asynchronous connection, for asyncio and trio; tasks may share one."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        max_retries: int,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        self._http = http
        self._max_retries = max_retries
        self._sleep = sleep

    async def send(self, call: ApiCall[T]) -> T:
        """Send a call, with retries, and return its result."""
        request = calls.to_request(call, self._http)
        attempt = 1
        while True:
            match judge(await self._attempt(request), attempt=attempt, max_retries=self._max_retries, jitter=_jitter()):
                case Wait(seconds):
                    await self._sleep(seconds)
                case Answer(body):
                    return call.read(body)
            attempt += 1

    def listing(self, call: ApiCall[Page[T]]) -> "AsyncListing[T]":
        """Return the list whose first page a call requests; nothing is sent yet."""
        return AsyncListing(self, call)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _attempt(self, request: httpx.Request) -> Outcome:
        try:
            return await self._http.send(request)
        except httpx.RequestError as error:
            return error


class Listing(Generic[T]):
    """A list that is fetched while it is read. Iterate over it for all items, or over `pages()` for pages.

    The order is newest first; with `ending_before`, oldest first. Each iteration starts again from the first page.
    """

    def __init__(self, connection: Connection, call: ApiCall[Page[T]]) -> None:
        self._connection = connection
        self._call = call

    def page(self) -> Page[T]:
        """Return the first page only."""
        return self._connection.send(self._call)

    def pages(self) -> Iterator[Page[T]]:
        """Yield all pages, each fetched when it is reached."""
        call: ApiCall[Page[T]] | None = self._call
        while call is not None:
            page = self._connection.send(call)
            yield page
            call = pages.following(call, page)

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from pages.in_order(self._call, page)


class AsyncListing(Generic[T]):
    """The asynchronous list: use `async for` over it or over `pages()`, and await `page()`."""

    def __init__(self, connection: AsyncConnection, call: ApiCall[Page[T]]) -> None:
        self._connection = connection
        self._call = call

    async def page(self) -> Page[T]:
        """Return the first page only."""
        return await self._connection.send(self._call)

    async def pages(self) -> AsyncIterator[Page[T]]:
        """Yield all pages, each fetched when it is reached."""
        call: ApiCall[Page[T]] | None = self._call
        while call is not None:
            page = await self._connection.send(call)
            yield page
            call = pages.following(call, page)

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in pages.in_order(self._call, page):
                yield item
