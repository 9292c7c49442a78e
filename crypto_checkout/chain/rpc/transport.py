"""One JSON-RPC endpoint over HTTP: send calls, match answers to them.

`chain.rpc.providers` chooses the endpoint.

This is a web3 provider with HTTP of its own: web3's closes the connection after each request, reads an answer of any
size, follows redirects, trusts batch answers without ids, and logs URLs. URLs carry access keys, so nothing here logs,
and no exception leaves with a URL in its message or its cause.
"""

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientOSError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    ServerDisconnectedError,
    TCPConnector,
)
from web3.providers.async_base import AsyncJSONBaseProvider
from web3.types import RPCEndpoint, RPCRequest, RPCResponse

from crypto_checkout import __version__
from crypto_checkout.chain.rpc.meter import Meter
from crypto_checkout.core import retry_after
from crypto_checkout.core.diagnosis.rpc_usage import RpcUsage
from crypto_checkout.core.errors import ProviderFailed

# py_ecc, which comes in with web3, raises Python's recursion limit from 1,000 to 100,000. Then Python 3.11 doesn't
# refuse deeply nested JSON, from a node or a client: it overflows the stack, and the process dies.
sys.setrecursionlimit(1000)

MOST_BYTES = 32 * 2**20
"""The largest answer that is read. Ten full blocks of Ethereum take a third of it."""

_CONNECT_SECONDS = 5
# Long enough for the requests of one poll, and shorter than any server waits before it closes an idle connection.
_KEEP_ALIVE_SECONDS = 3
_HEADERS = {"Content-Type": "application/json", "User-Agent": f"crypto-checkout/{__version__}"}

_OK = 200
_TOO_MANY_REQUESTS = 429
_UNAVAILABLE = 503
_SHORTEST_SECRET = 6
_SHOWN_CHARACTERS = 200


class NoAnswer(ProviderFailed):
    """The provider can't be reached, is too slow, or throttles us: another request right now is of no use.

    `retry_after_seconds` is the pause that it demands, 0 if it names none.
    """

    def __init__(self, message: str, retry_after_seconds: float = 0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Transport(AsyncJSONBaseProvider):
    """One endpoint; `name` is its host.

    Every method raises ProviderFailed if the exchange fails or the answer is not JSON-RPC.
    """

    def __init__(self, url: str, *, timeout_seconds: float, meter: Meter) -> None:
        super().__init__()
        self.name = urlsplit(url).netloc.rpartition("@")[2]
        self._meter = meter
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._session: ClientSession | None = None

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Send one call; return its answer, which may be the endpoint's error."""
        request = self.form_request(method, params)
        answer = await self._exchange(self.encode_rpc_dict(request), calls=1)
        # An error may come without an id (JSON-RPC 2.0, section 5): the endpoint couldn't read it.
        if isinstance(answer, dict) and answer.get("error") is not None:
            return cast("RPCResponse", answer)
        return _of_requests([request], [answer])[0]

    async def make_batch_request(self, requests: list[tuple[RPCEndpoint, Any]]) -> list[RPCResponse]:
        """Send several calls in one request; return their answers in the same order."""
        formed = [self.form_request(method, params) for method, params in requests]
        answers = await self._exchange(self.encode_batch_request_dicts(formed), calls=len(formed))
        if not isinstance(answers, list):
            raise ProviderFailed("no list of answers to a batch of calls")
        return _of_requests(formed, answers)

    async def disconnect(self) -> None:
        """Close the connections. Repeating is safe; the next request opens them again."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def redacted(self, text: object) -> str:
        """Return the beginning of an endpoint's message, without the secrets of its URL and without line breaks."""
        message = str(text)
        for secret in _secrets(self._url):
            message = message.replace(secret, "…")
        return "".join(each if each.isprintable() else " " for each in message)[:_SHOWN_CHARACTERS]

    async def _exchange(self, body: bytes, *, calls: int) -> Any:
        # Raised outside the `except`: as the cause, an error of aiohttp would carry the URL.
        reason = ""
        try:
            status, wait, content = await self._post(body, calls)
        except TimeoutError:
            reason = f"no answer in time ({_CONNECT_SECONDS} s to connect, {self._timeout_seconds:g} s in all)"
        except (ClientError, OSError, ValueError):
            reason = "can't connect, or the connection broke"
        if reason:
            raise NoAnswer(reason)
        if status in {_TOO_MANY_REQUESTS, _UNAVAILABLE}:
            raise NoAnswer(f"HTTP {status}", wait)
        if status != _OK:
            raise ProviderFailed(f"HTTP {status}")
        return self._decoded(content)

    async def _post(self, body: bytes, calls: int) -> tuple[int, float, bytes | None]:
        try:
            return await self._post_once(body, calls)
        except ClientConnectorError:
            raise
        except (ServerDisconnectedError, ClientOSError):
            # The node may just have closed a connection that we kept open. Reading twice is harmless.
            return await self._post_once(body, calls)

    async def _post_once(self, body: bytes, calls: int) -> tuple[int, float, bytes | None]:
        self._meter.count(self.name, RpcUsage(calls=calls, bytes_sent=len(body)))
        async with self._opened().post(self._url, data=body, headers=_HEADERS, allow_redirects=False) as response:
            wait = retry_after.parse(response.headers.get("Retry-After", ""), datetime.now(UTC)) or 0
            return response.status, wait, await self._read(response)

    async def _read(self, response: ClientResponse) -> bytes | None:
        """Return the whole body; None if it exceeds the limit, which bounds the memory taken."""
        content = bytearray()
        async for piece in response.content.iter_any():
            content += piece
            self._meter.count(self.name, RpcUsage(bytes_received=len(piece)))
            if len(content) > MOST_BYTES:
                response.close()
                return None
        return bytes(content)

    def _decoded(self, content: bytes | None) -> Any:
        if content is None:
            raise ProviderFailed(f"an answer of more than {MOST_BYTES // 2**20} MiB")
        try:
            return self.decode_rpc_response(content)
        except (ValueError, RecursionError):
            pass
        raise ProviderFailed("an answer that is not JSON")

    def _opened(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(
                connector=TCPConnector(keepalive_timeout=_KEEP_ALIVE_SECONDS),
                cookie_jar=DummyCookieJar(),
                timeout=ClientTimeout(total=self._timeout_seconds, sock_connect=_CONNECT_SECONDS),
            )
        return self._session


def _of_requests(requests: Sequence[RPCRequest], answers: Sequence[Any]) -> list[RPCResponse]:
    """Put answers in the order of their requests; each request must have exactly one (JSON-RPC 2.0, section 6)."""
    by_id = {}
    for answer in answers:
        if not isinstance(answer, dict) or not isinstance(answer.get("id"), int):
            raise ProviderFailed("an answer without an id")
        by_id[answer["id"]] = cast("RPCResponse", answer)
    if len(answers) != len(requests) or by_id.keys() != {request["id"] for request in requests}:
        raise ProviderFailed(f"{len(answers)} answers to {len(requests)} calls, not one to each")
    return [by_id[request["id"]] for request in requests]


def _secrets(url: str) -> Iterator[str]:
    """Yield the parts of a URL that may be access keys, the longest first, so that no part of one remains."""
    parts = urlsplit(url)
    pieces = {parts.username, parts.password, *parts.path.split("/"), *parts.query.replace("=", "&").split("&")}
    written = {form for each in pieces if each for form in (each, unquote(each))}
    yield from sorted((each for each in written if len(each) >= _SHORTEST_SECRET), key=len, reverse=True)
