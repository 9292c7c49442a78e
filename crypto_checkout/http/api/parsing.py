"""Parse requests strictly: no guesses, no ignored fields, and an error that names the first mistake."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any, NoReturn, TypeVar, cast

from pydantic import BaseModel, ValidationError
from starlette.datastructures import QueryParams

from crypto_checkout.core.errors import InvalidBody, InvalidJson, InvalidQuery, UnsupportedContentType
from crypto_checkout.http.api import validation_messages

Model = TypeVar("Model", bound=BaseModel)
Path = tuple["Path", str] | None
"""A value's path, as a linked list: the path around it, and its name. A list for each leaf would cost its depth."""

_MOST_DIGITS = 100
_MOST_SHOWN = 60
_SHORT = 256

# Control characters except tab and line breaks, and lone surrogates, which JSON can contain and UTF-8 can't.
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


# What a body needs for any of them: the characters themselves, or an escape. Hardly any body has either.
_MAY_BE_NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\\]|\xc2[\x80-\x9f]")


def parse(raw: bytes, content_type: str, model: type[Model]) -> Model:
    """Parse a JSON body as a model; an empty body counts as an empty object.

    Raises:
        UnsupportedContentType: The body isn't declared as JSON.
        InvalidJson: The body isn't JSON.
        InvalidBody: A field is wrong; `param` is its dotted path.

    """
    if not raw:
        value: Any = {}
    else:
        _check_type(content_type)
        value = _json(raw)
    if not isinstance(value, dict):
        raise InvalidBody(f"The body must be a JSON object; got {validation_messages.kind(value)}.")
    if _MAY_BE_NO_TEXT.search(raw):
        for path, text in _strings(value):
            _check_string(path, text)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        param, sentence = validation_messages.first(error, model, "field")
        raise InvalidBody(sentence, param=param) from None


def parse_query(query_string: bytes, model: type[Model]) -> Model:
    """Parse the query parameters as a model. Raises InvalidQuery; `param` is the parameter's name."""
    parse = _parse_short_query if len(query_string) <= _SHORT else _parse_query
    return cast("Model", parse(query_string, model))


def _parse_query(query_string: bytes, model: type[BaseModel]) -> BaseModel:
    values: dict[str, str] = {}
    for name, value in QueryParams(query_string).multi_items():
        if name in values:
            shown = validation_messages.shown_name(name)
            raise InvalidQuery(f"{shown}: given twice.", param=shown)
        values[name] = value
    try:
        return model.model_validate(values)
    except ValidationError as error:
        param, sentence = validation_messages.first(error, model, "query parameter")
        raise InvalidQuery(sentence, param=param) from None


# Programs repeat their queries, and the models are frozen. A wrong query is parsed each time.
_parse_short_query = lru_cache(maxsize=256)(_parse_query)


def _check_type(content_type: str) -> None:
    if content_type.partition(";")[0].strip().lower() != "application/json":
        got = f'; got "{content_type[:_MOST_SHOWN]}"' if content_type else ""
        raise UnsupportedContentType(f"Send the body as JSON, with Content-Type: application/json{got}.")


def _json(raw: bytes) -> Any:
    """Parse JSON (RFC 8259) with unique keys (RFC 7493); fractions become decimals."""
    try:
        return _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidJson(f"The body is not UTF-8: byte {error.start} fits no character.") from None
    except RecursionError:
        raise InvalidJson("The body is nested too deep.") from None
    except json.JSONDecodeError as error:
        if raw.startswith(b"\xef\xbb\xbf"):
            raise InvalidJson("The body is not JSON: it begins with a byte order mark.") from None
        raise InvalidJson(f"The body is not JSON: {error.msg.removesuffix(' at')} at character {error.pos}.") from None
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
    # Python parses at most 4,300 digits, in quadratic time; no number of this API has even twenty.
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number has more than {_MOST_DIGITS} digits")
    return int(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_refuse_constant, parse_int=_whole_number, parse_float=Decimal
)


def _strings(value: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield every string and key with its path; not recursive, because the nesting may be deep."""
    waiting: list[tuple[Path, Any]] = [(None, value)]
    while waiting:
        path, each = waiting.pop()
        if isinstance(each, str):
            yield path, each
        elif isinstance(each, dict):
            for name, inner in each.items():
                yield path, name
                waiting.append(((path, name), inner))
        elif isinstance(each, list):
            waiting += [((path, f"[{number}]"), inner) for number, inner in enumerate(each)]


def _check_string(path: Path, text: str) -> None:
    found = _NO_TEXT.search(text)
    if found is None:
        return
    steps: list[str] = []
    while path is not None:
        path, name = path
        steps.insert(0, name)
    param = validation_messages.path(steps)
    what = "half a surrogate pair" if found[0] >= "\ud800" else "a control character"
    raise InvalidBody(f"{param or 'The body'}: holds {what}, U+{ord(found[0]):04X}, which is no text.", param=param)
