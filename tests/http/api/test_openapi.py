"""The OpenAPI document: valid, complete, and true of every answer."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from starlette.routing import Route

from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.http import errors
from crypto_checkout.http.api.openapi import document
from crypto_checkout.http.api.operations import PREFIX, Operation
from crypto_checkout.http.api.publication import PATHS
from crypto_checkout.http.api.table import table
from tests.support import conformity
from tests.support.api import ENDPOINT, LINK, PRICE, App, made
from tests.support.receiver import Receiver
from tests.support.server import command

OPERATIONS = table()
PAYER = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
NAMES = [f"{operation.method} {operation.path}" for operation in OPERATIONS]


@pytest.fixture
async def published(app: App) -> dict[str, Any]:
    answer = await (await app.anybody()).get("http://shop.example/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def test_it_is_valid(published: dict[str, Any]) -> None:
    validate(published)
    assert published["openapi"].startswith("3.1")


async def test_it_is_at_both_addresses_without_a_key_and_with_a_tag(app: App) -> None:
    nobody = await app.anybody()
    first, second = [await nobody.get(f"http://shop.example{path}") for path in PATHS]
    assert first.content == second.content
    assert first.headers["content-encoding"] == "gzip"
    again = await nobody.get("http://shop.example/openapi.json", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_it_names_this_server(published: dict[str, Any]) -> None:
    assert published["servers"] == [{"url": "http://127.0.0.1:4020", "description": "This server"}]


async def test_every_route_is_in_it_and_every_path_is_a_route(app: App, published: dict[str, Any]) -> None:
    routes = {route.path for route in app.opened.web.routes if isinstance(route, Route)}
    assert {path for path in routes if path.startswith(PREFIX)} - set(PATHS) == set(published["paths"])
    for path, methods in published["paths"].items():
        allow = (await app.api.options(path.removeprefix(PREFIX))).headers["allow"].split(", ")
        assert {method.upper() for method in methods} == set(allow) - {"HEAD", "OPTIONS"}


def test_every_operation_has_a_name_of_its_own_and_says_its_scope() -> None:
    described = [o for methods in conformity.the_document()["paths"].values() for o in methods.values()]
    assert len({operation["operationId"] for operation in described}) == len(described) == len(OPERATIONS)
    for operation in described:
        assert operation["security"] == [{"apiKey": []}]
        (scope,) = operation["x-required-scopes"]
        assert f"`{scope}`" in operation["description"]
        assert scope in conformity.the_document()["components"]["securitySchemes"]["apiKey"]["x-scopes"]
        assert operation["summary"]


def test_every_field_and_parameter_is_explained() -> None:
    found = conformity.the_document()
    for name, schema in found["components"]["schemas"].items():
        assert schema["description"], name
        for field, described in schema.get("properties", {}).items():
            # "from" is a keyword of Python, so its object's description tells of it; what a shape says isn't repeated.
            is_told = "description" in described or "$ref" in described or (name, field) == ("Payment", "from")
            assert is_told, f"{name}.{field}"
    for methods in found["paths"].values():
        for operation in methods.values():
            assert all(parameter["description"] for parameter in operation["parameters"])


def test_every_write_takes_an_idempotency_key() -> None:
    for path, methods in conformity.the_document()["paths"].items():
        for method, operation in methods.items():
            headers = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "header"}
            assert ("Idempotency-Key" in headers) is (method != "get"), path


def test_every_error_code_of_an_operation_is_in_it() -> None:
    codes = {
        code
        for methods in conformity.the_document()["paths"].values()
        for operation in methods.values()
        for status, answer in operation["responses"].items()
        if status >= "400"
        for code in conformity.resolved(answer)["content"]["application/json"]["examples"]
    }
    assert codes == set(errors.STATUS) - {"method_not_allowed", "route_not_found"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_examples_are_what_the_schemas_say(operation: Operation) -> None:
    described = conformity.the_document()["paths"][PREFIX + operation.path][operation.method.lower()]
    if "requestBody" in described:
        content = described["requestBody"]["content"]["application/json"]
        schema = {**content["schema"], "components": conformity.the_document()["components"]}
        Draft202012Validator(schema).validate(content["example"])
        operation.body.model_validate(content["example"])
    for status, reference in described["responses"].items():
        content = conformity.resolved(reference).get("content", {}).get("application/json", {})
        examples = [
            *filter(None, [content.get("example")]),
            *(e["value"] for e in content.get("examples", {}).values()),
        ]
        for example in examples:
            conformity.of_status(operation.method, PREFIX + operation.path, status).validate(example)


def test_every_type_of_event_is_a_webhook() -> None:
    found = conformity.the_document()["webhooks"]
    assert list(found) == list(EventType)
    for event_type, hook in found.items():
        content = hook["post"]["requestBody"]["content"]["application/json"]
        validator = conformity.validator(content["schema"]["$ref"].rpartition("/")[2])
        validator.validate(content["example"])
        assert content["example"]["type"] == event_type


async def test_each_operation_answers_as_it_says(app: App) -> None:
    """Ask for each operation once; `conformity` looks at the answers."""
    asked: set[str] = set()

    async def ask(operation: str, body: Any = None, **path: str) -> Mapping[str, Any]:
        method, _, template = operation.partition(" ")
        asked.add(operation)
        answer = await app.api.request(method, template.format(**path), json=body)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    api = app.api
    with Receiver() as receiver:
        endpoint = await ask("POST /webhook_endpoints", {**ENDPOINT, "url": receiver.url})
        link = await ask("POST /payment_links", LINK)
        session = await ask("POST /checkout_sessions", {**PRICE, "customerEmail": "ada@example.com"})
        short = await made(api, "/checkout_sessions", PRICE)
        closed = await made(api, "/checkout_sessions", PRICE)
        asking = await made(api, "/checkout_sessions", {**PRICE, "payerFields": {"email": "required"}})
        await ask("POST /test_helpers/checkout_sessions/{id}/answer", {"email": "bob@example.com"}, id=asking["id"])
        await ask("POST /test_helpers/checkout_sessions/{id}/pay", id=session["id"])
        await ask("POST /test_helpers/checkout_sessions/{id}/pay", {"amount": "0.001"}, id=short["id"])
        collection = await ask("POST /test_helpers/checkout_sessions/{id}/collect", id=short["id"])
        await ask("POST /test_helpers/chain/mine", {"blocks": 5})
        await ask("POST /checkout_sessions/{id}/accept", id=short["id"])
        await ask("POST /checkout_sessions/{id}/expire", id=closed["id"])
        refund = await ask("POST /refunds", {"sessionId": session["id"], "amount": "0.001"})
        await ask("POST /refunds/{id}/cancel", id=refund["id"])
        paid = await made(api, "/refunds", {"sessionId": session["id"], "amount": "0.001"})
        await ask("POST /test_helpers/refunds/{id}/pay", id=paid["id"])
        to_pay = await made(api, "/refunds", {"sessionId": session["id"], "destination": PAYER})
        await app.opened.db.write(
            lambda unit: unit.run("UPDATE refunds SET status = 'to_pay' WHERE proof = 'merchant'")
        )
        await ask("POST /refunds/{id}/paid", {"txHash": "0x" + "7e" * 32}, id=to_pay["id"])
        customer = await ask("POST /customers", {"email": "bob@example.com"})
        await ask("PATCH /customers/{id}", {"name": "Bob"}, id=customer["id"])
        await ask("PATCH /payment_links/{id}", {"title": "Another book"}, id=link["id"])
        await ask("PATCH /webhook_endpoints/{id}", {"description": "all of it"}, id=endpoint["id"])
        await ask("POST /webhook_endpoints/{id}/test", id=endpoint["id"])
        await ask("POST /webhook_endpoints/{id}/rotate_secret", id=endpoint["id"])
        await ask("POST /webhook_endpoints/{id}/replay", {"since": "2020-01-01T00:00:00Z"}, id=endpoint["id"])
        event = (await ask("GET /events"))["data"][0]
        for kind, resource in (
            ("checkout_sessions", session), ("payment_links", link), ("webhook_endpoints", endpoint),
            ("customers", customer), ("events", event), ("refunds", refund),
            ("collections", collection),
        ):  # fmt: skip
            await ask(f"GET /{kind}")
            await ask(f"GET /{kind}/{{id}}", id=resource["id"])
        await ask("GET /webhook_endpoints/{id}/deliveries", id=endpoint["id"])
        await ask("GET /checkout_sessions/{id}/payments", id=session["id"])
        await ask("GET /balances")
        await ask("DELETE /payment_links/{id}", id=link["id"])
        await ask("DELETE /webhook_endpoints/{id}", id=endpoint["id"])
        for operation in OPERATIONS:
            if operation.path.startswith("/test_helpers/") and "{id}" not in operation.path:
                await ask(f"{operation.method} {operation.path}", operation.sent)
    assert asked == set(NAMES)
    await _events_are_as_described(api)


async def _events_are_as_described(api: httpx.AsyncClient) -> None:
    events = (await api.get("/events", params={"limit": 100})).json()["data"]
    hooks_of = conformity.the_document()["webhooks"]
    for event in events:
        schema = hooks_of[event["type"]]["post"]["requestBody"]["content"]["application/json"]["schema"]
        conformity.validator(schema["$ref"].rpartition("/")[2]).validate(event)
    assert len({event["type"] for event in events}) > 8


def test_the_command_prints_it(tmp_path: Path) -> None:
    done = command(tmp_path, "openapi", environ={"CHECKOUT__SERVER__PUBLIC_URL": "https://pay.example.com"})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(json.dumps(document(table(), "https://pay.example.com")))


# --- what generators of clients stumble over --------------------------------------------------------------------------


def parts(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every object of the document with its place; examples aside, which are data."""
    if isinstance(node, dict):
        yield path, node
        for name, inner in node.items():
            if name not in {"example", "examples"}:
                yield from parts(inner, f"{path}/{name}")
    elif isinstance(node, list):
        for index, inner in enumerate(node):
            yield from parts(inner, f"{path}/{index}")


