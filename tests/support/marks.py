"""Marks that follow from the code of a test, so that none can be forgotten.

`anvil` and `browser` follow from the fixtures that find those programs. `process` follows from the test, its fixtures
and everything in `tests` that they name: one of these starts another program.
"""

import asyncio
import inspect
import subprocess
from collections.abc import Iterator
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

OF_FIXTURES = {"anvil_path": "anvil", "chromium_path": "browser"}
STARTERS = {id(each) for each in (subprocess, subprocess.run, subprocess.Popen, asyncio.create_subprocess_exec)}


def marks(item: pytest.Item) -> list[str]:
    """Return the marks of a test."""
    if not isinstance(item, pytest.Function):
        return []
    fixtures = [each.func for name in item.fixturenames for each in item._fixtureinfo.name2fixturedefs.get(name, ())]
    starts = any(starts_a_program(inspect.unwrap(each)) for each in (item.function, *fixtures))
    return [mark for name, mark in OF_FIXTURES.items() if name in item.fixturenames] + ["process"] * starts


@cache
def starts_a_program(function: Any) -> bool:
    """Tell whether a function starts a program, by itself or by anything in `tests` that it names."""
    seen: set[int] = set()
    left = [function]
    while left:
        each = inspect.unwrap(left.pop())
        if id(each) in STARTERS:
            return True
        if id(each) not in seen:
            seen.add(id(each))
            left += named_by(each)
    return False


def named_by(thing: Any) -> Iterator[Any]:
    """Yield everything that a function or class of `tests` names."""
    if not str(getattr(thing, "__module__", "")).startswith("tests."):
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
