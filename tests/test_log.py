import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from crypto_checkout.log import CONTEXT_KEYS, RepeatedLine

PACKAGE = Path(__file__).parent.parent / "crypto_checkout"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
NOT_CONTEXT = {"exc_info", "stack_info"}


def calls() -> Iterator[tuple[Path, ast.Call]]:
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=attr)) if attr in LEVELS:
                    yield file, node
                case ast.Call(func=ast.Name(id="log_line")):
                    yield file, node


def test_every_key_that_is_logged_stands_in_the_one_list_and_the_list_holds_no_other() -> None:
    logged = {keyword.arg for _, call in calls() for keyword in call.keywords if keyword.arg} - NOT_CONTEXT
    assert logged <= set(CONTEXT_KEYS), f"not listed: {sorted(logged - set(CONTEXT_KEYS))}"
    assert set(CONTEXT_KEYS) <= logged, f"never logged: {sorted(set(CONTEXT_KEYS) - logged)}"


def test_messages_are_constant_so_that_they_can_be_searched_for() -> None:
    for file, call in calls():
        assert not isinstance(call.args[0], ast.JoinedStr), f"{file.name}:{call.lineno}"


def test_a_line_that_strangers_provoke_comes_once_a_minute_and_says_how_often() -> None:
    now = 5.0
    line = RepeatedLine(clock=lambda: now)
    assert [line.due() for _ in range(100)] == [1, *[None] * 99]
    now += 59.9
    assert line.due() is None
    now += 0.1
    assert [line.due(), line.due()] == [101, None]


SCRIPT = """
import logging
from crypto_checkout import log
log.configure("info", "json")
log.get_logger("watcher").info("caught up", chain=1)
log.get_logger("watcher").debug("too fine")
logging.getLogger("library").info("chatter")
logging.getLogger("library").warning("a library %s", "warns")
try:
    raise ValueError("broken")
except ValueError:
    log.get_logger("watcher").exception("failed", chain=1)
"""


def test_json_lines_of_ours_and_of_libraries_have_the_same_form_and_chatter_is_left_out() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["caught up", "a library warns", "failed"]
    assert [line["level"] for line in lines] == ["info", "warning", "error"]
    assert all({"logger", "timestamp"} <= set(line) for line in lines)
    assert "ValueError: broken" in lines[2]["exception"]