def test_alternatives_only_say_that_a_field_may_be_null() -> None:
    for path, node in parts(conformity.the_document()):
        assert node.keys().isdisjoint({"oneOf", "allOf", "not"}), path
        if "anyOf" in node:
            kind, null = node["anyOf"]
            assert (null, kind == null) == ({"type": "null"}, False), path


def test_patterns_mean_the_same_to_every_engine() -> None:
    patterns = {node["pattern"] for _, node in parts(conformity.the_document()) if "pattern" in node}
    assert len(patterns) > 5
    for pattern in patterns:
        assert pattern.isascii()
        assert re.fullmatch(r"(?:[^\\]|\\\.)+", pattern), f"{pattern} escapes more than the dot"


def test_names_are_identifiers_in_every_language() -> None:
    found = conformity.the_document()
    operations = [o for methods in found["paths"].values() for o in methods.values()]
    hooks = [hook["post"] for hook in found["webhooks"].values()]
    names = [*found["components"]["schemas"], *found["components"]["responses"]]
    names += [operation["operationId"] for operation in (*operations, *hooks)]
    for name in names:
        assert re.fullmatch("[A-Za-z][A-Za-z0-9]*", name), name
    # In Go, "NewX" is the constructor of X.
    assert not [name for name in names if name.removeprefix("New") in names and name.startswith("New")]


def test_every_write_has_an_example_key_of_its_own() -> None:
    operations = [o for methods in conformity.the_document()["paths"].values() for o in methods.values()]
    keys = [p["example"] for o in operations for p in o["parameters"] if p["name"] == "Idempotency-Key"]
    assert len(set(keys)) == len(keys) > 10


TEXTS = {
    "metadata": {"größe": "Überraschung ☕"},
    "successUrl": "https://münchen.example/h?id={CHECKOUT_SESSION_ID}",
    "cancelUrl": "http://[2001:db8::1]:8080/",
    "returnUrl": "https://shop.example/%C3%BC#top",
    "customerEmail": "ada@münchen.example",
}


async def test_what_the_server_takes_the_document_allows(api: httpx.AsyncClient) -> None:
    await made(api, "/checkout_sessions", {**PRICE, **TEXTS})
    conformity.validator("SessionCreate").validate({**PRICE, **TEXTS})
    link = {**LINK, "title": "Überraschung ☕", "description": "Für dich.\n☕"}
    await made(api, "/payment_links", link)
    conformity.validator("LinkCreate").validate(link)
