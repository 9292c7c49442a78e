"""`crypto-checkout trigger`: each event happens for real on a running server."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from crypto_checkout.cli import main, trigger_events
from crypto_checkout.client import CheckoutClient
from crypto_checkout.core.webhooks.events import EventType
from tests.support.server import Server

Run = Callable[..., Result]

TRIGGERABLE = [each.value for each in EventType if each.resource == "api_key" or trigger_events.story_of(each)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with Server(folder) as running:
        yield running


@pytest.fixture
def trigger(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `crypto-checkout trigger` in the server's folder."""
    assert server.process.poll() is None
    monkeypatch.chdir(folder)
    return lambda *arguments: CliRunner().invoke(main, ["trigger", *arguments])


@pytest.mark.parametrize("event_type", TRIGGERABLE)
def test_an_event_happens_for_real(server: Server, trigger: Run, event_type: str) -> None:
    result = trigger(event_type, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    event: dict[str, Any] = server.api.get(f"/events/{told['eventId']}").json()
    assert (event["type"], event["data"]["id"]) == (event_type, told["resourceId"])
    assert event["livemode"] is False


def test_a_refund_is_reorged_however_many_blocks_came_meanwhile(trigger: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pay = trigger_events._pay_refund

    def pay_slowly(client: CheckoutClient) -> str:
        refund_id = pay(client)
        client.test_helpers.mine(blocks=10)
        return refund_id

    monkeypatch.setattr(trigger_events, "_pay_refund", pay_slowly)
    result = trigger("refund.reorged")
    assert result.exit_code == 0, result.output


def test_an_event_that_nothing_leads_to_is_refused(trigger: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trigger_events, "_STORIES", {})
    refused = trigger("customer.created")
    assert refused.exit_code == 1
    assert "customer.created can't be triggered" in refused.stderr


def test_the_help_names_every_event(trigger: Run) -> None:
    lines = dict(line.split(".", 1) for line in trigger("--help").stdout.splitlines() if ".   " in line)
    named = {f"{kind.strip()}.{name}" for kind, names in lines.items() for name in names.split()}
    assert named == {*EventType}


def test_no_key_no_link_and_no_endpoint_stays_behind_and_no_event_of_a_lent_key(server: Server, trigger: Run) -> None:
    def key_events() -> list[str]:
        events = server.api.get("/events", params={"limit": 100}).json()["data"]
        return [event["id"] for event in events if event["type"].startswith("api_key.")]

    before = key_events()
    for event in ("webhook_endpoint.updated", "payment_link.created", "payment_link.updated", "payment_link.deleted"):
        assert trigger(event).exit_code == 0
    assert key_events() == before
    assert trigger("api_key.revoked").exit_code == 0
    assert len(key_events()) == len(before) + 2
    for kind in ("webhook_endpoints", "payment_links"):
        assert server.api.get(f"/{kind}").json()["data"] == []
    keys = json.loads(CliRunner().invoke(main, ["keys", "list", "--json"]).stdout)
    assert [key["name"] for key in keys] == ["First start"]


def test_with_a_key_none_is_made(server: Server, trigger: Run) -> None:
    assert server.key is not None
    before = CliRunner().invoke(main, ["keys", "list"]).stdout
    assert trigger("customer.created", "--api-key", server.key).exit_code == 0
    assert (
        CliRunner().invoke(main, ["trigger", "customer.created"], env={"CHECKOUT_API_KEY": server.key}).exit_code == 0
    )
    after = CliRunner().invoke(main, ["keys", "list"]).stdout
    assert [line.split()[0] for line in before.splitlines()] == [line.split()[0] for line in after.splitlines()]


def test_a_live_key_is_refused(trigger: Run) -> None:
    refused = trigger("session.created", "--api-key", "ck_live_" + "a" * 32)
    assert refused.exit_code == 1
    assert "only in test mode" in refused.stderr


def test_a_key_of_another_server_is_refused_in_a_sentence(trigger: Run) -> None:
    refused = trigger("session.created", "--api-key", "ck_test_" + "a" * 32)
    assert refused.exit_code == 1
    assert "No such API key on this server" in refused.stderr


def test_an_unknown_event_is_answered_with_the_known_ones(trigger: Run) -> None:
    refused = trigger("session.payed")
    assert refused.exit_code == 2
    assert all(event_type in refused.stderr.replace("\n", "") for event_type in ("session.paid", "customer.created"))


def test_without_a_server_it_says_how_to_start_one_and_makes_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(tmp_path) as stopped:
        url = stopped.url
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(main, ["trigger", "session.created", "--url", url])
    assert refused.exit_code == 1
    assert f"No server answers at {url}. Start it with `crypto-checkout serve`" in refused.stderr
    assert len(json.loads(CliRunner().invoke(main, ["keys", "list", "--json"]).stdout)) == 1
