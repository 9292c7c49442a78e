"""Properties of every command."""

import subprocess
import sys

import click

from crypto_checkout.cli import main
from tests.cli.test_serve import HEAVY
from tests.support.waiting import WAIT_SECONDS

PROGRAM = """
import sys
import click
from crypto_checkout.cli import main

def walk(command, path):
    command.main([*path, "--help"], standalone_mode=False)
    for name, inner in getattr(command, "commands", {}).items():
        inner.main(["--help"], prog_name=name, standalone_mode=False)
        walk(inner, [])

walk(main, [])
print("imported:", *sorted(set(sys.modules) & {HEAVY}))
"""


def commands() -> list[click.Command]:
    """Return every command, those of groups too."""
    found: list[click.Command] = []
    waiting: list[click.Command] = [main]
    while waiting:
        command = waiting.pop()
        found.append(command)
        if isinstance(command, click.Group):
            waiting += command.commands.values()
    return found


def test_the_commands_are_those_of_the_contract() -> None:
    names = {f"{command.name} {inner}" for command in commands() for inner in getattr(command, "commands", ())}
    for wanted in (
        *("keys create", "keys list", "keys revoke", "links create", "links list"),
        *("sessions list", "sessions show", "sessions accept", "sessions expire"),
        *("webhooks list", "webhooks test", "webhooks replay"),
        *(f"main {name}" for name in ("init", "serve", "demo", "listen", "trigger", "backup", "restore", "migrate")),
        "admin reset-password",
    ):
        assert wanted in names


def test_no_line_about_a_command_is_cut_short() -> None:
    for command in commands():
        if isinstance(command, click.Group):
            text = command.get_help(click.Context(command, info_name=command.name, max_content_width=80))
            assert "..." not in text.partition("Commands:")[2], text


def test_every_command_that_lists_takes_json() -> None:
    lists = [command for command in commands() if command.name == "list"]
    assert lists
    for command in lists:
        assert "--json" in [name for option in command.params for name in option.opts]


def test_nothing_heavy_is_imported_for_the_help_of_any_command() -> None:
    program = PROGRAM.replace("{HEAVY}", f"{{*{HEAVY!r}}}")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=WAIT_SECONDS
    )
    assert done.stdout.splitlines()[-1] == "imported:"
