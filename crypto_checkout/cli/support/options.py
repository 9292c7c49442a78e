"""The group's options, which every command gets as `ctx.obj`, and options that several commands share."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from crypto_checkout.core import moments

F = TypeVar("F", bound=Callable[..., Any])

MODES: Mapping[str | None, tuple[bool, ...]] = {None: (True, False), "live": (True,), "test": (False,)}
"""The values of `livemode` that `--mode` selects."""


@dataclass(frozen=True, slots=True)
class Options:
    """The `--config` option as given, and the process's environment."""

    config_path: Path | None
    environ: Mapping[str, str]


def json_option(command: F) -> F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def mode_option(command: F) -> F:
    """Add `--mode` to a command that makes something."""
    mode = click.Choice(["live", "test"])
    return click.option(
        "--mode", type=mode, default="test", show_default=True, help="live takes real money, test doesn't."
    )(command)


def mode_filter(command: F) -> F:
    """Add `--mode` to a command that shows both modes."""
    return click.option("--mode", type=click.Choice(["live", "test"]), help="Only this mode.")(command)


def limit_option(command: F) -> F:
    """Add `--limit`."""
    limit = click.IntRange(1, 1000)
    return click.option("--limit", type=limit, default=25, show_default=True, help="The maximum number.")(command)


def since_option(meaning: str) -> Callable[[F], F]:
    """Add `--since`, a moment."""

    def read(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
        try:
            return moments.from_optional_text(text)
        except ValueError:
            raise click.BadParameter('expected a time with its zone, like "2026-01-31T12:00:00Z"') from None

    return click.option("--since", metavar="TIME", callback=read, help=f"{meaning}: 2026-01-31T12:00:00Z.")


class LazyChoice(click.ParamType[str]):
    """One of several texts, which are looked up only when needed, because their module is heavy to import."""

    def __init__(self, name: str, known: Callable[[], Iterable[str]]) -> None:
        self.name = name
        self._known = known

    def convert(self, value: str, _: click.Parameter | None, __: click.Context | None) -> str:
        """Return the text, or refuse it and list the known ones."""
        known = [*self._known()]
        if value not in known:
            self.fail(f'"{value[:40]}" is not one of {", ".join(known)}')
        return value


def statuses() -> list[str]:
    """Return all statuses of sessions."""
    from crypto_checkout.core.checkout.session import Status

    return [status.value for status in Status]


def event_types() -> list[str]:
    """Return all types of events."""
    from crypto_checkout.core.webhooks.events import EventType

    return [event_type.value for event_type in EventType]
