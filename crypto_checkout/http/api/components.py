"""Components of the OpenAPI document: schemas, headers and error responses."""

import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter

from crypto_checkout.core.errors import CheckoutError
from crypto_checkout.core.public.envelopes import ErrorResource
from crypto_checkout.http import errors

Json = dict[str, Any]

_SCHEMAS = "#/components/schemas/"
_EXAMPLE_REQUEST = "req_01KG9YS7G08XK8B963W80J0FTY"

HEADERS: Mapping[str, Json] = {
    "X-Request-Id": {
        "description": "Names this request in the server's log.",
        "required": True,
        "schema": {"type": "string", "pattern": "^req_[0-9A-Z]{26}$"},
    },
    "RateLimit-Limit": {
        "description": "How many requests this key may make at once.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit-Remaining": {
        "description": "How many of them are left now.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "RateLimit-Reset": {
        "description": "In how many seconds all of them are there again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "Idempotent-Replayed": {
        "description": "There when this is the stored answer to an earlier request with the same Idempotency-Key.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "ETag": {
        "description": "Names this state of the resource, for If-None-Match.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "In how many seconds to try again; always there with 429.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "How to authenticate.",
        "required": True,
        "schema": {"type": "string", "enum": ["Bearer"]},
    },
}

_LIMITS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_OF_STATUS: Mapping[int, Sequence[str]] = {
    401: ("WWW-Authenticate",),
    429: (*_LIMITS, "Retry-After"),
    503: (*_LIMITS, "Retry-After"),
}


def headers(status: int, *more: str) -> Json:
    """Return the headers of a response; a request without a valid key gets none about its limit."""
    names = ("X-Request-Id", *_OF_STATUS.get(status, _LIMITS), *more)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


class Schemas:
    """The schemas of all bodies, queries and answers, by their types."""

    def __init__(self, shapes: Iterable[Any]) -> None:
        """Build the schemas of these types, and of the types inside them."""
        unique = tuple(dict.fromkeys([*shapes, ErrorResource]))
        # One tuple type of all, because only a type around them can turn on attribute docstrings.
        container: Any = tuple.__class_getitem__(unique)
        adapter = TypeAdapter[Any](container, config={"use_attribute_docstrings": True})
        described = adapter.json_schema(ref_template=_SCHEMAS + "{model}")
        self._names = {_key(shape): _name(_key(shape)) for shape in unique}
        self.schemas: Json = {
            _name(key): _tidy(schema) for key, schema in _rename_refs(described["$defs"], described["$defs"]).items()
        }
        assert len(self.schemas) == len(described["$defs"]), "two shapes have the same public name"
        self.schemas["Fault"]["properties"]["code"]["enum"] = list(errors.STATUS)
        self.schemas["Fault"]["properties"]["type"]["enum"] = sorted(set(errors.TYPES.values()))

    def ref(self, shape: Any) -> Json:
        """Return the reference to a type's schema."""
        return {"$ref": _SCHEMAS + self._names[_key(shape)]}

    def inside(self, shape: type[BaseModel]) -> Json:
        """Return the schema of a model itself."""
        schema: Json = self.schemas[self._names[_key(shape)]]
        return schema


def by_status(causes: Iterable[type[CheckoutError]]) -> dict[int, list[type[CheckoutError]]]:
    """Group errors by their status."""
    found: dict[int, list[type[CheckoutError]]] = {}
    for cause in dict.fromkeys(causes):
        found.setdefault(errors.status(cause), []).append(cause)
    return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """The response to the errors of one status; `is_stored` ones may be replayed for an idempotency key."""

    status: int
    causes: tuple[type[CheckoutError], ...]
    is_stored: bool

    @property
    def name(self) -> str:
        """The component's name, an identifier in any language; many operations share one."""
        words = "_".join([*(cause.code for cause in self.causes), *["stored"] * self.is_stored])
        return words.title().replace("_", "") + str(self.status)

    def response(self) -> Json:
        """Return the response object."""
        return {
            "description": " ".join(f"`{cause.code}`: {_sentence(cause)}" for cause in self.causes),
            "headers": headers(self.status, *["Idempotent-Replayed"] * self.is_stored),
            "content": {
                "application/json": {
                    "schema": {"$ref": _SCHEMAS + "Error"},
                    "examples": {cause.code: {"value": _example(cause)} for cause in self.causes},
                }
            },
        }


def _example(cause: type[CheckoutError]) -> Json:
    error = cause.__new__(cause)
    error.message, error.param = _sentence(cause), None
    return {**errors.body(error, _EXAMPLE_REQUEST)}


def _sentence(cause: type[CheckoutError]) -> str:
    if cause is CheckoutError:
        return "Something went wrong on this server; its log tells more."
    return inspect.getdoc(cause) or ""


def _key(shape: Any) -> str:
    """Return pydantic's name of a type: `SessionResource`, `ListResource_SessionResource_`."""
    arguments = "_".join(_key(each) for each in getattr(shape, "__args__", ()))
    origin = getattr(shape, "__origin__", shape)
    name: str = origin.__name__
    return f"{name}_{arguments}_" if arguments else name


def _name(key: str) -> str:
    """Return the public name of a type: `Session`, `SessionList`, `CustomerPage`."""
    kind, _, inner = key.removesuffix("_").partition("_")
    suffix = {"ListResource": "List", "NumberedPageResource": "Page"}.get(kind, "")
    return (inner or kind).removesuffix("Resource") + suffix


def _rename_refs(schema: Any, names: Iterable[str]) -> Any:
    text = json.dumps(schema)
    for name in names:
        text = text.replace(f'"{_SCHEMAS}{name}"', f'"{_SCHEMAS}{_name(name)}"')
    return json.loads(text)


def _tidy(schema: Any) -> Any:
    """Remove pydantic's titles and null defaults, and turn `patternProperties` into the usual `propertyNames`."""
    if isinstance(schema, list):
        return [_tidy(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _tidy(value) for name, value in schema.items() if not _is_noise(name, value)}
    if "patternProperties" in kept:
        ((pattern, values),) = kept.pop("patternProperties").items()
        kept["propertyNames"] = {**kept.get("propertyNames", {}), "pattern": pattern}
        kept["additionalProperties"] = values
    if isinstance(kept.get("description"), str):
        kept["description"] = " ".join(kept["description"].split())
    return kept


def _is_noise(name: str, value: Any) -> bool:
    return (name == "title" and isinstance(value, str)) or (name == "default" and value is None)
