"""Overrides from the environment: `$CHECKOUT__SECTION__KEY`, and `$CHECKOUT__CHAINS` for all chains at once.

The headers of RPC providers may name variables themselves, as in `Bearer ${NODE_KEY}`.

A value is read as TOML if its key takes a number, a boolean, a list or a table, and literally if its key takes text.
The environment is an argument; this module never reads the process's own.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from crypto_checkout.config.mistakes import Mistake, fields_at
from crypto_checkout.config.moved import MOVED
from crypto_checkout.config.shape import Config

PREFIX = "CHECKOUT__"
_LISTS = ("chains",)
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_BARE = re.compile(r"(?:^|(?<=[\s:=,;]))\$([A-Z][A-Z0-9_]+)\b")


def overlay(values: dict[str, Any], environ: Mapping[str, str]) -> tuple[dict[str, str], list[Mistake]]:
    """Write the overrides into `values`; return the variable of each place, and mistakes for unknown names."""
    places: dict[str, str] = {}
    mistakes = []
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        steps = tuple(name.removeprefix(PREFIX).lower().split("__"))
        moved = MOVED.get((steps[0], steps[-1]), steps) if len(steps) == 2 else steps  # noqa: PLR2004 - section and key
        field = _field(moved)
        if field is None:
            mistakes.append(Mistake(f"${name}", "expected the name of a key, as in CHECKOUT__SERVER__PORT"))
            continue
        places[".".join(moved)] = name
        _put(values, steps, _read(environ[name], field))
    return places, mistakes


def fill_headers(values: dict[str, Any], environ: Mapping[str, str]) -> list[Mistake]:
    """Replace `${NAME}` in the headers of RPC providers by that variable; return mistakes for unset ones."""
    mistakes = []
    for place, headers in _headers(values):
        for header, text in [*headers.items()]:
            if not isinstance(text, str):
                continue
            if bare := _BARE.search(text):
                mistakes.append(
                    Mistake(f"{place}.headers.{header}", f"expected ${{{bare[1]}}}, with braces, for a variable")
                )
            missing = [name for name in _VARIABLE.findall(text) if not environ.get(name)]
            if missing:
                mistakes.append(Mistake(f"{place}.headers.{header}", f"${missing[0]} is not set in the environment"))
            headers[header] = _VARIABLE.sub(lambda found: environ.get(found[1]) or "unset", text)
    return mistakes


def _headers(values: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    chains = values.get("chains")
    for number, chain in enumerate(chains if isinstance(chains, list) else []):
        providers = chain.get("providers") if isinstance(chain, dict) else None
        for place, provider in enumerate(providers if isinstance(providers, list) else []):
            headers = provider.get("headers") if isinstance(provider, dict) else None
            if isinstance(headers, dict):
                yield f"chains[{number}].providers[{place}]", headers


def attribute(mistakes: list[Mistake], places: Mapping[str, str]) -> list[Mistake]:
    """Add the variable's name to each mistake that came from the environment."""
    return [
        Mistake(f"{mistake.path} (${name})", mistake.expected, mistake.given)
        if (name := next((places[place] for place in places if _is_at(mistake.path, place)), None))
        else mistake
        for mistake in mistakes
    ]


def _is_at(path: str, place: str) -> bool:
    return path == place or path.startswith((f"{place}.", f"{place}["))


def _field(steps: tuple[str, ...]) -> FieldInfo | None:
    if steps in [(name,) for name in _LISTS]:
        return Config.model_fields[steps[0]]
    if len(steps) != 2 or steps[0] in _LISTS or steps[0] not in Config.model_fields:  # noqa: PLR2004 - section and key
        return None
    field: FieldInfo | None = fields_at(steps[:1], Config).get(steps[1])
    return field


def _put(values: dict[str, Any], steps: tuple[str, ...], value: Any) -> None:
    if len(steps) == 1:
        values[steps[0]] = value
        return
    section = values.setdefault(steps[0], {})
    if isinstance(section, dict):  # Else the file itself is wrong there, which is reported already.
        section[steps[1]] = value


def _read(text: str, field: FieldInfo) -> Any:
    value = _as_toml(text)
    if _takes_text(field) and not isinstance(value, str):
        return text
    return value


def _as_toml(text: str) -> Any:
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return _as_json(text)
    # A line break in the text may have begun a second key.
    return document["value"] if len(document) == 1 else text


def _as_json(text: str) -> Any:
    if text.lstrip()[:1] not in ("[", "{"):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _takes_text(field: FieldInfo) -> bool:
    """Tell whether a key takes text: text, paths, choices and decimal texts do."""
    kinds = {field.annotation, *get_args(field.annotation)}
    structured = {int, float, bool}
    is_table = any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds)
    is_list = getattr(field.annotation, "__origin__", None) in (tuple, dict)
    return not (kinds & structured or is_table or is_list)
