"""Docstrings and comments: the names in them exist, and a docstring begins with its subject or an imperative."""

import ast
import importlib
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import crypto_checkout

PACKAGE = Path(crypto_checkout.__file__).parent
ROOT = PACKAGE.parent
ROOMS = {path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"}
DOTTED = re.compile(r"`((?:\w+\.)+\w+)(?:\(\))?`")
FILES = sorted(path for folder in ("crypto_checkout", "tests") for path in (ROOT / folder).rglob("*.py"))


def docstrings(text: str) -> Iterator[str]:
    """Yield the docstrings of a file's module, classes and functions."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def prose(text: str) -> Iterator[str]:
    """Yield the docstrings of a file, those of attributes too, and its comments."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def is_there(name: str) -> bool:
    """Tell whether a dotted name leads to a module, or to something in one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        module = ".".join(parts[:end])
        try:
            is_module = find_spec(module) is not None
        except ModuleNotFoundError:
            continue
        if is_module:
            return has(importlib.import_module(module), parts[end:])
    return False


def has(thing: Any, names: list[str]) -> bool:
    """Tell whether a thing has such an attribute, or its class such a field."""
    for place, name in enumerate(names):
        if is_dataclass(thing) and name in {field.name for field in fields(thing)}:
            return place == len(names) - 1
        if not hasattr(thing, name):
            return False
        thing = getattr(thing, name)
    return True


def test_a_name_that_is_not_there_is_found() -> None:
    assert is_there("crypto_checkout.core.ledger.assess.Tip.number")
    assert not is_there("crypto_checkout.core.ledger.assess.Top")
    assert not is_there("crypto_checkout.core.cellar")


def test_every_module_and_name_that_prose_points_at_is_there() -> None:
    gone = set()
    for path in FILES:
        text = path.read_text("utf-8")
        names = set(DOTTED.findall("\n".join(prose(text)))) if DOTTED.search(text) else ()
        for name in names:
            bare = name.removeprefix("crypto_checkout.")
            is_ours = bare.split(".")[0] in {*ROOMS, "tests"}
            if is_ours and not is_there(f"crypto_checkout.{bare}") and not is_there(name):
                gone.add((str(path.relative_to(ROOT)), name))
    assert gone == set()


def test_no_docstring_of_the_package_begins_with_a_question() -> None:
    questions = re.compile(r"(What|Who|How|Which|Whether|Where|When|Why)\b")
    asking = {
        f"{path.relative_to(ROOT)}: {text.splitlines()[0]}"
        for path in FILES
        if path.is_relative_to(PACKAGE)
        for text in docstrings(path.read_text("utf-8"))
        if questions.match(text)
    }
    assert asking == set()
