"""One attempt to deliver: a POST to an endpoint, and its outcome. Retries are decided elsewhere.

This uses `webhooks.connections` rather than httpx: the guard must sit where connections are opened, and there are no
redirects, cookies, proxies or decoders to turn off. The endpoint is presumed hostile: nothing it does can raise, exceed
the deadline, or fill the memory.
"""

import asyncio
import errno
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from types import TracebackType
from typing import Self

import h11
import httpcore

from crypto_checkout import __version__
from crypto_checkout.core import retry_after
from crypto_checkout.webhooks.connections import EndpointAnswer, EndpointConnections, Origin
from crypto_checkout.webhooks.guard import (
    BlockedAddress,
    GuardedBackend,
    NameNotResolved,
    Resolver,
    parse_url,
    resolve,
)
from crypto_checkout.webhooks.networks import Reach

DEFAULT_TIMEOUT_SECONDS = 15.0
MAX_EXCERPT_BYTES = 4 * 1024

_SUCCESS = range(200, 300)
_REDIRECT = range(300, 400)
_GONE = 410

_HTTP_PORT, _HTTPS_PORT = 80, 443

# Signing secrets and API keys, with all characters that may belong to them.
_SECRET = re.compile(r"(whsec_|ck_live_|ck_test_)[A-Za-z0-9+/=_-]+")

_FIXED_HEADERS = {
    "User-Agent": f"CryptoCheckout/{__version__}",
    "Content-Type": "application/json",
    "Accept": "*/*",
    "Accept-Encoding": "identity",  # nothing is ever decompressed, so a compressed bomb stays small
}
_FIXED_LINES = "".join(f"{name}: {value}\r\n" for name, value in _FIXED_HEADERS.items())


class Failure(StrEnum):
    """The reason why an attempt got no complete answer. The values are stored and shown: never rename one."""

    INVALID_URL = "invalid_url"
    DNS = "dns"
    BLOCKED_ADDRESS = "blocked_address"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    TIMEOUT = "timeout"
    CONNECTION_RESET = "connection_reset"
    INVALID_RESPONSE = "invalid_response"


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """The outcome of one attempt.

    Args:
        status_code: None if no status line arrived. Set together with `error` if the answer broke off after it.
        error: None if a complete answer arrived (or the first 64 KiB of one), whatever its status.
        detail: a sentence for the merchant, None on success. It holds no addresses and no internals.
        duration_ms: from the look-up of the name to the end of the answer.
        excerpt: the beginning of the answer's body, at most 4 KiB of UTF-8, without control characters and secrets.
            Untrusted text.
        retry_after_seconds: the pause that the endpoint demanded, not yet bounded.
    """

    status_code: int | None
    error: Failure | None
    detail: str | None
    duration_ms: int
    excerpt: str
    retry_after_seconds: float | None

    @property
    def is_success(self) -> bool:
        """True if the endpoint accepted the delivery: a 2xx, complete and in time."""
        return self.error is None and self.status_code in _SUCCESS

    @property
    def is_gone(self) -> bool:
        """True if the endpoint asked for no further deliveries: 410."""
        return self.error is None and self.status_code == _GONE


class Sender:
    """Sends attempts, any number at once, over one pool of connections. Use it as `async with Sender(...)`.

    The pool has no limit of its own: the dispatcher limits concurrent attempts, and a queue in here would let slow
    endpoints delay the others.

    Args:
        timeout_seconds: for the whole attempt, from the look-up of the name to the last byte of the answer.
        reach: the networks that attempts may go to.
        ssl_context: replaces the default, which trusts the system's and certifi's authorities.
        resolver: resolves a name and port to addresses.
    """

    def __init__(
        self,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        reach: Reach = Reach.PUBLIC,
        ssl_context: ssl.SSLContext | None = None,
        resolver: Resolver = resolve,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._pool = EndpointConnections(
            GuardedBackend(reach=reach, resolver=resolver),
            # Made once: loading the authorities takes longer than most deliveries.
            httpcore.default_ssl_context() if ssl_context is None else ssl_context,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._pool.aclose()

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> AttemptOutcome:
        """POST a body once and return the outcome.

        Repeating is safe: receivers recognise a delivery by its `webhook-id`. Nothing that the endpoint does raises;
        cancellation passes through and closes the connection.
        """
        started = time.perf_counter()
        answer = EndpointAnswer()
        broken: Exception | None = None
        try:
            async with asyncio.timeout(self._timeout_seconds):
                target = _target(url)
                await self._pool.exchange(target.origin, target.request(headers, body), answer)
        except _REMOTE_FAILURES as exc:
            broken = exc
        failure, detail = _judge(answer, broken, self._timeout_seconds)
        return AttemptOutcome(
            status_code=answer.status_code,
            error=failure,
            detail=detail,
            duration_ms=round((time.perf_counter() - started) * 1000),
            excerpt=_excerpt(bytes(answer.body)),
            retry_after_seconds=_seconds(answer.retry_after),
        )


class _InvalidUrl(ValueError):
    pass


# The exceptions that an endpoint can cause. The first match counts, so subclasses come before their parents. ValueError
# is a safety net: no answer is known to make h11 raise one, but a parser's oversight must stay an outcome. The last two
# are too vague by themselves: their causes decide.
_FAILURES: tuple[tuple[type[Exception], Failure | None], ...] = (
    (ssl.SSLError, Failure.TLS),
    (BlockedAddress, Failure.BLOCKED_ADDRESS),
    (NameNotResolved, Failure.DNS),
    (_InvalidUrl, Failure.INVALID_URL),
    (TimeoutError, Failure.TIMEOUT),
    (httpcore.TimeoutException, Failure.TIMEOUT),
    (ConnectionRefusedError, Failure.REFUSED),
    (httpcore.ProtocolError, Failure.INVALID_RESPONSE),
    (h11.RemoteProtocolError, Failure.INVALID_RESPONSE),
    (ValueError, Failure.INVALID_RESPONSE),
    (httpcore.NetworkError, None),
    (OSError, None),
)
_REMOTE_FAILURES = tuple(cause for cause, _ in _FAILURES)
_NO_ROUTE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL})

