"""Marks that follow from the code of a test, so that none can be forgotten.

`anvil` and `browser` follow from the fixtures that find those programs. `process` follows from the test, its fixtures
and everything in `tests` that they name: one of these starts another program. `sqlite` follows likewise: one of these
opens a file of SQLite, or asks what SQLite alone answers. `has_database` tells likewise whether an engine matters.
"""

import asyncio
import inspect
import sqlite3
import subprocess
from collections.abc import Iterator
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

import aiosqlite
import pytest

from crypto_checkout.app.server import open_server
from crypto_checkout.cli import main
from crypto_checkout.store.database import Database
from crypto_checkout.store.migrate import migrate
from tests.support.server import started

OF_FIXTURES = {"anvil_path": "anvil", "chromium_path": "browser"}
STARTERS = {id(each) for each in (subprocess, subprocess.run, subprocess.Popen, asyncio.create_subprocess_exec)}
OF_EVERY_TEST = {"_economies", "_engine"}
OPENERS = {id(inspect.unwrap(each)) for each in (Database, migrate, open_server, main, started)}
OF_SQLITE = {id(sqlite3.connect), id(aiosqlite.connect)}
WORDS_OF_SQLITE = ("EXPLAIN QUERY PLAN", "PRAGMA ")


def marks(item: pytest.Item) -> list[str]:
    """Return the marks of a test."""
    if not isinstance(item, pytest.Function):
        return []
    functions = functions_of(item)
    starts = any(starts_a_program(each) for each in functions)
    is_of_sqlite = any(asks_sqlite(each) for each in functions)
    by_fixture = [mark for name, mark in OF_FIXTURES.items() if name in item.fixturenames]
    return by_fixture + ["process"] * starts + ["sqlite"] * is_of_sqlite


def has_database(item: pytest.Item) -> bool:
    """Tell whether a test has a database of its engine: it, or what it names, opens one or starts what does."""
    if not isinstance(item, pytest.Function) or "postgresql_server" in item.fixturenames:
        return False
    return any(opens_a_database(each) for each in functions_of(item))


def functions_of(item: pytest.Function) -> list[Any]:
    """Return the function of a test, and those of its fixtures."""
    fixtures = [each.func for name in item.fixturenames for each in item._fixtureinfo.name2fixturedefs.get(name, ())]
    return [inspect.unwrap(each) for each in (item.function, *fixtures) if each.__name__ not in OF_EVERY_TEST]


@cache
def opens_a_database(function: Any) -> bool:
    """Tell whether a function opens a database, by itself or by anything in `tests` that it names."""
    return any(id(each) in OPENERS for each in reached(function))


@cache
def starts_a_program(function: Any) -> bool:
    """Tell whether a function starts a program, by itself or by anything in `tests` that it names."""
    return any(id(each) in STARTERS for each in reached(function))


@cache
def asks_sqlite(function: Any) -> bool:
    """Tell whether a function asks SQLite itself, or anything in `tests` that it names does."""
    return any(
        id(each) in OF_SQLITE or (is_of_tests(each) and isinstance(each, FunctionType) and any(words_in(each.__code__)))
        for each in reached(function)
    )


def reached(function: Any) -> Iterator[Any]:
    """Yield a function and everything that it names, and so on within `tests`."""
    seen: set[int] = set()
    left = [function]
    while left:
        each = inspect.unwrap(left.pop())
        yield each
        if id(each) not in seen:
            seen.add(id(each))
            left += named_by(each)


def words_in(code: CodeType) -> Iterator[bool]:
    """Yield whether each text in a piece of code is of SQLite's own language."""
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from words_in(each)
        elif isinstance(each, str):
            yield each.lstrip().startswith(WORDS_OF_SQLITE) or "FROM pragma_" in each


def is_of_tests(thing: Any) -> bool:
    """Tell whether something is defined in `tests`."""
    return str(getattr(thing, "__module__", "")).startswith("tests.")


def named_by(thing: Any) -> Iterator[Any]:
    """Yield everything that a function or class of `tests` names."""
    if not is_of_tests(thing):
        return
    if isinstance(thing, type):
        yield from vars(thing).values()
    if isinstance(thing, FunctionType):
        names = set(names_in(thing.__code__))
        for name in names & thing.__globals__.keys():
            found = thing.__globals__[name]
            yield found
            if isinstance(found, ModuleType):
                yield from (vars(found)[each] for each in names & vars(found).keys())


def names_in(code: CodeType) -> Iterator[str]:
    """Yield the names in a piece of code and in the functions within it."""
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from names_in(each)
