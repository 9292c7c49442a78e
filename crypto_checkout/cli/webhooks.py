"""`crypto-checkout webhooks`: list webhook endpoints, test one, enable it, and replay events."""

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.support import tables
from crypto_checkout.cli.support.options import MODES, Options, json_option, mode_filter, since_option
from crypto_checkout.cli.support.setup import load_config, print_json, show_place, with_database

if TYPE_CHECKING:
    from crypto_checkout.core.public.types import EndpointResource
    from crypto_checkout.core.public.webhook_types import AttemptedResource, ReplayResource
    from crypto_checkout.core.webhooks.endpoint import Endpoint
    from crypto_checkout.store.database import Database, ReadUnit, WriteUnit

_HEADINGS = ("id", "mode", "state", "url")
_LONGEST_EXCERPT = 500


@click.group(short_help="List, test, enable and replay webhook endpoints.")
def webhooks() -> None:
    """List, test and enable webhook endpoints, and replay events."""


@webhooks.command("list")
@mode_filter
@json_option
@click.pass_obj
def list_endpoints(options: Options, *, mode: str | None, as_json: bool) -> None:
    """List the endpoints of both modes."""
    from crypto_checkout.core.public import render
    from crypto_checkout.services.webhooks.endpoints import MOST_ENDPOINTS
    from crypto_checkout.store import paging
    from crypto_checkout.store.webhooks import endpoints as store

    async def work(db: "Database") -> "list[EndpointResource]":
        window = paging.Window(MOST_ENDPOINTS)
        pages = [await db.read(partial(store.listed, livemode=each, window=window)) for each in MODES[mode]]
        found = sorted((endpoint for page in pages for endpoint in page.items), key=lambda one: one.id, reverse=True)
        return [render.endpoint(endpoint) for endpoint in found]

    found = with_database(options, work)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("There are no webhook endpoints yet; POST /api/v1/webhook_endpoints creates one.")
        show_place(load_config(options))
        return
    head, *rows = tables.table(_HEADINGS, [_row(endpoint) for endpoint in found], flexible=3)
    click.echo(head)
    for row, endpoint in zip(rows, found, strict=True):
        click.echo(f"{row}\n    {' '.join(endpoint['events'])}")
        if endpoint["disabledReason"]:
            click.echo(f"    Disabled. {tables.plain(endpoint['disabledReason'])}")
        _show_missed(endpoint)
    show_place(load_config(options))


@webhooks.command(short_help="Send a sample event to an endpoint, and show its response.")
@click.argument("endpoint_id", metavar="ID")
@json_option
@click.pass_obj
def test(options: Options, *, endpoint_id: str, as_json: bool) -> None:
    """Send a sample session.paid to an endpoint, and show its response.

    It has livemode: false. The exit code is 0 if the endpoint accepted it.
    """
    from crypto_checkout.app import offline
    from crypto_checkout.core.owner.audit import Action
    from crypto_checkout.services.owner import audit

    config = load_config(options)

    async def work(db: "Database") -> "AttemptedResource":
        livemode = (await db.read(lambda unit: _found(unit, endpoint_id))).livemode
        async with offline.deliveries(config, db) as service:
            made = await service.test(livemode, endpoint_id)
        detail = "succeeded" if made["succeeded"] else "failed"
        await db.write(
            lambda unit: audit.record_command(
                unit, Action.ENDPOINT_TESTED, livemode=livemode, subject=endpoint_id, detail=detail
            )
        )
        return made

    attempted = with_database(options, work)
    if as_json:
        print_json(attempted)
    else:
        _show_attempt(attempted)
    if not attempted["succeeded"]:
        raise click.exceptions.Exit(1)


@webhooks.command(short_help="Enable a disabled endpoint.")
@click.argument("endpoint_id", metavar="ID")
@json_option
@click.pass_obj
def enable(options: Options, *, endpoint_id: str, as_json: bool) -> None:
    """Enable a disabled endpoint, and show since when it has missed events."""
    from crypto_checkout.app import offline
    from crypto_checkout.core.webhooks.events import EventType
    from crypto_checkout.services.owner import audit

    config = load_config(options)

    async def work(db: "Database") -> "EndpointResource":
        livemode = (await db.read(lambda unit: _found(unit, endpoint_id))).livemode
        switch_on = offline.endpoints(config, db).update(livemode, endpoint_id, {"active": True})

        def unit_of_work(unit: "WriteUnit") -> "EndpointResource":
            endpoint = switch_on(unit)
            audit.record_command(
                unit, EventType.ENDPOINT_UPDATED, livemode=livemode, subject=endpoint_id, detail="switched on"
            )
            return endpoint

        return await db.write(unit_of_work)

    endpoint = with_database(options, work)
    if as_json:
        print_json(endpoint)
        return
    click.echo(f"{endpoint['id']} is enabled: events are sent to {endpoint['url']}.")
    _show_missed(endpoint)


