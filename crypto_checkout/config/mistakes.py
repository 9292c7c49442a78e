"""Mistakes in a configuration, in words for the operator. The other modules here find them."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from crypto_checkout.core.errors import FatalError

_LONGEST_SHOWN = 60
_NEVER_SHOWN = ("wallet",)  # A private key pasted there must not reach a terminal's history or a log.
_SECRETS = frozenset({"coingecko_api_key", "passphrase", "smtp_password", "webhook_secret", "webhook_url"})
_AGE_IDENTITY = "AGE-SECRET-KEY-"
_EXPECTED = {
    "int_type": "a whole number without quotes",
    "float_type": "a number without quotes",
    "bool_type": "true or false, without quotes",
    "string_type": "text in quotes",
    "tuple_type": "a list in brackets",
    "dict_type": "a table in braces",
    "model_type": "a table of keys",
    "too_long": "a shorter list",
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake: its place (`chains[0].rpc_urls`), the expected value, and the given one (empty if not to be shown)."""

    path: str
    expected: str
    given: str = ""

    def __str__(self) -> str:
        given = f" (got {self.given})" if self.given else ""
        return f"{self.path}: {self.expected}{given}"


class ConfigInvalid(FatalError):
    """The configuration can't be used; `mistakes` has all of them."""

    def __init__(self, source: str, mistakes: tuple[Mistake, ...]) -> None:
        self.source = source
        self.mistakes = mistakes
        count = "one mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        lines = "".join(f"\n  {mistake}" for mistake in mistakes)
        super().__init__(f"{source} has {count}:{lines}")


def from_validation(error: ValidationError, model: type[BaseModel]) -> list[Mistake]:
    """Translate pydantic's errors."""
    found = []
    for detail in error.errors(include_url=False):
        where = tuple(step for step in detail["loc"] if step != "[key]")
        found.append(Mistake(dotted(where), _sentence(_expected(detail, where, model)), _given(detail, where)))
    return found


def dotted(where: tuple[int | str, ...]) -> str:
    """Write a place as `chains[0].rpc_urls`."""
    text = ""
    for step in where:
        name = f'"{step}"' if "/" in str(step) else str(step)
        text += f"[{step}]" if isinstance(step, int) else f".{name}" if text else name
    return text


def shown(value: Any, where: tuple[int | str, ...]) -> str:
    """Return a value, shortened, or nothing for one that may be secret. API keys in URLs are cut off."""
    if where[:1] == _NEVER_SHOWN or where[-1] in _SECRETS or where == ("database", "url"):
        return ""
    if "headers" in where or _AGE_IDENTITY in str(value):
        return ""
    if "rpc_urls" in where or "providers" in where:
        return _shown_url(value) if isinstance(value, str) else ""
    if isinstance(value, str) and "@" in value:
        return ""  # A URL with a password in it.
    text = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def _shown_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f'"{parts.scheme}://{parts.hostname}/…"' if parts.scheme and parts.hostname else ""


def _given(detail: ErrorDetails, where: tuple[int | str, ...]) -> str:
    if detail["type"] in ("missing", "extra_forbidden") or isinstance(detail["input"], dict | list):
        return ""
    return shown(detail["input"], where)


def _expected(detail: ErrorDetails, where: tuple[int | str, ...], model: type[BaseModel]) -> str:
    match detail["type"]:
        case "value_error":
            return str(detail["ctx"]["error"])
        case "literal_error":
            return "one of " + str(detail["ctx"]["expected"]).replace(" or ", ", ").replace("'", '"')
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "there is no such key" + _meant(where, model)
        case "tuple_type" if where[-1] in ("chains", "tokens", "providers"):
            return f"a list of tables: write [[{'' if where[-1] == 'chains' else 'chains.'}{where[-1]}]], two brackets"
        case kind:
            return _EXPECTED.get(kind, detail["msg"])


def _sentence(expected: str) -> str:
    """Return a phrase of this module as it is, and one of a type as what was expected."""
    return expected if expected.startswith(("is required", "there is no such key")) else f"expected {expected}"


def _meant(where: tuple[int | str, ...], model: type[BaseModel]) -> str:
    names = [*fields_at(where[:-1], model)]
    close = get_close_matches(str(where[-1]), names, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known keys are {', '.join(names)}"


def fields_at(where: tuple[int | str, ...], model: type[BaseModel]) -> Mapping[str, Any]:
    """Return the fields of the table at a place, empty if there is no such table."""
    for step in where:
        if isinstance(step, int):
            continue
        annotation = model.model_fields[step].annotation
        inner = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
        tables = [kind for kind in inner if issubclass(kind, BaseModel)]
        if not tables:
            return {}
        model = tables[0]
    return model.model_fields
