"""The errors of the clients, and their construction from answers. Nothing is retried or sent here."""

import json
from typing import Any

import httpx


class CheckoutClientError(Exception):
    """The base of all errors: the server refused the call, or no answer came."""


class ConnectionFailed(CheckoutClientError):
    """No answer came, despite retries; `__cause__` is httpx's error.

    The server may have carried out the request. Sending it again with the same `idempotency_key` is safe.
    """


class CheckoutApiError(CheckoutClientError):
    """The server answered with an error. Catch a subclass to handle one kind.

    Args:
        message: an explanation for developers.
        status: the HTTP status.
        type: the kind of error, which also selects the subclass; `unexpected` if the answer is not from this API.
        code: the cause, such as `session_not_open`; None if the answer is not the server's own but, say, a proxy's.
        param: the field (`amount.value`) or query parameter at fault, if any.
        request_id: identifies the request in the server's log.
        retry_after_seconds: the pause that the server demands, if any.

    """

    # Exception gets all of them too, so that a pickled error (from the worker of a task queue) can be restored.
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
    """The API key lacks a scope, named by the message, or is a live key used with a test helper."""


class InvalidRequest(CheckoutApiError):
    """The request is invalid; `param` names the field."""


class NotFound(CheckoutApiError):
    """The object does not exist in the mode of the API key."""


class Conflict(CheckoutApiError):
    """The object's state forbids the operation, or the idempotency key was used for another request."""


class RateLimited(CheckoutApiError):
    """The API key has sent too many requests; retries did not help."""


class ServerError(CheckoutApiError):
    """The server, or a proxy in front of it, failed to answer; retries did not help."""


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
    """Make the error of an answer other than a success."""
    details = _details(response)
    status = response.status_code
    kind = details.get("type") or _TYPES.get(status) or ("server" if status >= _FIRST_SERVER_ERROR else _UNEXPECTED)
    return _CLASSES.get(kind, CheckoutApiError)(
        details.get("message") or _describe(response),
        status,
        kind,
        details.get("code"),
        details.get("param"),
        details.get("requestId") or response.headers.get("x-request-id"),
        retry_after_seconds(response),
    )


def unreadable(response: httpx.Response) -> CheckoutApiError:
    """Make the error of a success that is not a JSON object, and so not from this API."""
    message = f"{response.url} answered with something else than the API's JSON; is base_url right?"
    return CheckoutApiError(message, response.status_code, _UNEXPECTED)


def retry_after_seconds(response: httpx.Response) -> float | None:
    """Return the seconds of Retry-After; None if it is absent or a date."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _details(response: httpx.Response) -> dict[str, str]:
    """Return the text fields of the API's error; none if the answer isn't the API's."""
    try:
        body: Any = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return {}
    return {name: text for name, text in error.items() if isinstance(text, str)}


def _describe(response: httpx.Response) -> str:
    if response.has_redirect_location:
        return f"{response.url} redirects to {response.headers['location']}; give the final address as base_url"
    return f"{response.url} answered {response.status_code} {response.reason_phrase}".rstrip()
