"""The OpenAPI document as the reference shows it: operations by subject, objects, and the fields of each."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

Json = Mapping[str, Any]

_MOST_CHOICES = 30


@dataclass(frozen=True, slots=True)
class Field:
    """A field or parameter."""

    name: str
    kind: str
    object: str | None
    is_required: bool
    notes: tuple[str, ...]
    description: str


@dataclass(frozen=True, slots=True)
class ErrorStatus:
    """A status with its error codes."""

    status: str
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OperationView:
    """One operation."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: Sequence[Field]
    fields: Sequence[Field]
    curl: str
    status: str
    answers_with: str
    answer: str
    refusals: Sequence[ErrorStatus]


@dataclass(frozen=True, slots=True)
class Subject:
    """The operations on one kind of object."""

    id: str
    title: str
    operations: Sequence[OperationView]


@dataclass(frozen=True, slots=True)
class ObjectView:
    """An object of the API."""

    name: str
    description: str
    fields: Sequence[Field]


@dataclass(frozen=True, slots=True)
class EventView:
    """A type of event."""

    type: str
    description: str
    object: str


class Reference:
    """The content of the reference."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self.url: str = document["servers"][0]["url"]
        self.about: str = document["info"]["description"]

    def subjects(self) -> list[Subject]:
        """Return all operations, in the document's order."""
        found: dict[str, list[OperationView]] = {tag["name"]: [] for tag in self._document["tags"]}
        for path, methods in self._document["paths"].items():
            for method, operation in methods.items():
                found[operation["tags"][0]].append(self._operation(method, path, operation))
        titles = {tag["name"]: tag["description"] for tag in self._document["tags"]}
        return [Subject(name, titles[name], operations) for name, operations in found.items()]

    def objects(self) -> list[ObjectView]:
        """Return the objects in answers; lists and requests are described with their operations."""
        schemas: Json = self._document["components"]["schemas"]
        sent = {_name_of(_json(o["requestBody"])["schema"]) for o in self._operations() if "requestBody" in o}
        return [
            ObjectView(name, schema["description"], self._answered(schema))
            for name, schema in schemas.items()
            if (name not in sent and not name.endswith(("Event", "List", "Page", "Price"))) or name == "Event"
        ]

    def events(self) -> list[EventView]:
        """Return every type of event."""
        return [
            EventView(
                name, hook["post"]["description"], _json(hook["post"]["requestBody"])["example"]["data"]["object"]
            )
            for name, hook in self._document["webhooks"].items()
        ]

    def sections(self) -> Iterator[tuple[str, str, str]]:
        """Return the anchor, heading and plain text of each part, for the search."""
        for subject in self.subjects():
            for each in subject.operations:
                codes = " ".join(code for refusal in each.refusals for code in refusal.codes)
                text = (
                    f"{each.method} {each.path}. {each.description}",
                    *_told((*each.parameters, *each.fields)),
                    codes,
                )
                yield each.id, each.summary, _plain(text)
        for event in self.events():
            yield f"event-{event.type}", event.type, _plain((f"Event with a {event.object}.", event.description))
        for thing in self.objects():
            yield f"object-{thing.name}", thing.name, _plain((thing.description, *_told(thing.fields)))

    def _operations(self) -> list[Json]:
        return [methods[name] for methods in self._document["paths"].values() for name in methods]

    def _operation(self, method: str, path: str, operation: Json) -> OperationView:
        status = next(status for status in operation["responses"] if status.startswith("2"))
        answer = _json(operation["responses"][status])
        body = _json(operation["requestBody"]) if "requestBody" in operation else None
        return OperationView(
            id=operation["operationId"],
            method=method.upper(),
            path=path,
            summary=operation["summary"],
            description=operation["description"],
            parameters=[self._parameter(parameter) for parameter in operation["parameters"]],
            fields=[] if body is None else self._fields(self._resolved(body["schema"])),
            curl=self._curl(method.upper(), path, operation, None if body is None else body["example"]),
            status=status,
            answers_with=_name_of(answer["schema"]),
            answer=json.dumps(answer["example"], indent=2, ensure_ascii=False),
            refusals=[self._refusal(status, response) for status, response in operation["responses"].items()
                      if status.startswith(("4", "5"))],
        )  # fmt: skip

    def _curl(self, method: str, path: str, operation: Json, body: Json | None) -> str:
        examples = {p["name"]: p.get("example") for p in operation["parameters"] if p["in"] == "path"}
        default = "GET" if body is None else "POST"
        option = "" if method == default else f"-X {method} "
        parts = [f"curl {option}{shlex.quote(self.url + path.format(**examples))}"]
        parts.append('-H "Authorization: Bearer $API_KEY"')
        if body is not None:
            parts.append("-H 'Content-Type: application/json'")
            parts.append(f"-d {shlex.quote(json.dumps(body, indent=2, ensure_ascii=False))}")
        return " \\\n  ".join(parts)

    def _refusal(self, status: str, response: Json) -> ErrorStatus:
        return ErrorStatus(status, tuple(_json(self._resolved(response))["examples"]))

    def _parameter(self, parameter: Json) -> Field:
        return self._field(parameter["name"], {**parameter["schema"], "description": parameter["description"]},
                           is_required=parameter.get("required", False))  # fmt: skip

    def _fields(self, schema: Json, prefix: str = "") -> list[Field]:
        found: list[Field] = []
        required = schema.get("required", ())
        for name, field in schema.get("properties", {}).items():
            found.append(self._field(prefix + name, field, is_required=name in required))
            inner = self._resolved(_kinds(field)[0])
            if _name_of(_kinds(field)[0]) == "Price":
                found += self._fields(inner, f"{prefix}{name}.")
        return found

    def _answered(self, schema: Json) -> list[Field]:
        """Return the fields of an object, noting those that may be absent."""
        return [
            replace(field, is_required=False, notes=field.notes if field.is_required else (*field.notes, "Not always."))
            for field in self._fields(schema)
        ]

    def _field(self, name: str, field: Json, *, is_required: bool) -> Field:
        kinds = _kinds(field)
        named = [_name_of(kind.get("items", kind)) for kind in kinds]
        shown = named[0] if named[0] in self._document["components"]["schemas"] and named[0] != "Price" else None
        text = " or ".join(_kind(kind) for kind in kinds)
        return Field(name, text, shown, is_required, _notes(kinds[0], field), field.get("description", ""))

    def _resolved(self, schema: Json) -> Json:
        while "$ref" in schema:
            found: Any = self._document
            for step in schema["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            schema = found
        return schema


def _plain(sentences: Sequence[str]) -> str:
    return " ".join(sentences).replace("`", "")


def _told(fields: Sequence[Field]) -> list[str]:
    return [f"{field.name}: {field.description}" for field in fields]


def _json(holder: Json) -> Json:
    found: Json = holder["content"]["application/json"]
    return found


def _name_of(schema: Json) -> str:
    name: str = schema.get("$ref", "").rpartition("/")[2]
    return name


def _kinds(field: Json) -> list[Json]:
    """Return the alternatives of a field, one of which may be null."""
    return list(field["anyOf"]) if "anyOf" in field and "type" not in field else [field]


def _kind(schema: Json) -> str:
    if "$ref" in schema:
        return _name_of(schema)
    if schema.get("type") == "array":
        return f"array of {_kind(schema['items'])}" if schema["items"] else "array"
    if "const" in schema:
        return json.dumps(schema["const"])
    if schema.get("format") == "date-time":
        return "time"
    return str(schema.get("type", "anything"))


def _notes(schema: Json, field: Json) -> tuple[str, ...]:
    """Return the bounds of a value as sentences."""
    notes = []
    choices = schema.get("enum") or schema.get("items", {}).get("enum") or ()
    if 0 < len(choices) <= _MOST_CHOICES:
        notes.append("One of " + ", ".join(f"`{choice}`" for choice in choices) + ".")
    if "minimum" in schema:
        notes.append(f"{schema['minimum']} to {schema['maximum']:,}." if "maximum" in schema else "")
    if "maxLength" in schema and not choices:
        notes.append(f"At most {schema['maxLength']:,} characters.")
    if "maxProperties" in schema:
        notes.append(f"At most {schema['maxProperties']} entries.")
    if field.get("default") is not None:
        notes.append(f"Without it: `{json.dumps(field['default'])}`.")
    return tuple(notes)
