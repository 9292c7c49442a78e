"""What is to be sent, as a value, and how it looks on the wire. Nothing is sent here."""

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

# The parameters of lists that are not in camelCase.
_AS_THEY_ARE = frozenset({"starting_after", "ending_before"})


def _as_it_is(answer: dict[str, Any]) -> Any:
    return answer


@dataclass(frozen=True, slots=True)
class ApiCall(Generic[T]):
    """One request of the API, and `read`, which makes a `T` of the JSON that answers it.

    The names in `query` and `body` are those of Python, in snake_case. Whatever writes has an idempotency key, so
    that sending the same call again is safe.
    """

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    idempotency_key: str | None = None
    read: Callable[[dict[str, Any]], T] = _as_it_is

    def __post_init__(self) -> None:
        if self.method != "GET" and self.idempotency_key is None:
            object.__setattr__(self, "idempotency_key", str(uuid.uuid4()))


def address(base_url: str) -> str:
    """Return where the API of a server is. Raises ValueError for what can't be a server's URL."""
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
    """Return the headers of every request. Raises ValueError for what can't be a key, without showing it."""
    if not _VISIBLE.fullmatch(api_key):
        raise ValueError('api_key: should look like "ck_test_…", without spaces or line ends around it')
    return {
        "Accept": "application/json",
        "Authorization": f"Bearer {api_key}",
        "User-Agent": f"crypto-checkout-python/{__version__}",
    }


def to_request(call: ApiCall[Any], http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
    """Write a call as an HTTP request, which can be sent any number of times."""
    written: dict[str, str] = {}
    content = None
    if call.idempotency_key is not None:
        written["Idempotency-Key"] = call.idempotency_key
    if call.body is not None:
        written["Content-Type"] = "application/json"
        fields = {_camel(name): value for name, value in call.body.items()}
        content = json.dumps(fields, default=_text).encode()
    query = {_camel(name): _parameter(value) for name, value in call.query.items() if value is not None}
    return http.build_request(call.method, call.path, params=query, content=content, headers=written)


def identified(path: str, resource_id: str) -> str:
    """Put an id into a path. Raises ValueError for what can't be an id, lest it lead to another path."""
    if not _ID.fullmatch(resource_id):
        raise ValueError(f'"{resource_id[:60]}" is no id; ids look like cs_01JD4Z8W3V9QK2M6T5N7P8R0XY')
    return path.format(id=resource_id)


def _camel(name: str) -> str:
    if name in _AS_THEY_ARE:
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
    """Write what JSON has no value for."""
    match value:
        case Decimal():
            return f"{value:f}"
        case datetime():
            return moments.to_text(value)
        case _:
            raise TypeError(f"{value!r} can't be sent: neither JSON nor a Decimal or a datetime with a zone")
