"""One attempt to deliver: a POST to an endpoint, and its outcome. Retries are decided elsewhere.

This uses httpcore rather than httpx: the guard must sit where connections are opened, and there are no redirects,
cookies, proxies or decoders to turn off. The endpoint is presumed hostile: nothing it does can raise, exceed the
deadline, or fill the memory.
"""

import errno
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Self

import anyio
import httpcore

from crypto_checkout import __version__
from crypto_checkout.core import retry_after
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
MAX_ANSWER_BYTES = 64 * 1024
MAX_ANSWER_PIECES = 1024  # chunks: a thousand of a byte each cost as much as a thousand of a kilobyte
MAX_EXCERPT_BYTES = 4 * 1024

# Shorter than the usual 5 s after which servers hang up: a connection that closes just as it is reused is a failure.
_KEEPALIVE_SECONDS = 3.0
_MAX_IDLE_CONNECTIONS = 32

_SUCCESS = range(200, 300)
_REDIRECT = range(300, 400)
_GONE = 410

# Signing secrets and API keys, with all characters that may belong to them.
_SECRET = re.compile(r"(whsec_|ck_live_|ck_test_)[A-Za-z0-9+/=_-]+")

_FIXED_HEADERS = {
    "User-Agent": f"CryptoCheckout/{__version__}",
    "Content-Type": "application/json",
    "Accept": "*/*",
    "Accept-Encoding": "identity",  # nothing is ever decompressed, so a compressed bomb stays small
}


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


@dataclass(slots=True)
class _PartialAnswer:
    """The part of an answer received so far; it is reported even if the deadline cuts the answer off."""

    status_code: int | None = None
    retry_after_seconds: float | None = None
    body: bytearray = field(default_factory=bytearray)


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
        self._pool = httpcore.AsyncConnectionPool(
            # Made once: loading the authorities takes longer than most deliveries.
            ssl_context=httpcore.default_ssl_context() if ssl_context is None else ssl_context,
            max_connections=None,
            max_keepalive_connections=_MAX_IDLE_CONNECTIONS,
            keepalive_expiry=_KEEPALIVE_SECONDS,
            network_backend=GuardedBackend(reach=reach, resolver=resolver),
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
        answer = _PartialAnswer()
        broken: Exception | None = None
        try:
            with anyio.fail_after(self._timeout_seconds):
                await self._exchange(_request(url, headers, body), answer)
        except _REMOTE_FAILURES as exc:
            broken = exc
        failure, detail = _judge(answer, broken, self._timeout_seconds)
        return AttemptOutcome(
            status_code=answer.status_code,
            error=failure,
            detail=detail,
            duration_ms=round((time.perf_counter() - started) * 1000),
            excerpt=_excerpt(bytes(answer.body)),
            retry_after_seconds=answer.retry_after_seconds,
        )

    async def _exchange(self, request: httpcore.Request, answer: _PartialAnswer) -> None:
        response = await self._pool.handle_async_request(request)
        try:
            answer.status_code = response.status
            answer.retry_after_seconds = _retry_after(response)
            pieces = 0
            async for chunk in response.aiter_stream():
                pieces += 1
                if pieces > MAX_ANSWER_PIECES:
                    raise httpcore.RemoteProtocolError(f"an answer of more than {MAX_ANSWER_PIECES} pieces")
                answer.body += chunk[: MAX_ANSWER_BYTES - len(answer.body)]
                if len(answer.body) >= MAX_ANSWER_BYTES:
                    break  # closing an unfinished answer closes its connection
        finally:
            await response.aclose()


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


def _request(url: str, headers: Mapping[str, str], body: bytes) -> httpcore.Request:
    try:
        target = parse_url(url)
    except ValueError as exc:
        raise _InvalidUrl(str(exc)) from exc
    sent = {
        "Host": target.netloc.decode("ascii"),  # with the brackets of an IPv6 address
        **headers,
        **_FIXED_HEADERS,
        "Content-Length": str(len(body)),
    }
    return httpcore.Request(
        method=b"POST",
        url=httpcore.URL(scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path),
        headers=list(sent.items()),
        content=body,
        # Certificates name hosts without the root's dot.
        extensions={"sni_hostname": target.raw_host.decode("ascii").removesuffix(".")},
    )


def _retry_after(response: httpcore.Response) -> float | None:
    for name, value in response.headers:
        if name.lower() == b"retry-after":
            return retry_after.parse(value.decode("latin-1"), datetime.now(UTC))
    return None


def _excerpt(body: bytes) -> str:
    """Make text of the body's beginning that is safe to show anywhere.

    It has no terminal escapes, no changes of text direction, and none of our secrets, which debug pages like to print.
    """
    text = _SECRET.sub(r"\1…", body.decode("utf-8", "replace"))[:MAX_EXCERPT_BYTES]
    shown = "".join(character for character in text if character.isprintable() or character in "\n\t")
    # Each byte that is not UTF-8 became three.
    return shown.encode()[:MAX_EXCERPT_BYTES].decode("utf-8", "ignore")


def _judge(
    answer: _PartialAnswer, broken: Exception | None, timeout_seconds: float
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
