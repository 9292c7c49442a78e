"""API calls as values, and their translation to HTTP requests. Nothing is sent here."""

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, Literal, TypeVar

import httpx

from crypto_checkout import __version__
from crypto_checkout.core import moments

T = TypeVar("T")

PREFIX = "/api/v1"

_ID = re.compile(r"[A-Za-z0-9_]+")
_VISIBLE = re.compile(r"[!-~]+")

# List parameters that the API has in snake_case.
_SNAKE_CASE = frozenset({"starting_after", "ending_before"})


def _unchanged(answer: dict[str, Any]) -> Any:
    return answer


@dataclass(frozen=True, slots=True)
class ApiCall(Generic[T]):
    """One request to the API, and `read`, which turns its JSON answer into a `T`.

    The names in `query` and `body` are in snake_case. Every call that writes has an idempotency key, so that sending it
    again is safe.
    """

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    idempotency_key: str | None = None
    read: Callable[[dict[str, Any]], T] = _unchanged

    def __post_init__(self) -> None:
        if self.method != "GET" and self.idempotency_key is None:
            object.__setattr__(self, "idempotency_key", str(uuid.uuid4()))


def address(base_url: str) -> str:
    """Return the base URL of a server's API. Raises ValueError unless `base_url` can be a server's URL."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ValueError(f'base_url: "{base_url}" is no URL: {error}') from None
    if url.scheme not in {"http", "https"} or not url.host or url.query or url.fragment:
        raise ValueError(f'base_url: "{base_url}" should be the server\'s URL, like "https://pay.example.com"')
    if url.userinfo:
        raise ValueError("base_url: leave out the user name and password; the API key is all that is sent")
    return str(url).rstrip("/") + PREFIX


def headers(api_key: str) -> dict[str, str]:
    """Return the headers of every request. Raises ValueError for a malformed key, without showing it."""
    if not _VISIBLE.fullmatch(api_key):
        raise ValueError('api_key: should look like "ck_test_…", without spaces or line ends around it')
    return {
        "Accept": "application/json",
        "Authorization": f"Bearer {api_key}",
        "User-Agent": f"crypto-checkout-python/{__version__}",
    }


def to_request(call: ApiCall[Any], http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
    """Build the HTTP request of a call; it can be sent any number of times."""
    headers: dict[str, str] = {}
    content = None
    if call.idempotency_key is not None:
        headers["Idempotency-Key"] = call.idempotency_key
    if call.body is not None:
        headers["Content-Type"] = "application/json"
        fields = {_camel(name): value for name, value in call.body.items()}
        content = json.dumps(fields, default=_text).encode()
    query = {_camel(name): _parameter(value) for name, value in call.query.items() if value is not None}
    return http.build_request(call.method, call.path, params=query, content=content, headers=headers)


def identified(path: str, resource_id: str) -> str:
    """Insert an ID into a path. Raises ValueError for a malformed ID, which could lead to another path."""
    if not _ID.fullmatch(resource_id):
        raise ValueError(f'"{resource_id[:60]}" is no id; ids look like cs_01JD4Z8W3V9QK2M6T5N7P8R0XY')
    return path.format(id=resource_id)


def _camel(name: str) -> str:
    if name in _SNAKE_CASE:
        return name
    first, *more = name.split("_")
    return first + "".join(word.capitalize() for word in more)


def _parameter(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    return _text(value)


def _text(value: Any) -> str:
    """Encode a Decimal or datetime, for which JSON has no type."""
    match value:
        case Decimal():
            return f"{value:f}"
        case datetime():
            return moments.to_text(value)
        case _:
            raise TypeError(f"{value!r} can't be sent: neither JSON nor a Decimal or a datetime with a zone")
