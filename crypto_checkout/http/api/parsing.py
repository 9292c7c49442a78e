"""Read what a client sent, strictly: nothing is guessed, nothing is passed over, and the first mistake is named."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from crypto_checkout.core.errors import InvalidBody, InvalidJson, InvalidQuery, UnsupportedContentType
from crypto_checkout.http.api import validation_messages

Model = TypeVar("Model", bound=BaseModel)
Place = tuple["Place", str] | None
"""Where a value stands: around what, and under which name. Linked, because a list for each leaf costs its depth."""

_MOST_DIGITS = 100
_MOST_SHOWN = 60

# Control characters but tab and line breaks, and half surrogate pairs, which JSON can write and UTF-8 can't.
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


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
        raise InvalidBody(f"The body must be a JSON object; got {validation_messages.kind(value)}.")
    for place, text in _texts(value):
        _check_text(place, text)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        param, sentence = validation_messages.first(error, model, "field")
        raise InvalidBody(sentence, param=param) from None


def parse_query(request: Request, model: type[Model]) -> Model:
    """Read the query parameters as a model. Raises InvalidQuery; `param` is the parameter's name."""
    values: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in values:
            shown = validation_messages.shown_name(name)
            raise InvalidQuery(f"{shown}: given twice.", param=shown)
        values[name] = value
    try:
        return model.model_validate(values)
    except ValidationError as error:
        param, sentence = validation_messages.first(error, model, "query parameter")
        raise InvalidQuery(sentence, param=param) from None


def _check_type(content_type: str) -> None:
    if content_type.partition(";")[0].strip().lower() != "application/json":
        got = f'; got "{content_type[:_MOST_SHOWN]}"' if content_type else ""
        raise UnsupportedContentType(f"Send the body as JSON, with Content-Type: application/json{got}.")


def _json(raw: bytes) -> Any:
    """Read JSON (RFC 8259), but with unique keys (RFC 7493); fractions are kept as they were written."""
    try:
        return json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=_whole_number,
            parse_float=Decimal,
        )
    except UnicodeDecodeError as error:
        raise InvalidJson(f"The body is not UTF-8: byte {error.start} fits no character.") from None
    except RecursionError:
        raise InvalidJson("The body is nested too deep.") from None
    except json.JSONDecodeError as error:
        if raw.startswith(b"\xef\xbb\xbf"):
            raise InvalidJson("The body is not JSON: it begins with a byte order mark.") from None
        raise InvalidJson(f"The body is not JSON: {error.msg} at character {error.pos}.") from None
    except ValueError as error:
        raise InvalidJson(f"The body is not JSON: {error}.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {json.dumps(name[:_MOST_SHOWN])} stands twice in one object")
        found[name] = value
    return found


def _whole_number(digits: str) -> int:
    # Python reads no more than 4,300 digits, and needs quadratic time for them; nothing here has even twenty.
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number has more than {_MOST_DIGITS} digits")
    return int(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _texts(value: dict[str, Any]) -> Iterator[tuple[Place, str]]:
    """Walk through every string and key, each with where it stands; not recursive, because the nesting may be deep."""
    waiting: list[tuple[Place, Any]] = [(None, value)]
    while waiting:
        place, each = waiting.pop()
        if isinstance(each, str):
            yield place, each
        elif isinstance(each, dict):
            for name, inner in each.items():
                yield place, name
                waiting.append(((place, name), inner))
        elif isinstance(each, list):
            waiting += [((place, f"[{number}]"), inner) for number, inner in enumerate(each)]


def _check_text(place: Place, text: str) -> None:
    found = _NO_TEXT.search(text)
    if found is None:
        return
    steps: list[str] = []
    while place is not None:
        place, name = place
        steps.insert(0, name)
    param = validation_messages.path(steps)
    what = "half a surrogate pair" if found[0] >= "\ud800" else "a control character"
    raise InvalidBody(f"{param or 'The body'}: holds {what}, U+{ord(found[0]):04X}, which is no text.", param=param)
