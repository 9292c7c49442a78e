"""What every price source is, how it fails, and what the sources on HTTP share.

No source judges freshness or agreement against others (`core.checkout.quotes` does), and none retries (`prices.board`
does). Reasons of failures may reach API clients: they never carry addresses, headers or text that a remote server
chose.
"""

import asyncio
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal
from http import HTTPStatus
from typing import Any, NoReturn, Protocol

import httpx

from crypto_checkout.core import retry_after
from crypto_checkout.core.checkout.quotes import Observation
from crypto_checkout.core.errors import SourceFailed

TIMEOUT_SECONDS = 3.0

# Real answers are below 1 KiB.
MAX_ANSWER_BYTES = 64 * 1024

_MAX_RETRY_AFTER_SECONDS = 3600

_HEADERS = {
    "Accept": "application/json",
    # Compressed answers could unfold to any size in one chunk, so they are neither asked for nor read.
    "Accept-Encoding": "identity",
    "User-Agent": "crypto-checkout",
}

# Bounded on purpose: a price of a thousand digits is an attack on our arithmetic.
_NUMBER = re.compile(r"-?\d{1,20}(\.\d{1,30})?([eE][+-]?\d{1,2})?", re.ASCII)

# More digits of a quotient of two prices would claim an exactness that neither has.
_QUOTIENT = Context(prec=12)


class UnsupportedPair(SourceFailed):
    """The source works, but does not quote this pair."""


class SourceThrottled(SourceFailed):
    """The source wants to be left alone for a while: at least `retry_after_seconds`, if it said so."""

    def __init__(self, message: str, *, retry_after_seconds: int = 0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Source(Protocol):
    """Somebody who knows prices."""

    @property
    def name(self) -> str:
        """The name in the configuration, and in a rate's `sources`."""

    async def observe(self, base: str, quote: str) -> Observation:
        """Ask once what one unit of `base` (ETH, POL, BNB, USD) costs in `quote` (ISO 4217, upper case).

        Raises SourceFailed with a plain reason; UnsupportedPair and Throttled are the two special ones.
        """


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
            # Beside texts that are no JSON: exponents and nesting that are too deep for Python.
            raise SourceFailed("the answer is not JSON") from None

    def expect_ok(self) -> None:
        """Raise SourceFailed unless the status is 200."""
        if self.status != HTTPStatus.OK:
            raise SourceFailed(f"answered with status {self.status}")


async def get(client: httpx.AsyncClient, url: str, params: Mapping[str, str], *, timeout_seconds: float) -> Reply:
    """GET `url`, bounded in time (in total, also when bytes drip) and size; redirects are not followed.

    Raises SourceFailed when no complete answer came, Throttled on 429.
    """
    try:
        async with (
            asyncio.timeout(timeout_seconds),
            client.stream(
                "GET", url, params=params, headers=_HEADERS, timeout=timeout_seconds, follow_redirects=False
            ) as response,
        ):
            return await _receive(response)
    except (TimeoutError, httpx.TimeoutException):
        raise SourceFailed(f"no answer within {timeout_seconds:g} s") from None
    except httpx.HTTPError as error:
        raise SourceFailed(f"can't be reached ({type(error).__name__})") from error


def number(value: Any) -> Decimal:
    """Read a price as it stands in an answer: a decimal string or a JSON number of sane length, else SourceFailed."""
    if isinstance(value, str | int | Decimal) and not isinstance(value, bool):
        text = str(value)
        if _NUMBER.fullmatch(text):
            return Decimal(text)
    raise SourceFailed("the answer holds no number where the price should be")


def quotient(dividend: Decimal, divisor: Decimal) -> Decimal:
    """Divide two prices, to 12 significant digits; a divisor that is not positive raises SourceFailed."""
    if divisor <= 0:
        raise SourceFailed("the answer holds a price of zero")
    return _QUOTIENT.divide(dividend, divisor)


def member(value: Any, key: str) -> Any:
    """Return `value[key]`; SourceFailed if `value` is no JSON object or has no such member."""
    if not isinstance(value, dict) or key not in value:
        raise SourceFailed(f"the answer has no {key!r}")
    return value[key]


async def _receive(response: httpx.Response) -> Reply:
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


def _retry_after(response: httpx.Response) -> int:
    """Read the seconds of Retry-After, up to an hour; where it says nothing, 0 leaves the wait to the board."""
    wait = retry_after.parse(response.headers.get("Retry-After", ""), datetime.now(UTC)) or 0
    return min(math.ceil(wait), _MAX_RETRY_AFTER_SECONDS)


def _refuse_constant(name: str) -> NoReturn:
    # Python's parser takes NaN and Infinity, which are not JSON.
    raise ValueError(name)
