"""Read what a client sent, strictly: nothing is guessed, nothing is passed over, and the first mistake is named."""

import json
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request

from crypto_checkout.core.errors import BodyTooLarge, InvalidBody, InvalidJson, InvalidQuery, UnsupportedContentType

MOST_BYTES = 64 * 1024

Model = TypeVar("Model", bound=BaseModel)

_MOST_SHOWN = 60


async def read(request: Request) -> bytes:
    """Return the body. Raises BodyTooLarge, without reading on."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > MOST_BYTES:
        _refuse_size()
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > MOST_BYTES:
            _refuse_size()
    return bytes(received)


def parse(raw: bytes, content_type: str, model: type[Model]) -> Model:
    """Read a JSON body as a model; none at all is an empty object.

    Raises:
        UnsupportedContentType: It isn't declared as JSON.
        InvalidJson: It isn't JSON.
        InvalidBody: A field is wrong; `param` is its dotted path.

    """
    if not raw:
        value: Any = {}
    else:
        _check_type(content_type)
        value = _json(raw)
    if not isinstance(value, dict):
        raise InvalidBody(f"The body must be a JSON object; got {_kind(value)}.")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        param = ".".join(str(part) for part in mistake["loc"] if part != "[key]") or None
        raise InvalidBody(_sentence(mistake, param or "the body", "field"), param=param) from None


def parse_query(request: Request, model: type[Model]) -> Model:
    """Read the query parameters as a model. Raises InvalidQuery; `param` is the parameter's name."""
    values: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in values:
            raise InvalidQuery(f"{name[:_MOST_SHOWN]}: given twice.", param=name[:_MOST_SHOWN])
        values[name] = value
    try:
        return model.model_validate(values)
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        param = str(mistake["loc"][0])[:_MOST_SHOWN] if mistake["loc"] else None
        raise InvalidQuery(_sentence(mistake, param or "the query", "query parameter"), param=param) from None


def _check_type(content_type: str) -> None:
    if content_type.partition(";")[0].strip().lower() != "application/json":
        got = f'; got "{content_type[:_MOST_SHOWN]}"' if content_type else ""
        raise UnsupportedContentType(f"Send the body as JSON, with Content-Type: application/json{got}.")


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise InvalidJson("The body is not UTF-8.") from None
    except RecursionError:
        raise InvalidJson("The body is nested too deep.") from None
    except json.JSONDecodeError as error:
        raise InvalidJson(f"The body is not JSON: {error.msg} at character {error.pos}.") from None
    except ValueError as error:
        raise InvalidJson(f"The body is not JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f'the key "{name[:_MOST_SHOWN]}" stands twice in one object.')
        found[name] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value.")


def _refuse_size() -> NoReturn:
    raise BodyTooLarge(f"The body is over the limit of {MOST_BYTES // 1024} KiB.")


def _sentence(mistake: ErrorDetails, place: str, noun: str) -> str:
    """Say what is wrong in words for a developer: what is wanted, and what came."""
    kind, got = mistake["type"], mistake["input"]
    place = place[:_MOST_SHOWN]
    if kind == "extra_forbidden":
        return f"{place}: there is no such {noun}."
    if kind == "missing":
        return f"{place}: this {noun} is required."
    if kind == "value_error":
        return f"{place}: {mistake['ctx']['error']}."
    wanted = mistake["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return f"{place}: should be {wanted}; got {_shown(got)}."


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return _kind(value)
    text = json.dumps(value)
    return f"{_kind(value)} {text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + '…'}".removeprefix("null ")


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "the boolean"
        case int() | float():
            return "the number"
        case str():
            return "the string"
        case list():
            return "an array"
        case _:
            return "an object"
