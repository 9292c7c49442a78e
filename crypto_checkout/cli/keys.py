"""`crypto-checkout keys`: make, list and revoke API keys."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.support import tables
from crypto_checkout.cli.support.options import Options
from crypto_checkout.cli.support.setup import load_config, print_json, show_place, shown_place, with_database
from crypto_checkout.core.owner.api_key import Scope

if TYPE_CHECKING:
    from crypto_checkout.core.owner.api_key import ApiKey
    from crypto_checkout.store.database import Database, WriteUnit

_SCOPES = [scope.value for scope in Scope]


@click.group()
def keys() -> None:
    """Create, list and revoke API keys."""


@keys.command()
@click.option(
    "--mode",
    type=click.Choice(["live", "test"]),
    default="test",
    show_default=True,
    help="live takes real money, test doesn't.",
)
@click.option("--name", required=True, help="A name by which you will recognise the key.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(_SCOPES),
    multiple=True,
    metavar="SCOPE",
    help=f"A permission; several can follow. Default: all. One of {', '.join(_SCOPES)}.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("more", type=click.Choice(_SCOPES), nargs=-1, metavar="")
@click.pass_obj
def create(
    options: Options, *, mode: str, name: str, scopes: tuple[str, ...], as_json: bool, more: tuple[str, ...]
) -> None:
    """Create a key. It is shown only once."""
    from crypto_checkout.core.webhooks.events import EventType
    from crypto_checkout.services.owner import api_keys as service
    from crypto_checkout.services.owner import audit
    from crypto_checkout.services.webhooks.outbox import Outbox

    if not name.strip() or len(name) > 200:  # noqa: PLR2004 - as long as a title
        raise click.UsageError("--name takes 1 to 200 characters")
    if more and not scopes:
        raise click.UsageError(f"name scopes after --scope: --scope {' '.join(more)}")
    granted = [Scope(scope) for scope in dict.fromkeys((*scopes, *more))] or list(Scope)

    def make(unit: "WriteUnit") -> "tuple[ApiKey, str]":
        made, text = service.create(unit, Outbox(), livemode=mode == "live", name=name, scopes=granted)
        audit.record_command(unit, EventType.API_KEY_CREATED, livemode=made.livemode, subject=made.id, detail=name)
        return made, text

    async def work(db: "Database") -> "tuple[ApiKey, str]":
        return await db.write(make)

    key, text = with_database(options, work)
    if as_json:
        print_json({"id": key.id, "key": text, "mode": mode, "scopes": list(key.scopes)})
        return
    click.echo(f"{text}\n\nThis is key {key.id}. Save it now: only its hash is stored, so it can't be shown again.")
    _show_server(options, mode)


def _show_server(options: Options, mode: str) -> None:
    """Name the server that the key is for: in a wrong folder, this command makes a key that no server knows."""
    config = load_config(options)
    click.echo(f"It is for the server whose data is in {shown_place(config)}.")
    if mode == "live" and not config.chains:
        click.echo("No chain is enabled there yet: the key works once the configuration has [[chains]].")


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_keys(options: Options, *, as_json: bool) -> None:
    """List all keys, including revoked ones."""
    from crypto_checkout.core.public import render
    from crypto_checkout.store.owner import api_keys as store

    async def work(db: "Database") -> "list[ApiKey]":
        return await db.read(store.all_keys)

    found = with_database(options, work)
    if as_json:
        print_json([render.api_key(key) for key in found])
        return
    if not found:
        click.echo("There are no keys yet: crypto-checkout keys create --name NAME")
    for key in found:
        state = f"revoked {tables.moment(key.revoked_at)}" if key.revoked_at else "active"
        used = f"last used {tables.moment(key.last_used_at)}" if key.last_used_at else "never used"
        click.echo(f"{key.id}  {key.prefix}…  {state}, {used}  {key.name}")
        click.echo(f"    {' '.join(key.scopes)}")
    show_place(load_config(options))


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def revoke(options: Options, *, key_id: str, as_json: bool) -> None:
    """Revoke a key, permanently and within a second."""
    from crypto_checkout.core.public import render
    from crypto_checkout.core.webhooks.events import EventType
    from crypto_checkout.services.owner import api_keys as service
    from crypto_checkout.services.owner import audit
    from crypto_checkout.services.webhooks.outbox import Outbox

    def end(unit: "WriteUnit") -> "ApiKey":
        revoked = service.revoke(unit, Outbox(), key_id)
        audit.record_command(
            unit,
            EventType.API_KEY_REVOKED,
            livemode=revoked.livemode,
            subject=key_id,
            detail=revoked.name,
        )
        return revoked

    async def work(db: "Database") -> "ApiKey":
        return await db.write(end)

    key = with_database(options, work)
    _record_revoked(load_config(options).database.path.absolute().parent, key_id)
    if as_json:
        print_json(render.api_key(key))
        return
    click.echo(f"{key.prefix}… ({key.name}) is revoked.")


def _record_revoked(folder: Path, key_id: str) -> None:
    """Record it beside the database too, for one that is restored to an earlier state before its next start."""
    from crypto_checkout.store.data_folder import restore_guard

    try:
        restore_guard.add_revoked_keys(folder, {key_id})
    except OSError as error:
        click.echo(f"It is revoked, but that can't be recorded in {folder} for a restore: {error.strerror}", err=True)
