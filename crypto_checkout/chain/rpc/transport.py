"""One JSON-RPC endpoint over HTTP: send calls, match answers to them.

`chain.rpc.provider` decides what to send. This is a web3 provider with HTTP of its own: web3's closes the connection
after each request, reads an answer of any size, follows redirects, trusts batch answers without ids, and logs URLs.
URLs and headers carry access keys, so nothing here logs, and no exception leaves with a key in its text or its cause.
"""

import io
import json
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from aiohttp import (
    AddrInfoType,
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
from crypto_checkout.chain.rpc import answers, failures
from crypto_checkout.chain.rpc.answers import Call, Json
from crypto_checkout.chain.rpc.endpoint import NodeEndpoint
from crypto_checkout.chain.rpc.failures import (
    Busy,
    Denied,
    Muddled,
    NoAnswer,
    Nonsense,
    TimedOut,
    TooLarge,
    Unreachable,
    is_busy,
)
from crypto_checkout.chain.rpc.meter import Meter
from crypto_checkout.core import retry_after
from crypto_checkout.core.diagnosis.rpc_usage import RpcUsage
from crypto_checkout.core.errors import ProviderFailed

_LARGE_BYTES = 1024 * 1024
_CONNECT_SECONDS = 5
# Long enough for the requests of one poll, and shorter than any server waits before it closes an idle connection.
_KEEP_ALIVE_SECONDS = 3
_HEADERS = {"Content-Type": "application/json", "User-Agent": f"crypto-checkout/{__version__}"}

_OK = 200
_BUSY_STATUSES = {429, 503}
_DENYING_STATUSES = {401, 402, 403}
_MISFIT_STATUSES = {400, 413, 422}
# Request Timeout and Too Early (RFC 9110, RFC 8470): the next try may do.
_PASSING_STATUSES = {408, 425}
_FAILED = 400
_SERVER_FAILED = 500
_SHOWN_CHARACTERS = 200
_MOST_ERROR_BYTES = 64 * 2**10


AllowsAddress = Callable[[str], bool]
"""Tells whether an IP address may be connected to."""


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    wait_seconds: float
    content: bytes | None
    """None if it exceeds the limit."""


class Transport(AsyncJSONBaseProvider):
    """One endpoint; `name` is its host. Where `allows` is given, only addresses that it allows are connected to."""

    def __init__(
        self, endpoint: NodeEndpoint, *, timeout_seconds: float, meter: Meter, allows: AllowsAddress | None = None
    ) -> None:
        super().__init__()
        self.name = endpoint.name
        self._meter = meter
        self._endpoint = endpoint
        self._headers = {**_HEADERS, **endpoint.headers}
        self._timeout_seconds = timeout_seconds
        self._allows = allows
        self._session: ClientSession | None = None

    async def send(self, calls: Sequence[Call], *, heard: Callable[[], None] = lambda: None) -> list[RPCResponse]:
        """Send calls in one request; return their answers in order, each of which may be an error of the endpoint.

        One call goes without a batch. `heard` is called once the response begins. Raises ProviderFailed, as
        `chain.rpc.failures` tells its kinds apart.
        """
        requests = [self.form_request(RPCEndpoint(method), params) for method, params in calls]
        texts = [_text(each) for each in requests]
        body = (texts[0] if len(calls) == 1 else f"[{','.join(texts)}]").encode()
        limit = answers.most_bytes(calls)
        answer = await self._answer(await self._exchange(body, len(calls), limit, heard), limit)
        if len(calls) == 1:
            # An error may come without an id (JSON-RPC 2.0, section 5): the endpoint couldn't read it.
            if isinstance(answer, dict) and answer.get("error") is not None:
                return [cast("RPCResponse", answer)]
            return answers.matched(requests, [answer])
        return _of_batch(requests, answer)

    async def disconnect(self) -> None:
        """Close the connections. Repeating is safe; the next request opens them again."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def redacted(self, text: object) -> str:
        """Return the beginning of an endpoint's message, without the secrets of its URL and headers, on one line."""
        message = str(text)
        for secret in self._endpoint.secrets():
            message = message.replace(secret, "…")
        return "".join(each if each.isprintable() else " " for each in message)[:_SHOWN_CHARACTERS]

    async def _answer(self, response: _Response, limit: int) -> Any:
        """Return the JSON of a response; with a status other than 200 only errors are taken from it."""
        if response.status == _OK:
            if response.content is None:
                size = f"{limit // 2**20} MiB" if limit >= 2**20 else f"{limit // 2**10} KiB"
                raise TooLarge(f"an answer of more than {size}")
            return await answers.decoded(response.content)
        told = _json(response.content)
        words = answers.words_of(told)
        problem = f"HTTP {response.status}" + (f": {words}" if words else "")
        if response.status in _BUSY_STATUSES or is_busy(words):
            raise Busy(problem, response.wait_seconds)
        if answers.errors_only(told) and response.status not in _DENYING_STATUSES:
            return told
        if response.status in _MISFIT_STATUSES:
            raise Muddled(problem)
        is_denied = _FAILED <= response.status < _SERVER_FAILED and response.status not in _PASSING_STATUSES
        raise Denied(problem) if is_denied else Nonsense(problem)

    async def _exchange(self, body: bytes, calls: int, limit: int, heard: Callable[[], None]) -> _Response:
        # Raised outside the `except`: as the cause, an error of aiohttp would carry the URL.
        failure: ProviderFailed
        try:
            return await self._post(body, calls, limit, heard)
        except TimeoutError:
            failure = TimedOut(
                f"no answer in time ({_CONNECT_SECONDS} s to connect, {self._timeout_seconds:g} s in all)"
            )
        except ClientConnectorError:
            failure = Unreachable("can't connect, or the connection broke")
        except (ClientError, OSError, ValueError):
            failure = NoAnswer("can't connect, or the connection broke")
        raise failure

    async def _post(self, body: bytes, calls: int, limit: int, heard: Callable[[], None]) -> _Response:
        try:
            return await self._post_once(body, calls, limit, heard)
        except ClientConnectorError:
            raise
        except (ServerDisconnectedError, ClientOSError):
            # The node may just have closed a connection that we kept open. Reading twice is harmless.
            return await self._post_once(body, calls, limit, heard)

    async def _post_once(self, body: bytes, calls: int, limit: int, heard: Callable[[], None]) -> _Response:
        self._meter.count(self.name, RpcUsage(calls=calls, bytes_sent=len(body)))
        url, headers = self._endpoint.url, self._headers
        # aiohttp wants bodies of this size as a file, which it sends in pieces.
        data = body if len(body) < _LARGE_BYTES else io.BytesIO(body)
        async with self._opened().post(url, data=data, headers=headers, allow_redirects=False) as response:
            heard()
            wait = retry_after.parse(response.headers.get("Retry-After", ""), datetime.now(UTC)) or 0
            most = limit if response.status == _OK else _MOST_ERROR_BYTES
            return _Response(response.status, wait, await self._read(response, most))

    async def _read(self, response: ClientResponse, most: int) -> bytes | None:
        """Return the whole body; None if it exceeds the limit, which bounds the memory taken."""
        content = bytearray()
        async for piece in response.content.iter_any():
            content += piece
            self._meter.count(self.name, RpcUsage(bytes_received=len(piece)))
            if len(content) > most:
                response.close()
                return None
        return bytes(content)

    def _opened(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(
                connector=TCPConnector(
                    keepalive_timeout=_KEEP_ALIVE_SECONDS, socket_factory=self._socket if self._allows else None
                ),
                cookie_jar=DummyCookieJar(),
                timeout=ClientTimeout(total=self._timeout_seconds, sock_connect=_CONNECT_SECONDS),
            )
        return self._session

    def _socket(self, address: AddrInfoType) -> socket.socket:
        """Open a socket to an address, as aiohttp does, unless the address isn't allowed: the last look before it."""
        family, kind, protocol, _, where = address
        if self._allows is not None and not self._allows(str(where[0])):
            raise ConnectionRefusedError("this address is not allowed")
        return socket.socket(family, kind, protocol)


def _text(request: RPCRequest) -> str:
    """Write a request: web3's encoder takes longer for it than reading the answer does."""
    method, params, number = request["method"], request["params"], request["id"]
    written = params if isinstance(params, Json) else json.dumps(params, separators=(",", ":"))
    return f'{{"jsonrpc":"2.0","id":{number},"method":"{method}","params":{written}}}'


def _of_batch(requests: Sequence[RPCRequest], answer: Any) -> list[RPCResponse]:
    told = answer[0] if isinstance(answer, list) and len(answer) == 1 else answer
    if isinstance(told, dict) and told.get("error") and told.get("id") is None:
        refusal = failures.of_error(told["error"])
        raise refusal if isinstance(refusal, Busy) else Muddled(str(refusal))
    if not isinstance(answer, list):
        raise Muddled("no list of answers to a batch of calls")
    return answers.matched(requests, answer)


def _json(content: bytes | None) -> Any:
    """Return the JSON in the body of an error, or its text if it is short and no page."""
    if not content:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        text = content.decode("utf-8", "replace").strip()
        return None if text.startswith("<") else text
