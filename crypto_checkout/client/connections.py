"""The I/O of the client, blocking and asynchronous side by side. What is sent and what follows is decided elsewhere."""

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
    return random.random()  # noqa: S311 - it spreads waits, it guards nothing


class Connection:
    """Sends calls and waits for their answers; threads may share one."""

    def __init__(self, http: httpx.Client, *, max_retries: int, sleep: Callable[[float], object] = time.sleep) -> None:
        self._http = http
        self._max_retries = max_retries
        self._sleep = sleep

    def send(self, call: ApiCall[T]) -> T:
        """Send a call, again where that may help, and return its answer."""
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
        """Return the list that a call begins; nothing is sent yet."""
        return Listing(self, call)

    def close(self) -> None:
        """Close what is open to the server."""
        self._http.close()

    def _attempt(self, request: httpx.Request) -> Outcome:
        try:
            return self._http.send(request)
        except httpx.RequestError as error:
            return error


class AsyncConnection:
    """The same for an event loop, of asyncio or trio; tasks may share one."""

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
        """Send a call, again where that may help, and return its answer."""
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
        """Return the list that a call begins; nothing is sent yet."""
        return AsyncListing(self, call)

    async def close(self) -> None:
        """Close what is open to the server."""
        await self._http.aclose()

    async def _attempt(self, request: httpx.Request) -> Outcome:
        try:
            return await self._http.send(request)
        except httpx.RequestError as error:
            return error


class Listing(Generic[T]):
    """A list that is fetched as it is read: all of it with `for`, page by page with `pages`, or one with `page`.

    It goes from new to old; with `ending_before` from old to new. Each iteration begins anew.
    """

    def __init__(self, connection: Connection, call: ApiCall[Page[T]]) -> None:
        self._connection = connection
        self._call = call

    def page(self) -> Page[T]:
        """Fetch the first page only."""
        return self._connection.send(self._call)

    def pages(self) -> Iterator[Page[T]]:
        """Fetch page after page."""
        call: ApiCall[Page[T]] | None = self._call
        while call is not None:
            page = self._connection.send(call)
            yield page
            call = pages.following(call, page)

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from pages.in_order(self._call, page)


class AsyncListing(Generic[T]):
    """The same for an event loop: `async for`, `async for` over `pages`, and `await` of `page`."""

    def __init__(self, connection: AsyncConnection, call: ApiCall[Page[T]]) -> None:
        self._connection = connection
        self._call = call

    async def page(self) -> Page[T]:
        """Fetch the first page only."""
        return await self._connection.send(self._call)

    async def pages(self) -> AsyncIterator[Page[T]]:
        """Fetch page after page."""
        call: ApiCall[Page[T]] | None = self._call
        while call is not None:
            page = await self._connection.send(call)
            yield page
            call = pages.following(call, page)

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in pages.in_order(self._call, page):
                yield item
