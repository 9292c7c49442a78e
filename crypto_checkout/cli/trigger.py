"""`crypto-checkout trigger`: cause a real event in test mode, through the running server."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import click

from crypto_checkout.cli.support.options import LazyChoice, Options, event_types, json_option
from crypto_checkout.cli.support.setup import fail, load_config, print_json, require_database, with_database

if TYPE_CHECKING:
    from crypto_checkout.core.owner.api_key import ApiKey
    from crypto_checkout.core.webhooks.events import EventType
    from crypto_checkout.store.database import Database, WriteUnit

T = TypeVar("T")

_KEY_NAME = "crypto-checkout trigger"
_MOST_SECONDS = 60.0


class _TriggerCommand(click.Command):
    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help, and below it the types of events, a line for each resource."""
        super().format_help_text(ctx, formatter)
        occurrences: dict[str, list[str]] = {}
        for event_type in event_types():
            resource, _, occurrence = event_type.partition(".")
            occurrences.setdefault(f"{resource}.", []).append(occurrence)
        formatter.write_paragraph()
        for resource, names in occurrences.items():
            formatter.write(f"  {resource:<20}{' '.join(names)}\n")


@click.command(cls=_TriggerCommand)
@click.argument("event", metavar="EVENT", type=LazyChoice("event", event_types))
@click.option(
    "--api-key", envvar="CHECKOUT_API_KEY", show_envvar=True, help="A ck_test_ key. Default: a temporary one."
)
@click.option("--url", metavar="URL", help="The server's URL, if it isn't the configured one.")
@json_option
@click.pass_obj
def trigger(options: Options, *, event: str, api_key: str | None, url: str | None, as_json: bool) -> None:
    """Make an EVENT happen, like session.paid, in test mode.

    The server creates a session, a link, an endpoint or a customer and does what leads to the event; other events
    happen on the way. Whatever can be deleted is deleted again. Without --api-key it uses a key that exists only for
    this command.

    """
    from crypto_checkout.core.webhooks.events import EventType

    event_type = EventType(event)
    if event_type in {EventType.API_KEY_CREATED, EventType.API_KEY_REVOKED}:
        happened = _trigger_by_key(options, event_type)
    else:
        happened = _trigger_by_api(options, event_type, api_key, url)
    if as_json:
        print_json(happened)
        return
    click.echo(f"{event} happened: {happened['eventId']}, of {happened['resourceId']}.")


def _trigger_by_api(options: Options, event_type: "EventType", api_key: str | None, url: str | None) -> dict[str, str]:
    from crypto_checkout.app.urls import known_url
    from crypto_checkout.cli.trigger_events import NotYet, story_of, wait_for_event
    from crypto_checkout.client import CheckoutClient, CheckoutClientError

    story = story_of(event_type)
    if story is None:
        fail(f"{event_type} can't be triggered: no API call and no test-mode scenario leads to it.")
    config = load_config(options)
    if api_key is None or url is None:
        require_database(config)
    url = url or known_url(config)
    if api_key is not None and not api_key.startswith("ck_test_"):
        fail("That is not a test key: trigger works only in test mode, with a key that begins with ck_test_.")
    _check_that_it_answers(url)
    with _key(options, api_key) as key:
        try:
            with CheckoutClient(url, key, timeout_seconds=_MOST_SECONDS) as client:
                resource_id = story(client)
                event_id = wait_for_event(client, event_type, resource_id)
        except NotYet as error:
            fail(f"This server can't trigger {event_type} yet: {error}.")
        except CheckoutClientError as error:
            fail(f"{event_type} did not happen: {error}")
        except ValueError as error:
            fail(f"{error}.")
    return {"type": event_type, "eventId": event_id, "resourceId": resource_id}


def _check_that_it_answers(url: str) -> None:
    """Fail before anything is made if no server answers."""
    import httpx

    try:
        httpx.get(f"{url}/healthz", trust_env=False).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL):
        fail(f"No server answers at {url}. Start it with `crypto-checkout serve`, or name it with --url.")


@contextmanager
def _key(options: Options, given: str | None) -> Iterator[str]:
    """Yield the given key, or one that exists for this moment only."""
    from crypto_checkout.services.owner import api_keys

    if given is not None:
        yield given
        return
    made, text = _in_one_write(options, lambda unit: api_keys.lend(unit, _KEY_NAME))
    try:
        yield text
    finally:
        _in_one_write(options, lambda unit: api_keys.remove(unit, made.id))


def _trigger_by_key(options: Options, event_type: "EventType") -> dict[str, str]:
    """Make a key, revoke it and delete it, in the database, because the API can't do that."""
    from crypto_checkout.core.owner.api_key import Scope
    from crypto_checkout.core.webhooks.events import EventType
    from crypto_checkout.services.owner import api_keys, audit
    from crypto_checkout.services.webhooks.outbox import Outbox

    def make(unit: "WriteUnit") -> "ApiKey":
        made, _ = api_keys.create(unit, Outbox(), livemode=False, name=_KEY_NAME, scopes=list(Scope))
        api_keys.revoke(unit, Outbox(), made.id)
        for action in (EventType.API_KEY_CREATED, EventType.API_KEY_REVOKED):
            audit.record_command(unit, action, livemode=False, subject=made.id, detail=_KEY_NAME)
        api_keys.remove(unit, made.id)
        return made

    made = _in_one_write(options, make)

    async def work(db: "Database") -> str:
        from crypto_checkout.store import paging
        from crypto_checkout.store.webhooks import events

        filters = events.EventFilter(type=event_type, resource_id=made.id)
        page = await db.read(lambda unit: events.bodies(unit, False, filters, paging.Window(1)))
        event_id: str = json.loads(page.items[0])["id"]
        return event_id

    return {"type": event_type, "eventId": with_database(options, work), "resourceId": made.id}


def _in_one_write(options: Options, unit_of_work: "Callable[[WriteUnit], T]") -> T:
    async def work(db: "Database") -> T:
        return await db.write(unit_of_work)

    return with_database(options, work)