_SENTENCES = {
    Failure.TLS: "The TLS connection could not be made or broke off.",
    Failure.TIMEOUT: "There was no complete answer within {seconds:g} s.",
    Failure.REFUSED: "The connection was refused: nothing listens on that port.",
    Failure.UNREACHABLE: "There is no route to the endpoint's address.",
    Failure.INVALID_RESPONSE: "The connection ended without a whole and valid HTTP answer.",
    Failure.CONNECTION_RESET: "The connection broke off before the answer was complete.",
}


@dataclass(frozen=True, slots=True)
class _Target:
    """An endpoint's URL, taken apart; `first_lines` begin each request to it."""

    origin: Origin
    first_lines: str

    def request(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """Return a whole request."""
        signed = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        return f"{self.first_lines}{signed}{_FIXED_LINES}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body


@lru_cache(maxsize=256)
def _target(url: str) -> _Target:
    """Take a URL apart, exactly as `guard` checks it."""
    try:
        parsed = parse_url(url)
    except ValueError as exc:
        raise _InvalidUrl(str(exc)) from exc
    is_tls = parsed.scheme == "https"
    port = parsed.port if parsed.port is not None else _HTTPS_PORT if is_tls else _HTTP_PORT
    netloc = parsed.netloc.decode("ascii")  # with the brackets of an IPv6 address
    return _Target(
        Origin(is_tls, parsed.raw_host.decode("ascii"), port),
        f"POST {parsed.raw_path.decode('ascii')} HTTP/1.1\r\nHost: {netloc}\r\n",
    )


def _seconds(value: str | None) -> float | None:
    return None if value is None else retry_after.parse(value, datetime.now(UTC))


def _excerpt(body: bytes) -> str:
    """Make text of the body's beginning that is safe to show anywhere.

    It has no terminal escapes, no changes of text direction, and none of our secrets, which debug pages like to print.
    """
    if not body:
        return ""
    text = _SECRET.sub(r"\1…", body.decode("utf-8", "replace"))[:MAX_EXCERPT_BYTES]
    shown = "".join(character for character in text if character.isprintable() or character in "\n\t")
    # Each byte that is not UTF-8 became three.
    return shown.encode()[:MAX_EXCERPT_BYTES].decode("utf-8", "ignore")


def _judge(
    answer: EndpointAnswer, broken: Exception | None, timeout_seconds: float
) -> tuple[Failure | None, str | None]:
    """Return the failure, if any, with a sentence for the merchant."""
    if broken is None:
        return None, _unsuccessful(answer.status_code)
    for cause in _causes(broken):
        failure = _failure(cause)
        if failure is not None:
            return failure, _detail(failure, cause, timeout_seconds)
    return Failure.CONNECTION_RESET, _SENTENCES[Failure.CONNECTION_RESET]


def _unsuccessful(status_code: int | None) -> str | None:
    if status_code in _SUCCESS:
        return None
    if status_code in _REDIRECT:
        return f"The endpoint answered {status_code}; redirects are not followed, so give the final URL."
    return f"The endpoint answered {status_code}; only a 2xx counts as received."


def _failure(cause: BaseException) -> Failure | None:
    if isinstance(cause, OSError) and cause.errno in _NO_ROUTE:
        return Failure.UNREACHABLE
    return next((failure for kind, failure in _FAILURES if isinstance(cause, kind)), None)


def _detail(failure: Failure, cause: BaseException, timeout_seconds: float) -> str:
    if isinstance(cause, (BlockedAddress, NameNotResolved, _InvalidUrl)):
        text = str(cause)
        return f"{text[:1].upper()}{text[1:]}."
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"The TLS certificate was not accepted: {cause.verify_message.rstrip('.')}."
    return _SENTENCES[failure].format(seconds=timeout_seconds)


def _causes(broken: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes; httpcore keeps a cause as the argument and drops `__cause__`."""
    cause: BaseException | None = broken
    while cause is not None:
        yield cause
        inner = cause.args[0] if cause.args else None
        cause = inner if isinstance(inner, BaseException) else cause.__cause__
