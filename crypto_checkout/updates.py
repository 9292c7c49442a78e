"""Ask a URL for the newest version of this program: one GET over https that says nothing about the shop.

No version, no cookie and no query is sent, and nothing is asked for that the URL doesn't name. Time, size and redirects
are limited here; what the answer says is judged in `core.upkeep.versions`.
"""

import asyncio
import json
import ssl
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin, urlsplit

from crypto_checkout.core.errors import UpdatesUnknown

MAX_ANSWER_BYTES = 256 * 1024
"""GitHub's answer lists the files of a release, each with its uploader: 2 KiB a file."""

TIMEOUT_SECONDS = 20.0
_MOST_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_HEADERS = {
    "Accept": "application/json",
    # A compressed answer could unfold to any size.
    "Accept-Encoding": "identity",
    # GitHub answers nobody without one.
    "User-Agent": "crypto-checkout",
}


async def ask(url: str, *, trusting: ssl.SSLContext | None = None, timeout_seconds: float = TIMEOUT_SECONDS) -> Any:
    """Return the JSON that a URL answers with; redirects are followed to https only.

    `trusting` replaces the authorities that certificates are checked against. Raises UpdatesUnknown with the reason.
    """
    # Imported late: most commands need no HTTP client.
    import httpx

    try:
        async with asyncio.timeout(timeout_seconds):
            # Loading every authority takes some 20 ms.
            if trusting is None:
                trusting = await asyncio.to_thread(ssl.create_default_context)
            for _ in range(_MOST_REDIRECTS + 1):
                status, location, body = await _get(url, trusting, timeout_seconds)
                if status not in _REDIRECTS or not location:
                    return _read(status, body)
                url = _redirected(url, location)
    except (TimeoutError, httpx.TimeoutException):
        raise UpdatesUnknown(f"no answer within {timeout_seconds:g} s") from None
    except (httpx.InvalidURL, UnicodeError):  # the second for a name that no domain can have
        raise UpdatesUnknown("it redirects to no valid URL") from None
    except httpx.HTTPError as error:
        raise UpdatesUnknown(f"can't be reached: {_reason(error)}") from error
    raise UpdatesUnknown(f"it redirects more than {_MOST_REDIRECTS} times")


async def _get(url: str, trusting: ssl.SSLContext, timeout_seconds: float) -> tuple[int, str, bytes]:
    """Return the status, the Location and the body of one answer. Each request has a client, and so no cookie."""
    import httpx

    async with (
        httpx.AsyncClient(verify=trusting, trust_env=False, follow_redirects=False, timeout=timeout_seconds) as client,
        client.stream("GET", url, headers=_HEADERS) as response,
    ):
        location = response.headers.get("Location", "")
        if response.status_code in _REDIRECTS and location:
            return response.status_code, location, b""
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise UpdatesUnknown("the answer is compressed, which wasn't asked for")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise UpdatesUnknown(f"the answer is larger than {MAX_ANSWER_BYTES // 1024} KiB")
        return response.status_code, "", bytes(body)


def _redirected(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
        is_safe = urlsplit(target).scheme == "https" and urlsplit(target).username is None
    except ValueError:
        is_safe = False
    if not is_safe:
        raise UpdatesUnknown("it redirects to something that isn't https://")
    return target


def _read(status: int, body: bytes) -> Any:
    if status != HTTPStatus.OK:
        raise UpdatesUnknown(f"it answers with status {status}")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise UpdatesUnknown("the answer is no JSON") from None


def _reason(error: Exception) -> str:
    """Return the last cause of an error, in a word or two; it never repeats what the other side wrote."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "its certificate is not valid for this name and day, or not trusted here"
    if isinstance(cause, ssl.SSLError):
        return "it doesn't speak TLS"
    return "the connection failed, or broke"
