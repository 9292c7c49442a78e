"""The table of operations as an OpenAPI 3.1 document, with this server's URL."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from crypto_checkout import __version__
from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.core.public import examples
from crypto_checkout.http.api import webhook_docs
from crypto_checkout.http.api.components import HEADERS, ErrorAnswer, Json, Schemas, by_status, headers

from .operations import PREFIX, STORED, Operation
from .schemas import Nothing

_ABOUT = (
    "Accept payments in ETH and ERC-20 tokens. Coin amounts are integer strings in the smallest unit, with a decimal "
    "beside them; prices are decimal strings; times are ISO 8601 in UTC. A key sees only objects of its own mode."
)
_ID = "^[a-z]{2,8}_[0-9A-Za-z]{1,64}$"


def document(operations: Sequence[Operation], public_url: str) -> Json:
    """Return the document."""
    shapes = Schemas(
        [
            *(o.answer for o in operations),
            *(o.body for o in operations),
            *(o.query for o in operations),
            *webhook_docs.SHAPES,
        ]
    )
    paths: Json = {}
    for operation in operations:
        described = _operation(operation, operations, shapes, public_url)
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Crypto Checkout",
            "version": __version__,
            "description": _ABOUT,
            "contact": {"name": "The documentation of this server", "url": f"{public_url}/docs"},
            "license": {"name": "Proprietary", "url": f"{public_url}/docs"},
        },
        "servers": [{"url": public_url, "description": "This server"}],
        "tags": [{"name": tag, "description": title(tag)} for tag in dict.fromkeys(_tag(o) for o in operations)],
        "security": [{"apiKey": []}],
        "paths": paths,
        "webhooks": webhook_docs.webhooks(public_url),
        "components": {
            "schemas": {**_body_schemas(operations, shapes), **webhook_docs.events(shapes)},
            "responses": {f.name: f.response() for operation in operations for f in _failures(operation)},
            "headers": dict(HEADERS),
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key of this server: `ck_live_…` or `ck_test_…`, with scopes.",
                    "x-scopes": {scope.value: _scope_info(scope) for scope in Scope},
                }
            },
        },
    }


def title(tag: str) -> str:
    """Return a tag's title."""
    return tag.replace("_", " ").capitalize()


def _body_schemas(operations: Sequence[Operation], shapes: Schemas) -> Json:
    """Return the schemas of bodies and answers; query parameters are listed one by one instead."""
    left_out = {o.query.__name__ for o in operations} | {Nothing.__name__}
    changed = {o.body.__name__ for o in operations if o.method == "PATCH"}
    return {
        name: _without_defaults(schema) if name in changed else schema
        for name, schema in sorted(shapes.schemas.items())
        if name not in left_out
    }


def _without_defaults(schema: Json) -> Json:
    """Remove the defaults from a PATCH: fields not given stay as they are."""
    fields = schema["properties"].items()
    properties = {name: {n: v for n, v in field.items() if n != "default"} for name, field in fields}
    return {**schema, "properties": properties}


def _operation(operation: Operation, operations: Sequence[Operation], shapes: Schemas, public_url: str) -> Json:
    described = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": _description(operation),
        "tags": [_tag(operation)],
        "security": [{"apiKey": []}],
        "x-required-scopes": [operation.scope.value],
        "parameters": _parameters(operation, shapes, public_url),
        "responses": _responses(operation, operations, shapes, public_url),
    }
    if operation.body is not Nothing:
        content = {"schema": shapes.ref(operation.body), "example": operation.sent}
        described["requestBody"] = {
            "required": _needs_body(operation, shapes),
            "content": {"application/json": content},
        }
    return described


def _needs_body(operation: Operation, shapes: Schemas) -> bool:
    return not {"required", "minProperties"}.isdisjoint(shapes.inside(operation.body))


def _description(operation: Operation) -> str:
    only = "Only with a test key." if operation.test_mode_only else ""
    return " ".join(filter(None, [operation.description, f"Scope: `{operation.scope}`.", only]))


