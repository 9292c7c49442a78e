"""The configuration: reads checkout.toml and the environment into one frozen `Config`, or reports all mistakes at once.

Only `cli` and `app` read it, and pass on single values; the other rooms never see it. Nothing here writes the file.

To add a key, give it a type and a default in `config.shape` and describe it in `checkout.toml.example`. A new kind of
value goes into `config.values`, a rule about several keys into `config.contradictions`.
"""

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from crypto_checkout.config.contradictions import contradictions
from crypto_checkout.config.environment import attribute, fill_headers, overlay
from crypto_checkout.config.mistakes import ConfigInvalid, Mistake, from_validation
from crypto_checkout.config.moved import move
from crypto_checkout.config.shape import BrandingConfig, ChainConfig, Config, TokenConfig

__all__ = [
    "BrandingConfig",
    "ChainConfig",
    "Config",
    "ConfigInvalid",
    "Mistake",
    "TokenConfig",
    "example",
    "find_file",
    "load",
]

DEFAULT_FILE = "checkout.toml"
_SECTION = re.compile(r"[ \t]*\[[ \t]*([\w-]+)[ \t]*\]")
_PATHS = (
    ("database", "path"),
    ("database", "url_file"),
    ("backup", "folder"),
    ("branding", "logo"),
    ("collector", "key_file"),
)


def find_file(named: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the file to read: `named`, else `$CHECKOUT_CONFIG`, else `./checkout.toml` if it exists, else None."""
    if named is not None:
        return named
    if chosen := environ.get("CHECKOUT_CONFIG"):
        return Path(chosen)
    return Path(DEFAULT_FILE) if Path(DEFAULT_FILE).exists() else None


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the file, apply the environment's overrides, and check everything.

    Without a file (None) the defaults apply, real money is refused, and webhooks may go to this machine. Paths in the
    file are relative to its folder.

    Raises:
        ConfigInvalid: Something is wrong; the error has every mistake.
    """
    values = _read(path) if path else {}
    places, mistakes = overlay(values, environ)
    mistakes += fill_headers(values, environ)
    notes, apart = move(values)
    mistakes += apart
    if path:
        _resolve(values, path.parent)
    mistakes += contradictions(values, has_file=path is not None)
    mistakes += _read_url(values)
    try:
        config = Config.model_validate(values, context={"path": path, "notes": tuple(notes)})
    except ValidationError as error:
        mistakes += from_validation(error, Config)
    if mistakes:
        source = str(path) if path else "the configuration"
        raise ConfigInvalid(source, tuple(sorted(attribute(mistakes, places), key=lambda mistake: mistake.path)))
    return config


def example() -> str:
    """Return the commented file that `init` writes: every key with its default, and presets for common chains."""
    return (files("crypto_checkout") / "checkout.toml.example").read_text(encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    text = ""
    try:
        text = path.read_text(encoding="utf-8-sig")
        return tomllib.loads(text)
    except FileNotFoundError:
        problem = f"there is no such file; `crypto-checkout --config {path} init` writes one"
    except UnicodeDecodeError:
        problem = "it is not text in UTF-8"
    except OSError as error:
        problem = f"it can't be read: {error.strerror}"
    except tomllib.TOMLDecodeError as error:
        problem = _declared_twice(text) or f"not valid TOML: {error}"
    raise ConfigInvalid(str(path), (Mistake(path.name, problem),))


def _declared_twice(text: str) -> str | None:
    """Say which section a file has twice, as after pasting one below another of its name; None without one."""
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        found = _SECTION.match(line)
        if found and (first := lines.setdefault(found[1], number)) != number:
            return (
                f"the section [{found[1]}] is there twice, in lines {first} and {number}: move the keys of the second "
                "into the first, in place of those with the same names"
            )
    return None


def _read_url(values: dict[str, Any]) -> list[Mistake]:
    """Read the database's URL from the file that holds it."""
    database = values.get("database")
    file = database.get("url_file") if isinstance(database, dict) else None
    if not isinstance(file, str) or not file.strip() or not isinstance(database, dict) or database.get("url"):
        return []
    try:
        database["url"] = Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        return [Mistake("database.url_file", f"{Path(file).absolute()} can't be read: {reason}")]
    if not database["url"]:
        return [Mistake("database.url_file", f"{file} is empty; expected the URL of the database in it")]
    return []


def _resolve(values: dict[str, Any], folder: Path) -> None:
    database = values.setdefault("database", {})
    if isinstance(database, dict):
        database.setdefault("path", str(Config().database.path))
    for section, key in _PATHS:
        table = values.get(section)
        text = table.get(key) if isinstance(table, dict) else None
        # Joining would drop a slash at the end, and with it the sign that the path of a file is a folder's.
        if isinstance(text, str) and text.strip() and (key == "folder" or not text.endswith("/")):
            values[section][key] = str(folder / text)
