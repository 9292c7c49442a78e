"""`crypto-checkout webhooks` beside a running server: what it lists, tries and has sent again."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from crypto_checkout.cli import main
from crypto_checkout.client import verify_webhook
from tests.support.receiver import Receiver
from tests.support.server import Server

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with Server(folder) as running:
        yield running


@pytest.fixture
def run(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `crypto-checkout webhooks` in the server's folder."""
    assert server.process.poll() is None
    monkeypatch.chdir(folder)
    return lambda *arguments: CliRunner().invoke(main, ["webhooks", *arguments])


def make(server: Server, url: str, *events: str, active: bool = True) -> dict[str, Any]:
    body = {"url": url, "events": [*events] or ["payment_link.created"], "active": active}
    answer = server.api.post("/webhook_endpoints", json=body)
    assert answer.status_code == 201, answer.text
    endpoint: dict[str, Any] = answer.json()
    return endpoint


def sell(server: Server) -> str:
    """Make a link, and return its id."""
    link: dict[str, Any] = server.api.post("/payment_links", json={"title": "Tea", "fiatAmount": "3.50"}).json()
    return str(link["id"])


def test_the_list_is_that_of_the_api_without_secrets(server: Server, run: Run) -> None:
    endpoint = make(server, "https://shop.example/" + "hook" * 40, "session.paid", "session.expired")
    listed = json.loads(run("list", "--json").stdout)
    assert listed == server.api.get("/webhook_endpoints", params={"limit": 100}).json()["data"]
    for_people = run("list").stdout
    assert endpoint["id"] in for_people
    assert "session.paid session.expired" in for_people
    assert endpoint["secret"] not in for_people + run("list", "--json").stdout
    assert max(map(len, for_people.splitlines())) <= 100


def test_trying_an_endpoint_sends_it_a_signed_event_and_shows_what_came_back(server: Server, run: Run) -> None:
    with Receiver(status=202) as receiver:
        endpoint = make(server, receiver.url)
        result = run("test", endpoint["id"])
        assert result.exit_code == 0
        assert "Response 202 after" in result.stdout
        (received,) = receiver.received
        event = verify_webhook(received.body, received.headers, endpoint["secret"])
        assert (event["type"], event["livemode"]) == ("session.paid", False)
        receiver.status = 500
        failed = run("test", endpoint["id"], "--json")
        assert failed.exit_code == 1
        assert json.loads(failed.stdout)["attempt"]["statusCode"] == 500
    nobody = run("test", endpoint["id"])
    assert nobody.exit_code == 1
    assert "The connection was refused" in nobody.stdout


def test_a_replay_sends_one_event_again_or_all_that_was_missed(server: Server, run: Run) -> None:
    began = datetime.now(UTC).isoformat()
    with Receiver() as receiver:
        off = make(server, receiver.url, "payment_link.created", active=False)
        missed = [sell(server) for _ in range(2)]
        queued = run("replay", off["id"], "--since", began)
        assert "2 deliveries are queued" in queued.stdout
        assert "is disabled" in queued.stdout
        assert server.api.patch(f"/webhook_endpoints/{off['id']}", json={"active": True}).is_success
        assert json.loads(run("replay", off["id"], "--since", began, "--json").stdout)["queued"] == 0, (
            "they wait already"
        )

        def succeeded() -> int:
            path = f"/webhook_endpoints/{off['id']}/deliveries"
            return len(server.api.get(path, params={"status": "succeeded"}).json()["data"])

        server.wait_until(lambda: succeeded() == 2, "deliver what was missed")
        assert {event["data"]["id"] for event in receiver.events("payment_link.created")} == {*missed}
        assert "Nothing to send" in run("replay", off["id"], "--since", began).stdout
        receiver.answers.clear()  # what is sent again waits for its answer
        again = receiver.received[0].event["id"]
        assert "1 delivery is queued" in run("replay", off["id"], "--event", again).stdout
        deliveries = server.api.get(f"/webhook_endpoints/{off['id']}/deliveries").json()["data"]
        assert {each["eventId"]: each["status"] for each in deliveries}[again] == "pending"


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (("replay", "we_nonsense", "--event", "evt_1"), 1, "`crypto-checkout webhooks list` shows them"),
        (("test", "we_nonsense"), 1, "`crypto-checkout webhooks list` shows them"),
        (("replay", "we_1"), 2, "either --event or --since"),
        (("replay", "we_1", "--event", "evt_1", "--since", "2026-01-31T12:00:00Z"), 2, "either --event or --since"),
        (("replay", "we_1", "--since", "yesterday"), 2, "2026-01-31T12:00:00Z"),
        (("replay", "we_1", "--since", "2026-01-31T12:00:00"), 2, "with its zone"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_way_out(
    run: Run, arguments: tuple[str, ...], code: int, named: str
) -> None:
    refused = run(*arguments)
    assert refused.exit_code == code
    assert named in refused.stderr


def test_an_event_of_nobody_is_not_sent(server: Server, run: Run) -> None:
    endpoint = make(server, "https://shop.example/hook")
    refused = run("replay", endpoint["id"], "--event", "evt_nonsense")
    assert refused.exit_code == 1
    assert "There is no event evt_nonsense" in refused.stderr


def test_an_endpoint_that_was_switched_off_is_switched_on_with_an_offer_of_what_it_missed(
    server: Server, run: Run
) -> None:
    with Receiver() as receiver:
        endpoint = make(server, receiver.url)
        server.api.patch(f"/webhook_endpoints/{endpoint['id']}", json={"active": False}).raise_for_status()
        link = sell(server)
        assert f"webhooks enable {endpoint['id']}" in run("list").stdout
        told = run("enable", endpoint["id"]).stdout
        since = server.api.get(f"/webhook_endpoints/{endpoint['id']}").json()["missedSince"]
        assert f"crypto-checkout webhooks replay {endpoint['id']} --since {since}" in told
        assert "1 delivery is queued" in run("replay", endpoint["id"], "--since", since).stdout
        server.wait_until(lambda: bool(receiver.received), "send what was missed")
        assert receiver.received[0].event["data"]["id"] == link
        assert "missed" not in run("enable", endpoint["id"]).stdout
        assert json.loads(run("enable", endpoint["id"], "--json").stdout)["active"] is True


def test_an_unknown_endpoint_can_not_be_switched_on(run: Run) -> None:
    refused = run("enable", "we_00000000000000000000000000")
    assert refused.exit_code == 1
    assert "no webhook endpoint" in refused.stderr
