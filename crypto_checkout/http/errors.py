"""Errors as responses: the one place that maps error codes to status codes."""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from crypto_checkout.core import errors
from crypto_checkout.core.errors import CheckoutError, DatabaseFailed, OutcomeUnknown

PageNotFound = Callable[[Request], Response | None]

INTERNAL = "internal_error"

TYPES: Mapping[int, str] = {
    400: "invalid_request",
    401: "authentication",
    403: "permission",
    404: "not_found",
    405: "invalid_request",
    409: "conflict",
    413: "invalid_request",
    415: "invalid_request",
    429: "rate_limited",
    500: "server",
    501: "invalid_request",
    503: "server",
}

STATUS: Mapping[str, int] = {
    "missing_api_key": 401,
    "invalid_api_key": 401,
    "revoked_api_key": 401,
    "insufficient_scope": 403,
    "invalid_json": 400,
    "invalid_body": 400,
    "invalid_query": 400,
    "invalid_cursor": 400,
    "link_inactive": 400,
    "unsupported_chain": 400,
    "unsupported_asset": 400,
    "amount_too_small": 400,
    "amount_too_large": 400,
    "method_not_allowed": 405,
    "body_too_large": 413,
    "unsupported_content_type": 415,
    "resource_not_found": 404,
    "route_not_found": 404,
    "idempotency_key_reused": 409,
    "session_not_open": 409,
    "link_sold_out": 409,
    "customer_exists": 409,
    "refund_not_open": 409,
    "rate_limit_exceeded": 429,
    INTERNAL: 500,
    "price_unavailable": 503,
    "wallet_not_configured": 503,
}
"""The status of each error code. The codes are public, and never change."""

_STATUS_OF_CLASS: Mapping[type[CheckoutError], int] = {
    errors.DatabaseUnavailable: 503,
    errors.ServerStopping: 503,
    errors.MethodUnknown: 501,
}


def status(cause: type[CheckoutError]) -> int:
    """Return an error's status: that of its code, or its own for those that share a code with others."""
    return _STATUS_OF_CLASS.get(cause) or STATUS[cause.code]


def body(error: CheckoutError, request_id: str) -> dict[str, dict[str, str]]:
    """Return an error as the API's JSON object."""
    described = {"type": TYPES[status(type(error))], "code": error.code, "message": _utf8(error.message)}
    if error.param is not None:
        described["param"] = _utf8(error.param)
    return {"error": {**described, "requestId": request_id}}


def _utf8(text: str) -> str:
    """Replace characters that UTF-8 can't encode: messages quote requests, which may contain lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")


def headers(error: CheckoutError) -> dict[str, str]:
    """Return an error's headers."""
    if isinstance(error, errors.MethodNotAllowed):
        return {"Allow": error.allow}
    if error.retry_after_seconds is not None:
        return {"Retry-After": str(error.retry_after_seconds)}
    if status(type(error)) == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    return {}


def answer(error: CheckoutError, request_id: str) -> Response:
    """Return an error as a JSON response."""
    return JSONResponse(body(error, request_id), status(type(error)), headers(error))


def internal(request_id: str) -> Response:
    """Return the response to an unexpected error, without its details."""
    fault = CheckoutError(f"Something went wrong on this server. The log has it under {request_id}.")
    return answer(fault, request_id)


def stopping(request_id: str) -> Response:
    """Return the response to a request that the server no longer waits for."""
    fault = errors.ServerStopping(
        "The server is stopping, and didn't wait for the end of this request. Repeat it with the same Idempotency-Key: "
        "it takes effect once. If you sent none, check first whether it was done."
    )
    return answer(fault, request_id)


def answer_to(request: Request, error: Exception, page_not_found: PageNotFound) -> Response:
    """Return the response to a CheckoutError, a DatabaseFailed or an HTTPException of Starlette that a handler raised.

    `page_not_found` answers browsers where nothing is at a path, and returns None for programs.
    """
    # Not `request.url`, which includes the Host header and the query, and fails when those can't be decoded.
    target = f"{request.method[:20]} {request.scope['path'][:200]}"
    if isinstance(error, HTTPException):
        error = _from_starlette(error, target)
    elif isinstance(error, OutcomeUnknown):
        error = errors.DatabaseUnavailable(
            "The server lost its database while it stored this, and can't tell whether it did. Repeat the request with "
            "the same Idempotency-Key: it takes effect once. If you sent none, check first whether it was done."
        )
    elif isinstance(error, DatabaseFailed):  # the log has the reason, once a minute
        error = errors.DatabaseUnavailable(
            "The server can't store or read its data for the moment. Nothing was changed; try again later."
        )
    assert isinstance(error, CheckoutError), "called for these only"
    if isinstance(error, errors.RouteNotFound) and (page := page_not_found(request)) is not None:
        return page
    return answer(error, request.scope["request_id"])


def _from_starlette(error: HTTPException, target: str) -> CheckoutError:
    match error.status_code:
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allow = (error.headers or {}).get("Allow", "")
            return errors.MethodNotAllowed(f"{target} is not possible; this path takes {allow}.", allow=allow)
        case HTTPStatus.NOT_FOUND:
            return errors.RouteNotFound(f"There is nothing at {target}.")
        case _:
            return errors.InvalidQuery(f"The request can't be understood: {error.detail}.")