@webhooks.command()
@click.argument("endpoint_id", metavar="ID")
@click.option("--event", "event_id", metavar="EVENT", help="Send this event, whatever its earlier deliveries.")
@since_option("Send everything that was not delivered since this time")
@json_option
@click.pass_obj
def replay(options: Options, *, endpoint_id: str, event_id: str | None, since: datetime | None, as_json: bool) -> None:
    """Send events to an endpoint again."""
    from crypto_checkout.app import offline
    from crypto_checkout.core import moments
    from crypto_checkout.core.owner.audit import Action
    from crypto_checkout.services.owner import audit

    if (event_id is None) is (since is None):
        raise click.UsageError("Give either --event or --since")
    config = load_config(options)

    async def work(db: "Database") -> "tuple[ReplayResource, bool]":
        async with offline.deliveries(config, db) as service:

            def unit_of_work(unit: "WriteUnit") -> "tuple[ReplayResource, bool]":
                endpoint = _found(unit, endpoint_id)
                again = (
                    service.replay_event(endpoint.livemode, endpoint.id, str(event_id))
                    if since is None
                    else service.replay_since(endpoint.livemode, endpoint.id, since)
                )
                queued = again(unit)
                detail = str(event_id) if since is None else f"since {moments.to_text(since)}"
                audit.record_command(
                    unit, Action.ENDPOINT_REPLAYED, livemode=endpoint.livemode, subject=endpoint.id, detail=detail
                )
                return queued, endpoint.active

            return await db.write(unit_of_work)

    queued, active = with_database(options, work)
    if as_json:
        print_json(queued)
        return
    click.echo(_replay_result(queued["queued"]))
    if queued["hasMore"]:
        click.echo("There are more: run this again once these have been sent.")
    if queued["queued"] and not active:
        click.echo("The endpoint is disabled: nothing is sent until it is enabled.")


def _found(unit: "ReadUnit", endpoint_id: str) -> "Endpoint":
    from crypto_checkout.core.errors import ResourceNotFound
    from crypto_checkout.store.webhooks import endpoints as store

    endpoint = store.get(unit, endpoint_id)
    if endpoint is None:
        raise ResourceNotFound(
            f"There is no webhook endpoint {endpoint_id[:40]}; `crypto-checkout webhooks list` shows them."
        )
    return endpoint


# --- for people ------------------------------------------------------------------------------------------------------


def _row(endpoint: "EndpointResource") -> list[str]:
    return [
        endpoint["id"],
        tables.mode(endpoint["livemode"]),
        "on" if endpoint["active"] else "off",
        endpoint["url"],
    ]


def _show_missed(endpoint: "EndpointResource") -> None:
    """Show the command that sends the missed events, if there are any."""
    if endpoint["missedSince"] is None:
        return
    first = "" if endpoint["active"] else f"`crypto-checkout webhooks enable {endpoint['id']}`, and then "
    click.echo(
        f"    It has missed events since {endpoint['missedSince']}. To send them: {first}"
        f"`crypto-checkout webhooks replay {endpoint['id']} --since {endpoint['missedSince']}`"
    )


def _show_attempt(attempted: "AttemptedResource") -> None:
    from crypto_checkout.webhooks.send import Failure

    attempt = attempted["attempt"]
    status, after = attempt["statusCode"], f"after {attempt['durationMs']} ms"
    outcome = f"No response {after}" if status is None else f"Response {status} {after}"
    if attempt["error"] in (Failure.BLOCKED_ADDRESS, Failure.INVALID_URL):
        outcome = "Nothing was sent"
    detail = f" {tables.plain(attempt['detail'])}" if attempt["detail"] else ""
    click.echo(f"{outcome}.{detail}")
    for line in attempt["responseExcerpt"][:_LONGEST_EXCERPT].splitlines():
        click.echo(f"  {tables.plain(line)}")


def _replay_result(number: int) -> str:
    if not number:
        return "Nothing to send: the endpoint has accepted all its events."
    deliveries = "1 delivery is" if number == 1 else f"{number} deliveries are"
    return f"{deliveries} queued; the running server sends within 5 seconds."