def _parameters(operation: Operation, shapes: Schemas, public_url: str) -> list[Json]:
    found: list[Json] = []
    if "{id}" in operation.path:
        example = _example_id(operation, public_url)
        id_: Json = {"name": "id", "in": "path", "required": True, "description": "The object's ID."}
        found.append({**id_, "schema": _text(pattern=_ID), "example": example})
    query = shapes.inside(operation.query)
    for name, field in query.get("properties", {}).items():
        schema = {n: v for n, v in field.items() if n != "description"}
        found.append(
            {"name": name, "in": "query", "description": field["description"], "schema": _without_null(schema)}
        )
    if operation.write is not None:
        example = _example_key(operation)
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "Makes retries safe: the same key and request get the stored response, for 24 hours.",
                "schema": _text(minLength=1, maxLength=255, pattern="^[!-~]+$", examples=[example]),
                "example": example,
            }
        )
    if operation.has_tag:
        found.append(
            {
                "name": "If-None-Match",
                "in": "header",
                "description": "An ETag: the response is an empty 304 if nothing has changed.",
                "schema": _text(),
            }
        )
    return found


def _example_id(operation: Operation, public_url: str) -> str:
    """Return the id of the object that an operation's path names."""
    example = operation.example(public_url)
    found: str | None = example.get("id") or example.get("endpointId")
    if found is None:
        (first,) = example["data"]
        found = first.get("endpointId") or examples.shown_paid_session(public_url)["id"]
    return found


def _example_key(operation: Operation) -> str:
    """Return a key of the operation's own: the same key for two of them would be refused."""
    words = re.sub("([A-Z])", r"-\1", operation.id).lower()
    return f"{words}-1042-1"


def _scope_info(scope: Scope) -> str:
    objects, _, access = scope.partition(":")
    return f"{access.capitalize()} {objects}"


def _text(**more: Any) -> Json:
    return {"type": "string", **more}


def _without_null(schema: Json) -> Json:
    """Return the schema of an optional parameter; a query has no null."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    return kinds[0] if kinds else schema


def _responses(operation: Operation, operations: Sequence[Operation], shapes: Schemas, public_url: str) -> Json:
    of_writes = ["Idempotent-Replayed"] if operation.write is not None else []
    of_reads = ["ETag"] if operation.has_tag else []
    found: Json = {
        str(operation.status): {
            "description": shapes.schemas[shapes.ref(operation.answer)["$ref"].rpartition("/")[2]]["description"],
            "headers": headers(operation.status, *of_writes, *of_reads),
            "content": {
                "application/json": {
                    "schema": shapes.ref(operation.answer),
                    "example": operation.example(public_url),
                }
            },
        }
    }
    links = _links(operation, operations)
    if links:
        found[str(operation.status)]["links"] = links
    if operation.has_tag:
        found["304"] = {"description": "Nothing has changed.", "headers": headers(HTTPStatus.NOT_MODIFIED, "ETag")}
    for failure in _failures(operation):
        found[str(failure.status)] = {"$ref": f"#/components/responses/{failure.name}"}
    return found


def _failures(operation: Operation) -> list[ErrorAnswer]:
    may_be_stored = operation.write is not None
    return [
        ErrorAnswer(status, tuple(causes), is_stored=may_be_stored and not set(causes).isdisjoint(STORED))
        for status, causes in by_status(operation.errors()).items()
    ]


def _links(operation: Operation, operations: Sequence[Operation]) -> Json:
    """Return the links from a new object to the operations on it."""
    if operation.status != HTTPStatus.CREATED:
        return {}
    return {
        other.id: {"operationId": other.id, "parameters": {"id": "$response.body#/id"}}
        for other in operations
        if other.path.removeprefix("/test_helpers").startswith(operation.path + "/{id}")
    }


def _tag(operation: Operation) -> str:
    return operation.path.split("/")[1]
