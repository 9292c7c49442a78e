"""Hold every answer of the API against its OpenAPI document: status, headers and body must be what that says.

`check` hangs on every client of `tests.support.api`, so all tests of the API prove it on the way. It is stricter than
the document: a field that the document doesn't know is a mistake too.
"""

import copy
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from crypto_checkout.http.api.openapi import document
from crypto_checkout.http.api.operations import PREFIX
from crypto_checkout.http.api.table import table

Json = Mapping[str, Any]

OUTSIDE = {405, 404}
"""Statuses of paths and methods that aren't there."""


async def check(answer: httpx.Response) -> None:
    """Check an answer; raise AssertionError where it isn't what the document says."""
    if not answer.request.url.path.startswith(PREFIX + "/") or answer.request.url.path.endswith("/openapi.json"):
        return
    await answer.aread()
    # What answers to GET answers to HEAD.
    method = answer.request.method.replace("HEAD", "GET")
    described = responses(method, answer.request.url.path)
    if described is None:
        assert answer.status_code in OUTSIDE or method == "OPTIONS", f"{answer.request.url} is not documented"
        if answer.request.method not in {"HEAD", "OPTIONS"}:
            validator("Error").validate(answer.json())
        return
    status = str(answer.status_code)
    asked = f"{method} {answer.request.url.path}"
    assert status in described, f"{asked} answered with {status}, which is not documented: {answer.text[:500]}"
    _check_headers(answer, resolved(described[status]))
    if answer.request.method == "HEAD":
        return
    if "content" in resolved(described[status]):
        of_status(method, path_of(answer.request.url.path) or "", status).validate(answer.json())
        _check_code(answer, resolved(described[status]))
    else:
        assert not answer.content


@cache
def the_document() -> Json:
    """Return the document; its address is of no matter here."""
    return document(table(), "http://shop.example")


@cache
def strict_components() -> Json:
    """Return the components, whose objects take no fields beyond those they name."""
    components = copy.deepcopy(the_document()["components"])
    for schema in components["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return dict(components)


@cache
def validator(name: str) -> Draft202012Validator:
    """Return the validator of a body against a schema, by the schema's name."""
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": strict_components()})


@cache
def of_status(method: str, path: str, status: str) -> Draft202012Validator:
    """Return the validator of the body of an operation's answer."""
    answer = resolved(the_document()["paths"][path][method.lower()]["responses"][status])
    schema = answer["content"]["application/json"]["schema"]
    return Draft202012Validator({**schema, "components": strict_components()})


@cache
def path_of(path: str) -> str | None:
    """Return the path of the document that an address belongs to."""
    for each in the_document()["paths"]:
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", each), path):
            return str(each)
    return None


def responses(method: str, path: str) -> Json | None:
    """Return the documented answers to a method and address."""
    found = path_of(path)
    if found is None:
        return None
    operation = the_document()["paths"][found].get(method.lower())
    return None if operation is None else operation["responses"]


def resolved(part: Json) -> Json:
    """Follow a reference inside the document."""
    while "$ref" in part:
        found: Any = the_document()
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part


def _check_code(answer: httpx.Response, described: Json) -> None:
    """Check that an error's code is one of those that the operation is said to answer with, each with an example."""
    if answer.is_error:
        assert answer.json()["error"]["code"] in described["content"]["application/json"]["examples"], answer.text


def _check_headers(answer: httpx.Response, described: Json) -> None:
    for name, reference in described["headers"].items():
        header = resolved(reference)
        value = answer.headers.get(name)
        if value is None:
            assert not header.get("required"), f"{answer.request.url}: {answer.status_code} without {name}"
            continue
        kind = header["schema"]["type"]
        Draft202012Validator(header["schema"]).validate(int(value) if kind == "integer" else value)
    known = {name.lower() for name in described["headers"]}
    for name in ("idempotent-replayed", "retry-after"):
        assert name not in answer.headers or name in known, f"{name} is not documented for {answer.request.url}"
