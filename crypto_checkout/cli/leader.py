"""`crypto-checkout leader`: show which of several processes leads, and have another take over."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.support import tables
from crypto_checkout.cli.support.options import Options, json_option
from crypto_checkout.cli.support.setup import (
    fail,
    load_config,
    or_fail,
    print_json,
    require_database,
    shown_place,
    with_database,
)

if TYPE_CHECKING:
    from crypto_checkout.config import Config
    from crypto_checkout.core.upkeep.leader import Leader

_WAIT_SECONDS = 30.0
_ASK_EVERY_SECONDS = 0.25


@click.command()
@click.option("--hand-over", is_flag=True, help="Have the current leader step down, so that another takes over.")
@json_option
@click.pass_obj
def leader(options: Options, *, hand_over: bool, as_json: bool) -> None:
    """Show which process leads.

    Several processes can serve a database on a PostgreSQL server. One of them follows the chains, sends webhooks and
    mails, and tidies up; when it ends, another takes over within seconds.
    """
    config = load_config(options)
    require_database(config)
    if not config.database.url:
        if hand_over:
            fail(f"{shown_place(config)} is a file: one process serves it, and there is no other to take over.")
        click.echo(f"{shown_place(config)} is a file: the one process that serves it leads.")
        return
    now, serving = _processes(config)
    if hand_over:
        now, serving = _handed_over(options, config, now, serving)
    if as_json:
        print_json(_as_json(now, serving))
        return
    _show(now, serving)


def _processes(config: "Config") -> "tuple[Leader | None, Sequence[str]]":
    from crypto_checkout.app.urls import place
    from crypto_checkout.store.place import DatabaseServer
    from crypto_checkout.store.postgresql.election import processes

    server = or_fail(config, lambda: place(config))
    assert isinstance(server, DatabaseServer), "its URL is configured"
    return or_fail(config, lambda: processes(server))


def _handed_over(
    options: Options, config: "Config", now: "Leader | None", serving: Sequence[str]
) -> "tuple[Leader, Sequence[str]]":
    """Have the leader step down; return the new one, and all processes that serve."""
    from crypto_checkout.store.database import Database
    from crypto_checkout.store.upkeep import leader as store

    if now is None:
        fail("No process leads now, so there is nothing to hand over. One that serves takes over by itself.")
    if not set(serving) - {now.process}:
        fail(f"{now.process} is the only process that serves this database. Start another one first.")

    async def ask(db: Database) -> None:
        await db.write(lambda unit: store.ask_to_step_down(unit, now.term))

    with_database(options, ask)
    until = time.monotonic() + _WAIT_SECONDS
    then, serving = _processes(config)
    while then is None or then.term == now.term:
        if time.monotonic() > until:
            fail(f"{now.process} was asked to step down; nobody took over within {_WAIT_SECONDS:.0f} s. See the logs.")
        time.sleep(_ASK_EVERY_SECONDS)
        then, serving = _processes(config)
    return then, serving


def _show(now: "Leader | None", serving: Sequence[str]) -> None:
    if now is None:
        click.echo("No process leads." if serving else "No process serves this database.")
        return
    click.echo(f"{now.process} has led since {tables.moment(now.since)}, in term {now.term}.")
    others = [each for each in serving if each != now.process]
    if others:
        click.echo(f"Also serving: {', '.join(others)}")


def _as_json(now: "Leader | None", serving: Sequence[str]) -> dict[str, object]:
    from crypto_checkout.core import moments

    shown = None
    if now is not None:
        shown = {"process": now.process, "since": moments.to_text(now.since), "term": now.term}
    return {"leader": shown, "processes": [*serving]}
