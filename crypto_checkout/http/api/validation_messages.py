"""Validation errors as sentences for developers: the field, the expected value, and the one received."""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_MOST_SHOWN = 60
_MOST_SHOWN_OF_A_PATH = 100

# The step that pydantic adds to the path of a mapping's key.
_KEY = "[key]"

_EXPECTED: Mapping[str, str] = MappingProxyType(
    {
        "string_type": "must be a string",
        "int_type": "must be a whole number",
        "bool_type": "must be true or false",
        "list_type": "must be an array",
        "dict_type": "must be an object",
        "model_type": "must be an object",
        "string_too_long": "must have at most {max_length} characters",
        "too_long": "must have at most {max_length} entries",
        "too_short": "must have at least {min_length} entry",
        "greater_than_equal": "must be at least {ge}",
        "greater_than": "must be more than {gt}",
        "less_than_equal": "must be at most {le}",
        "less_than": "must be less than {lt}",
    }
)


def first(error: ValidationError, model: type[BaseModel], noun: str) -> tuple[str | None, str]:
    """Return the `param` and the sentence of the first error; `noun` is the word for the model's fields."""
    details = error.errors(include_url=False)[0]
    steps = [f"[{step}]" if isinstance(step, int) else step for step in details["loc"] if step != _KEY]
    param = path(steps)
    prefix = f"{param}: " if param else ""
    return param, prefix + _sentence(details, model, steps, noun)


def path(steps: list[str]) -> str | None:
    """Format a path as `amount.value` or `assets[1].asset`; None for the whole body."""
    return shown_name(".".join(steps).replace(".[", "[")) if steps else None


def shown_name(name: str) -> str:
    """Return a name from the request, shortened for a message."""
    return name if len(name) <= _MOST_SHOWN_OF_A_PATH else name[: _MOST_SHOWN_OF_A_PATH - 1] + "…"


def kind(value: Any) -> str:
    """Return the kind of a JSON value."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | Decimal():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def _sentence(details: ErrorDetails, model: type[BaseModel], steps: list[str], noun: str) -> str:
    code, got = details["type"], details["input"]
    if code == "extra_forbidden":
        return f"there is no such {noun}; {_suggestion(model, steps, noun)}"
    if code == "missing":
        return f"this {noun} is required."
    if code == "value_error":
        return f"{details['ctx']['error']}."
    if code == "string_too_short":
        return "must not be empty."
    if code == "too_long" and isinstance(got, str):  # pydantic's word for a length that follows another check
        code = "string_too_long"
    expected = _EXPECTED.get(code, "is not valid").format_map(details.get("ctx", {}))
    hint = f'; write it in quotes: "{_number(got)}"' if code == "string_type" and kind(got) == "a number" else ""
    return f"{expected}; got {_shown_value(got, code)}{hint}."


def _suggestion(model: type[BaseModel], steps: list[str], noun: str) -> str:
    """Suggest the closest name, or list all of them."""
    names = [field.alias or name for name, field in _model_at(model, steps[:-1]).model_fields.items()]
    if not names:
        return f"no {noun} is known here."
    closest = get_close_matches(steps[-1].replace("_", ""), names, n=1)
    if closest:
        return f"did you mean {closest[0]}?"
    return f"known are {', '.join(names)}."


def _model_at(model: type[BaseModel], steps: list[str]) -> type[BaseModel]:
    for step in steps:
        if step.startswith("["):
            continue
        field = next(field for name, field in model.model_fields.items() if step in {name, field.alias})
        kinds = [*_annotations(field.annotation)]
        model = next(each for each in kinds if isinstance(each, type) and issubclass(each, BaseModel))
    return model


def _annotations(annotation: Any) -> Iterator[Any]:
    """Yield an annotation and all annotations inside it, such as a list's items."""
    yield annotation
    for inner in get_args(annotation):
        yield from _annotations(inner)


def _shown_value(value: Any, code: str) -> str:
    if code in {"string_too_long", "too_long", "too_short"}:
        return str(len(value))
    if value is None or isinstance(value, dict | list):
        return kind(value)
    text = _number(value) if kind(value) == "a number" else json.dumps(value, ensure_ascii=False)
    return f"the {kind(value).removeprefix('a ')} {text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + '…'}"


def _number(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"
