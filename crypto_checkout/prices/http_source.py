"""The base of price sources on the web: one bounded GET request, and careful reading of its answer.

Answers are trusted in nothing: time, size, JSON and numbers are all limited here. Prices are never judged here.
"""

import asyncio
import json
import math
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from crypto_checkout.core import retry_after
from crypto_checkout.core.errors import SourceFailed
from crypto_checkout.prices.source import Connections, SourceThrottled

if TYPE_CHECKING:
    import httpx

# Real answers are below 1 KiB.
MAX_ANSWER_BYTES = 64 * 1024

_MAX_RETRY_AFTER_SECONDS = 3600

_HEADERS = {
    "Accept": "application/json",
    # A compressed answer could unfold to any size in one chunk, so compression is neither requested nor accepted.
    "Accept-Encoding": "identity",
    "User-Agent": "crypto-checkout",
}

# Bounded on purpose: a price of a thousand digits is an attack on our arithmetic.
_NUMBER = re.compile(r"-?\d{1,20}(\.\d{1,30})?([eE][+-]?\d{1,2})?", re.ASCII)

# More digits of a quotient of two prices would claim an exactness that neither has.
_QUOTIENT = Context(prec=12)


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete HTTP answer of bounded size."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Parse the body; numbers with a fraction become Decimal. Raises SourceFailed if it is not JSON."""
        try:
            return json.loads(self.body, parse_float=Decimal, parse_constant=_refuse_constant)
        except (ValueError, ArithmeticError, RecursionError):
            # Apart from text that is not JSON: exponents and nesting beyond Python's limits.
            raise SourceFailed("the answer is not JSON") from None

    def expect_ok(self) -> None:
        """Raise SourceFailed unless the status is 200."""
        if self.status != HTTPStatus.OK:
            raise SourceFailed(f"answered with status {self.status}")


class HttpSource:
    """A price source on the web. A subclass sets `name` and `base_url`, and has `observe` call `_get`."""

    name: ClassVar[str]
    base_url: ClassVar[str]

    def __init__(self, connections: Connections) -> None:
        self._client = connections.client
        self._clock = connections.clock
        self._timeout_seconds = connections.timeout_seconds

    async def _get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        base_url: str = "",
    ) -> Reply:
        """GET a path, of another `base_url` if given, bounded in size and in total time (also when bytes drip).

        Redirects are not followed. Raises SourceFailed without a complete answer, SourceThrottled on 429.
        """
        # Imported late: the configuration reads the table of sources, and most commands need no HTTP client.
        import httpx

        seconds, url = self._timeout_seconds, f"{base_url or self.base_url}{path}"
        try:
            async with (
                asyncio.timeout(seconds),
                self._client.stream(
                    "GET",
                    url,
                    params=params,
                    headers={**_HEADERS, **(headers or {})},
                    timeout=seconds,
                    follow_redirects=False,
                ) as response,
            ):
                return await _receive(response)
        except (TimeoutError, httpx.TimeoutException):
            raise SourceFailed(f"no answer within {seconds:g} s") from None
        except httpx.HTTPError as error:
            raise SourceFailed(f"can't be reached: {connection_failure(error)}") from error


def connection_failure(error: BaseException) -> str:
    """Return in words why a request over HTTP had no answer: the cause, however deep the libraries have wrapped it."""
    import ssl

    import httpx

    kinds: tuple[tuple[type[BaseException], str], ...] = (
        (socket.gaierror, "its name leads to no address (a typing error, or no name server from here)"),
        (ssl.SSLCertVerificationError, "its certificate is not valid for this name and day, or not trusted here"),
        (ssl.SSLError, "it doesn't speak TLS as https:// needs"),
        (ConnectionRefusedError, "nothing listens there"),
        (TimeoutError, "no answer came in time"),
        (httpx.TimeoutException, "no answer came in time"),
        (httpx.ProtocolError, "what answers there doesn't speak HTTP"),
    )
    found = (words for each in _causes(error) for kind, words in kinds if isinstance(each, kind))
    return next(found, "the connection failed, or broke")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error's causes, the deepest first, and the error itself."""
    if (cause := error.__cause__ or error.__context__) is not None:
        yield from _causes(cause)
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _causes(each)
    yield error


def number(value: Any) -> Decimal:
    """Read a price from an answer: a decimal string or a JSON number of sane length. Raises SourceFailed."""
    if isinstance(value, str | int | Decimal) and not isinstance(value, bool):
        text = str(value)
        if _NUMBER.fullmatch(text):
            return Decimal(text)
    raise SourceFailed("the answer holds no number where the price should be")


def quotient(dividend: Decimal, divisor: Decimal) -> Decimal:
    """Divide two prices, to 12 significant digits. Raises SourceFailed unless the divisor is positive."""
    if divisor <= 0:
        raise SourceFailed("the answer holds a price of zero")
    return _QUOTIENT.divide(dividend, divisor)


def member(value: Any, key: str) -> Any:
    """Return `value[key]`. Raises SourceFailed if `value` is not a JSON object with such a member."""
    if not isinstance(value, dict) or key not in value:
        raise SourceFailed(f"the answer has no {key!r}")
    return value[key]


async def _receive(response: "httpx.Response") -> Reply:
    if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        raise SourceThrottled("too many requests", retry_after_seconds=_retry_after(response))
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise SourceFailed("the answer is compressed, though we did not ask for that")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise SourceFailed(f"the answer is larger than {MAX_ANSWER_BYTES // 1024} KiB")
    return Reply(response.status_code, bytes(body))


def _retry_after(response: "httpx.Response") -> int:
    """Read the seconds of Retry-After, up to an hour; 0, for a header that is absent or unreadable, leaves it to us."""
    wait = retry_after.parse(response.headers.get("Retry-After", ""), datetime.now(UTC)) or 0
    return min(math.ceil(wait), _MAX_RETRY_AFTER_SECONDS)


def _refuse_constant(name: str) -> NoReturn:
    # Python's parser accepts NaN and Infinity, which are not JSON.
    raise ValueError(name)
