"""A clock that leaps by hours and days, forth and back, under a server that takes payments. It needs `faketime`."""

import json
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.core import moments
from tests.services.upkeep.test_clock_of_a_process import CONFIG
from tests.support.anvil import Anvil
from tests.support.leaping_clock import FAKETIME, LeapingClock
from tests.support.receiver import Receiver
from tests.support.server import Server, command, new_database
from tests.support.shop import ANVIL_CHAIN_ID, FRESH_XPUB

pytestmark = pytest.mark.skipif(FAKETIME is None, reason="libfaketime isn't installed (apt-get install faketime)")

PRICE = {"amount": {"value": "30.00", "currency": "USD"}, "expiresInSeconds": 3600}
LEAPS = ("+1h", "+0", "-1h", "+0", "+1d", "+0", "-1d", "+0")
WEBHOOKS = "[webhooks]\nallow_private_networks = true\nretry_seconds = [1, 2" + ", 3600" * 13 + "]\n"
BURST = 20
A_SECOND_AND_A_BURST = {"CHECKOUT__RATE_LIMIT__PER_SECOND": "1", "CHECKOUT__RATE_LIMIT__BURST": str(BURST)}


def open_shop(folder: Path, node: Anvil) -> str:
    """Write its configuration, and return a live key."""
    config = WEBHOOKS + CONFIG.format(xpub=FRESH_XPUB, chain_id=ANVIL_CHAIN_ID, url=node.url)
    (folder / "checkout.toml").write_text(config, "utf-8")
    new_database(folder)
    made = command(folder, "keys", "create", "--mode", "live", "--name", "shop", "--json").stdout
    return str(json.loads(made)["key"])


def all_of(api: httpx.Client, path: str) -> list[dict[str, Any]]:
    """Return a whole list, a few at a time."""
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {"hasMore": True, "nextCursor": None}
    while page["hasMore"]:
        after = {"starting_after": page["nextCursor"]} if page["nextCursor"] else {}
        page = api.get(path, params={"limit": "3", **after}).raise_for_status().json()
        found += page["data"]
    return found


@pytest.mark.heavy
def test_a_clock_that_leaps_by_hours_and_days_loses_no_payment_no_event_and_no_place_in_a_list(
    anvil: Callable[..., Anvil], tmp_path: Path
) -> None:
    node = anvil(mining=1)
    key, clock = open_shop(tmp_path, node), LeapingClock(tmp_path)
    with (
        Receiver(status=500) as receiver,
        Server(tmp_path, None, {**clock.environ, "CHECKOUT__TEST_MODE__ENABLED": "false"}) as server,
    ):
        api = server.client(key)
        sell(server, api)
        hook = {"url": receiver.url, "events": ["session.paid"]}
        endpoint = api.post("/webhook_endpoints", json=hook).raise_for_status().json()
        made = [each["id"] for each in all_of(api, "/checkout_sessions")]
        for number, leap in enumerate(LEAPS):
            clock.set(leap)
            session = sell(server, api)
            made.insert(0, session["id"])
            node.send(node.accounts[9], session["address"], int(session["amount"]["wei"]))
            sees_paid(server, api, session["id"])
            # Every session so far is still there in its order, once, and none has expired by a clock that is ahead.
            listed = all_of(api, "/checkout_sessions")
            assert [each["id"] for each in listed] == made
            assert Counter(each["status"] for each in listed) == {"paid": number + 1, "pending": 1}
            assert moments.from_text(session["expiresAt"]) > datetime.now(UTC)
        assert len(set(made)) == len(made)
        noticed = server.log.count("was set ahead by")
        clock.set("+3h")
        server.wait_until(lambda: server.log.count("was set ahead by") > noticed, "notice a leap ahead")
        clock.set("+0")
        server.wait_until(lambda: "was set back by 3 hours" in server.log, "notice a leap back")
        # Some retries were scheduled while the clock was a day ahead, or an hour apart: none waits that long.
        receiver.status = 200
        path = f"/webhook_endpoints/{endpoint['id']}/deliveries"
        clock.set("+1d")
        server.wait_until(lambda: {each["status"] for each in all_of(api, path)} == {"succeeded"}, "deliver everything")
        delivered = all_of(api, path)
        assert len(delivered) == len(LEAPS)
        for each in delivered:
            assert len(each["attempts"]) <= 3 + len(LEAPS) + 4, "a leap causes no storm of retries"
        ids = Counter(each.headers["webhook-id"] for each in receiver.received)
        assert ids == {each["eventId"]: len(each["attempts"]) for each in delivered}
        stamps = {(each.headers["webhook-id"], int(each.headers["webhook-timestamp"])) for each in receiver.received}
        told = {
            (each["eventId"], int(datetime.fromisoformat(attempt["startedAt"]).timestamp()))
            for each in delivered
            for attempt in each["attempts"]
        }
        assert stamps == told, "each attempt is signed at its own time"
        assert "Traceback" not in server.log


def sell(server: Server, api: httpx.Client) -> dict[str, Any]:
    """Make a session; after a leap ahead the chain seems silent until it is read the next time."""
    answers: list[httpx.Response] = []

    def is_made() -> bool:
        answers.append(api.post("/checkout_sessions", json=PRICE))
        return answers[-1].status_code != 503

    server.wait_until(is_made, "make a session after a leap")
    session: dict[str, Any] = answers[-1].raise_for_status().json()
    return session


def sees_paid(server: Server, api: httpx.Client, session_id: str) -> None:
    path = f"/checkout_sessions/{session_id}"
    server.wait_until(lambda: api.get(path).json()["status"] == "paid", "see the payment")


def test_a_leap_of_the_clock_refills_no_rate_limit(tmp_path: Path) -> None:
    clock = LeapingClock(tmp_path)
    with Server(tmp_path, "", {**clock.environ, **A_SECOND_AND_A_BURST}) as server:
        began = time.monotonic()
        allowed = until_refused(server)
        for leap in ("+1d", "-1d"):
            clock.set(leap)
            allowed += until_refused(server)
        assert allowed <= BURST + time.monotonic() - began + 1


def until_refused(server: Server) -> int:
    """Ask until the limit refuses; return how often it didn't."""
    for allowed in range(10_000):
        answer = server.api.get("/checkout_sessions")
        if answer.status_code == 429:
            assert 0 < int(answer.headers["retry-after"]) <= 2
            return allowed
    raise AssertionError("there is no limit")
