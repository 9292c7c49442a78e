"""Every way a call can fail, and which one an answer is. Nothing is retried or sent here."""

import json
from typing import Any

import httpx


class CheckoutClientError(Exception):
    """A call without a result: the server refused it, or no answer came."""


class ConnectionFailed(CheckoutClientError):
    """No answer came, retries included; `__cause__` is httpx's error.

    Whether the server did what was asked is unknown. Asking again with the same `idempotency_key` is safe.
    """


class CheckoutApiError(CheckoutClientError):
    """An answer other than a success.

    Args:
        message: what is wrong, for a developer.
        status: the HTTP status.
        type: the kind of error, which is also the subclass; `unexpected` for what is no answer of this API.
        code: the cause, as in `session_not_open`; None where the answer is not the server's own but, say, a proxy's.
        param: the wrong field (`amount.value`) or query parameter, if it is one.
        request_id: names the request in the server's log.
        retry_after_seconds: how long the server wants to be left alone, if it said so.

    """

    # All of them go to Exception as well, so that a pickled error (from a worker of a task queue) can be read again.
    def __init__(
        self,
        message: str,
        status: int,
        type: str,  # noqa: A002 - the API's word
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, status, type, code, param, request_id, retry_after_seconds)
        self.message = message
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        details = [f"HTTP {self.status}", self.code, self.request_id]
        return f"{self.message} ({', '.join(detail for detail in details if detail)})"


class AuthenticationError(CheckoutApiError):
    """The API key is missing, unknown or revoked."""


class PermissionDenied(CheckoutApiError):
    """The API key lacks a scope, which the message names; or a live key was used with a test helper."""


class InvalidRequest(CheckoutApiError):
    """The request is wrong; `param` names the field."""


class NotFound(CheckoutApiError):
    """There is no such object in the key's mode."""


class Conflict(CheckoutApiError):
    """The object's state doesn't allow it, or the idempotency key came before with another request."""


class RateLimited(CheckoutApiError):
    """Too many requests, retries included."""


class ServerError(CheckoutApiError):
    """The server, or one between it and here, can't answer now, retries included."""


_UNEXPECTED = "unexpected"
_CLASSES: dict[str, type[CheckoutApiError]] = {
    "authentication": AuthenticationError,
    "permission": PermissionDenied,
    "invalid_request": InvalidRequest,
    "not_found": NotFound,
    "conflict": Conflict,
    "rate_limited": RateLimited,
    "server": ServerError,
}
# For answers that are not the server's own, such as a proxy's.
_TYPES = {
    400: "invalid_request",
    401: "authentication",
    403: "permission",
    404: "not_found",
    409: "conflict",
    413: "invalid_request",
    429: "rate_limited",
}
_FIRST_SERVER_ERROR = 500


def from_response(response: httpx.Response) -> CheckoutApiError:
    """Return the error that an answer is."""
    told = _told(response)
    status = response.status_code
    kind = told.get("type") or _TYPES.get(status) or ("server" if status >= _FIRST_SERVER_ERROR else _UNEXPECTED)
    return _CLASSES.get(kind, CheckoutApiError)(
        told.get("message") or _describe(response),
        status,
        kind,
        told.get("code"),
        told.get("param"),
        told.get("requestId") or response.headers.get("x-request-id"),
        retry_after_seconds(response),
    )


def unreadable(response: httpx.Response) -> CheckoutApiError:
    """Return the error for a success that is no JSON object: it comes from something else than this API."""
    message = f"{response.url} answered with something else than the API's JSON; is base_url right?"
    return CheckoutApiError(message, response.status_code, _UNEXPECTED)


def retry_after_seconds(response: httpx.Response) -> float | None:
    """Return how long the server wants to be left alone; None if it doesn't say so in seconds."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _told(response: httpx.Response) -> dict[str, str]:
    """Return the error as the API tells it; nothing where the answer isn't the API's."""
    try:
        body: Any = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    told = body.get("error") if isinstance(body, dict) else None
    if not isinstance(told, dict):
        return {}
    return {name: text for name, text in told.items() if isinstance(text, str)}


def _describe(response: httpx.Response) -> str:
    if response.has_redirect_location:
        return f"{response.url} redirects to {response.headers['location']}; give the final address as base_url"
    return f"{response.url} answered {response.status_code} {response.reason_phrase}".rstrip()
