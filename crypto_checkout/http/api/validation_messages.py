"""What is wrong with a request, in words for a developer: where, what is wanted, and what came."""

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

# What pydantic adds to a path: the place of a mapping's key.
_KEY = "[key]"

_WANTED: Mapping[str, str] = MappingProxyType(
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
    """Return the `param` and the sentence of the first mistake; `noun` is what the model's fields are called."""
    mistake = error.errors(include_url=False)[0]
    steps = [f"[{step}]" if isinstance(step, int) else step for step in mistake["loc"] if step != _KEY]
    param = path(steps)
    place = f"{param}: " if param else ""
    return param, place + _what_is_wrong(mistake, model, steps, noun)


def path(steps: list[str]) -> str | None:
    """Write a place as `amount.value` or `assets[1].asset`; None for the whole."""
    return shown_name(".".join(steps).replace(".[", "[")) if steps else None


def shown_name(name: str) -> str:
    """Return a name that came, cut to a length that can be repeated."""
    return name if len(name) <= _MOST_SHOWN_OF_A_PATH else name[: _MOST_SHOWN_OF_A_PATH - 1] + "…"


def kind(value: Any) -> str:
    """Name the kind of a JSON value."""
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


def _what_is_wrong(mistake: ErrorDetails, model: type[BaseModel], steps: list[str], noun: str) -> str:
    code, got = mistake["type"], mistake["input"]
    if code == "extra_forbidden":
        return f"there is no such {noun}; {_known(model, steps, noun)}"
    if code == "missing":
        return f"this {noun} is required."
    if code == "value_error":
        return f"{mistake['ctx']['error']}."
    if code == "string_too_short":
        return "must not be empty."
    wanted = _WANTED.get(code, "is not valid").format_map(mistake.get("ctx", {}))
    hint = f'; write it in quotes: "{_number(got)}"' if code == "string_type" and kind(got) == "a number" else ""
    return f"{wanted}; got {_came(got, code)}{hint}."


def _known(model: type[BaseModel], steps: list[str], noun: str) -> str:
    """Name what was perhaps meant, or all that there is."""
    names = [field.alias or name for name, field in _model_at(model, steps[:-1]).model_fields.items()]
    if not names:
        return f"no {noun} is known here."
    meant = get_close_matches(steps[-1].replace("_", ""), names, n=1)
    if meant:
        return f"did you mean {meant[0]}?"
    return f"known are {', '.join(names)}."


def _model_at(model: type[BaseModel], steps: list[str]) -> type[BaseModel]:
    for step in steps:
        if step.startswith("["):
            continue
        field = next(field for name, field in model.model_fields.items() if step in {name, field.alias})
        kinds = [*_kinds(field.annotation)]
        model = next(each for each in kinds if isinstance(each, type) and issubclass(each, BaseModel))
    return model


def _kinds(annotation: Any) -> Iterator[Any]:
    """Yield a kind of field with all kinds inside it: what a list holds, what may be null."""
    yield annotation
    for inner in get_args(annotation):
        yield from _kinds(inner)


def _came(value: Any, code: str) -> str:
    if code in {"string_too_long", "too_long", "too_short"}:
        return str(len(value))
    if value is None or isinstance(value, dict | list):
        return kind(value)
    text = _number(value) if kind(value) == "a number" else json.dumps(value, ensure_ascii=False)
    return f"the {kind(value).removeprefix('a ')} {text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + '…'}"


def _number(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"
