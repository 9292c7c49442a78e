"""The dashboard's pages of webhooks: endpoints, deliveries with their attempts, tests and replays."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import ENDPOINT, LINK, App, Clock, listed, made, open_app
from tests.support.dashboard import PASSWORD, signed_in
from tests.support.receiver import Receiver
from tests.support.shop import XPUB
from tests.support.waiting import until

FORM: Mapping[str, str] = {"url": "https://shop.example/hook", "events": "session.paid", "description": "my till"}
LIVE: Mapping[str, Any] = {
    "wallet": {"xpub": XPUB},
    "chains": [{"id": 1, "name": "Ethereum", "rpc_urls": ["http://127.0.0.1:9"]}],
}


@pytest.fixture
async def owner(app: App) -> httpx.AsyncClient:
    return await signed_in(app)


async def only(app: App) -> dict[str, Any]:
    (endpoint,) = (await listed(app.api, "/webhook_endpoints"))["data"]
    return dict(endpoint)


def secret(page: str) -> str:
    return page.partition('<code id="secret">')[2].partition("<")[0]


async def delivered(app: App, endpoint_id: str, status: str) -> list[dict[str, Any]]:
    """Wait until no delivery to an endpoint is left out of a status, and return them."""
    path = f"/webhook_endpoints/{endpoint_id}/deliveries"

    async def all_are() -> bool:
        found = (await listed(app.api, path))["data"]
        return bool(found) and all(each["status"] == status and each["attempts"] for each in found)

    await until(all_are, f"deliveries {status}")
    return list((await listed(app.api, path))["data"])


async def test_an_endpoint_is_made_and_its_secret_is_shown_once(app: App, owner: httpx.AsyncClient) -> None:
    with Receiver() as shop:
        answer = await owner.post("/test/webhooks", data={**FORM, "url": shop.url, "events": ["session.paid", "*"]})
        assert answer.status_code == 201
        endpoint = await only(app)
        assert (endpoint["url"], endpoint["events"], endpoint["description"]) == (shop.url, ["*"], "my till")
        assert secret(answer.text).startswith(endpoint["secretPrefix"])
        for path in ("", f"/{endpoint['id']}"):
            page = (await owner.get(f"/test/webhooks{path}")).text
            assert shop.url in page
            assert secret(answer.text) not in page
        assert "webhook_endpoint.created" in (await owner.get("/test/settings/trail")).text


async def test_an_endpoint_is_changed(app: App, owner: httpx.AsyncClient) -> None:
    endpoint = await made(app.api, "/webhook_endpoints", ENDPOINT)
    page = (await owner.get(f"/test/webhooks/{endpoint['id']}/edit")).text
    assert 'value="*" checked' in page
    changed = {"url": "https://new.example/hook", "events": ["session.paid", "session.overpaid"], "description": ""}
    answer = await owner.post(f"/test/webhooks/{endpoint['id']}", data=changed)
    assert answer.headers["location"] == f"/dashboard/test/webhooks/{endpoint['id']}"
    after = await only(app)
    assert (after["url"], after["events"], after["description"]) == (*list(changed.values())[:2], None)


async def test_a_mistake_stands_at_its_field_with_all_that_was_typed(app: App, owner: httpx.AsyncClient) -> None:
    before = await made(app.api, "/webhook_endpoints", ENDPOINT)
    for path in ("/test/webhooks", f"/test/webhooks/{before['id']}"):
        for field, typed, said in (
            ("url", "", "This field is required."),
            ("url", "shop.example", "http"),
            ("url", "https://ada:pw@shop.example/hook", "password"),
            ("url", "https://shop.example/a b", "space"),
            ("events", "session.made_up", "Select at least one."),
            ("description", "x" * 1_001, "Use at most 1000"),
        ):
            answer = await owner.post(path, data={**FORM, field: typed})
            assert answer.status_code == 400, field
            mistake = answer.text.partition(f'id="{field}-wrong">')[2].partition("</p>")[0]
            assert said in mistake, (field, mistake)
            assert "url: " not in mistake
            kept = {**FORM, field: typed}
            assert f'value="{kept["url"]}"' in answer.text
            assert f">{kept['description']}</textarea>" in answer.text
            assert ('value="session.paid" checked' in answer.text) is (field != "events")
    assert await only(app) == {name: value for name, value in before.items() if name != "secret"}


async def test_secrets_and_addresses_are_for_who_gave_the_password_lately(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        owner = await signed_in(app)
        before = await made(app.api, "/webhook_endpoints", ENDPOINT)
        clock.move(minutes=11)
        path = f"/test/webhooks/{before['id']}"
        for asked in ("/test/webhooks/new", f"{path}/edit"):
            assert (await owner.get(asked)).status_code == 403
        for asked, fields in (("/test/webhooks", FORM), (path, FORM), (f"{path}/rotate", {"overlap": "0"})):
            answer = await owner.post(asked, data=fields)
            assert answer.status_code == 403
            assert "Confirm your password" in answer.text
            for name, value in fields.items():
                assert f'name="{name}" value="{value}"' in answer.text
        assert await only(app) == {name: value for name, value in before.items() if name != "secret"}
        answer = await owner.post(f"{path}/rotate", data={"overlap": "0", "current_password": PASSWORD})
        assert answer.status_code == 201
        assert secret(answer.text) != before["secret"]


async def test_a_rotated_secret_signs_beside_the_one_before(app: App, owner: httpx.AsyncClient) -> None:
    with Receiver() as shop:
        endpoint = await made(app.api, "/webhook_endpoints", {**ENDPOINT, "url": shop.url})
        path = f"/test/webhooks/{endpoint['id']}"
        assert (await owner.post(f"{path}/rotate", data={"overlap": "12"})).status_code == 400
        answer = await owner.post(f"{path}/rotate", data={"overlap": "3600"})
        assert answer.status_code == 201
        assert "another hour" in answer.text
        assert secret(answer.text) not in {"", endpoint["secret"]}
        assert "the previous one stays valid until" in (await owner.get(path)).text
        await owner.post(f"{path}/test")
        assert shop.events("session.paid")
        assert shop.received[-1].headers["x-webhook-signature"].count("v1=") == 2
        await owner.post(f"{path}/rotate", data={"overlap": "0"})
        assert "the one before signs too" not in (await owner.get(path)).text
        await owner.post(f"{path}/test")
        assert shop.received[-1].headers["x-webhook-signature"].count("v1=") == 1
        assert (await owner.get("/test/settings/trail")).text.count("webhook_endpoint.secret_rotated") == 2


async def test_a_test_shows_its_attempt(app: App, owner: httpx.AsyncClient) -> None:
    with Receiver() as shop:
        endpoint = await made(app.api, "/webhook_endpoints", {**ENDPOINT, "url": shop.url})
        path = f"/test/webhooks/{endpoint['id']}"
        taken = (await owner.post(f"{path}/test")).text
        shop.status = 500
        refused = (await owner.post(f"{path}/test")).text
    await app.api.patch(f"/webhook_endpoints/{endpoint['id']}", json={"url": "http://127.0.0.1:9/hook"})
    silent = (await owner.post(f"{path}/test")).text
    assert "HTTP 200" in taken
    assert re.search(r"<dd>\d+ ms</dd>", taken)
    assert "was sent" not in silent, "nothing may have been"
    assert "HTTP 500" in refused
    assert "Failed" in refused
    assert re.findall(r"<dt>Error</dt><dd><code>([a-z_]+)</code>", silent) == ["refused"]
    assert "Details" in silent
    assert (await owner.get("/test/settings/trail")).text.count("webhook_endpoint.tested") == 3


async def test_a_delivery_shows_what_was_sent_and_what_came_of_it(app: App, owner: httpx.AsyncClient) -> None:
    with Receiver(status=500) as shop:
        endpoint = await made(app.api, "/webhook_endpoints", {"url": shop.url, "events": ["payment_link.created"]})
        await made(app.api, "/payment_links", {**LINK, "title": "A <b>book</b>"})
        (delivery,) = await delivered(app, endpoint["id"], "pending")
        path = f"/test/webhooks/{endpoint['id']}"
        page = (await owner.get(path)).text
        assert "payment_link.created" in page
        assert "HTTP 500" in page
        assert "Deliveries to this endpoint have failed</strong> since" in page
        assert "; 1 will be retried. The endpoint will be disabled after 5 days" in page
        page = (await owner.get(f"{path}/deliveries/{delivery['eventId']}")).text
        assert (await owner.get(f"/test/events/{delivery['eventId']}")).status_code == 200
        assert f'href="/dashboard/test/events/{delivery["eventId"]}"' in page
        assert "A &lt;b&gt;book&lt;/b&gt;" in page
        assert "Attempt 1" in page
        assert "HTTP 500" in page
        assert "Next attempt" in page
        shop.status = 200
        answer = await owner.post(f"{path}/replay", data={"event": delivery["eventId"]})
        assert answer.headers["location"] == f"/dashboard{path}/deliveries/{delivery['eventId']}"
        await delivered(app, endpoint["id"], "succeeded")
        page = (await owner.get(f"{path}/deliveries/{delivery['eventId']}")).text
        assert page.index("Attempt 2") < page.index("Attempt 1")
        assert "have failed" not in (await owner.get(path)).text
        assert "No deliveries match this filter." in (await owner.get(path, params={"status": "pending"})).text
        assert "payment_link.created</span></a>" in (await owner.get(path, params={"status": "succeeded"})).text
        assert "webhook_endpoint.replayed" in (await owner.get("/test/settings/trail")).text


async def test_what_was_missed_while_an_endpoint_was_off_is_offered_and_sent(
    app: App, owner: httpx.AsyncClient
) -> None:
    with Receiver() as shop:
        endpoint = await made(app.api, "/webhook_endpoints", {"url": shop.url, "events": ["payment_link.created"]})
        path = f"/test/webhooks/{endpoint['id']}"
        await owner.post(f"{path}/off")
        assert (await only(app))["active"] is False
        await made(app.api, "/payment_links", LINK)
        page = (await owner.get(path)).text
        assert ">Enable</button>" in page
        assert "Resend missed events" not in page
        await owner.post(f"{path}/on")
        assert (await only(app))["active"] is True
        page = (await owner.get(path)).text
        assert "Resend missed events" in page
        assert "Resend missed events" in (await owner.get("/test/webhooks")).text
        since = unescape(page.partition('name="since" value="')[2].partition('"')[0])
        await owner.post(f"{path}/replay-since", data={"since": since})
        page = (await owner.get(path)).text
        assert "1 delivery is being sent again." in page
        assert "Resend missed events" not in page
        await until(lambda: shop.events("payment_link.created"), "the event to come")


async def test_an_endpoint_that_is_gone_is_told_of(app: App, owner: httpx.AsyncClient) -> None:
    with Receiver(status=410) as shop:
        endpoint = await made(app.api, "/webhook_endpoints", {"url": shop.url, "events": ["payment_link.created"]})
        await made(app.api, "/payment_links", LINK)
        await delivered(app, endpoint["id"], "abandoned")
        for path in ("/test/webhooks", f"/test/webhooks/{endpoint['id']}"):
            page = (await owner.get(path)).text
            assert "was disabled:" in page
            assert "The endpoint answered 410 Gone." in page
            assert "Disabled after failures" in page


async def test_a_replay_that_can_not_be_says_why(app: App, owner: httpx.AsyncClient) -> None:
    endpoint = await made(app.api, "/webhook_endpoints", {**ENDPOINT, "events": ["session.failed"]})
    path = f"/test/webhooks/{endpoint['id']}"
    later = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")
    for action, field, typed, said in (
        ("replay-since", "since", "", "This field is required."),
        ("replay-since", "since", "yesterday", "like 2026-01-31T12:00"),
        ("replay-since", "since", "0001-01-01T00:00+14:00", "like 2026-01-31T12:00"),
        ("replay-since", "since", later, "in the future"),
        ("replay", "event", "", "This field is required."),
        ("replay", "event", "evt_unknown", "There is no event evt_unknown"),
    ):
        answer = await owner.post(f"{path}/{action}", data={field: typed})
        assert answer.status_code == 400, typed
        assert said in answer.text.partition(f'id="{field}-wrong">')[2].partition("</p>")[0], typed
        assert f'value="{typed}"' in answer.text
    answer = await owner.post(f"{path}/replay-since", data={"since": "2026-01-31T12:00"})
    assert answer.status_code == 303
    assert "Nothing to resend" in (await owner.get(path)).text


async def test_a_deleted_endpoint_is_gone(app: App, owner: httpx.AsyncClient) -> None:
    endpoint = await made(app.api, "/webhook_endpoints", ENDPOINT)
    answer = await owner.post(f"/test/webhooks/{endpoint['id']}/delete")
    assert answer.headers["location"] == "/dashboard/test/webhooks"
    assert "was deleted" in (await owner.get("/test/webhooks")).text
    assert (await listed(app.api, "/webhook_endpoints"))["data"] == []
    assert (await owner.get(f"/test/webhooks/{endpoint['id']}")).status_code == 404


ACTIONS: Mapping[str, Mapping[str, str]] = {
    "": FORM,
    "/off": {},
    "/on": {},
    "/rotate": {"overlap": "0"},
    "/delete": {},
    "/test": {},
    "/replay": {"event": "evt_1"},
    "/replay-since": {"since": "2026-01-31T12:00"},
}


async def test_another_sites_form_does_nothing(app: App, owner: httpx.AsyncClient) -> None:
    await made(app.api, "/webhook_endpoints", ENDPOINT)
    before = await only(app)
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert (await owner.post("/test/webhooks", data=FORM, headers=headers)).status_code == 403
        for action, fields in ACTIONS.items():
            answer = await owner.post(f"/test/webhooks/{before['id']}{action}", data=fields, headers=headers)
            assert answer.status_code == 403, action
    assert await only(app) == before
    assert "webhook_endpoint" not in (await owner.get("/test/settings/trail")).text


async def test_the_other_modes_endpoints_are_not_there(tmp_path: Path) -> None:
    async with open_app(tmp_path, **LIVE) as app:
        owner = await signed_in(app)
        api = await app.client(livemode=True)
        live, test = (
            await made(api, "/webhook_endpoints", ENDPOINT),
            await made(app.api, "/webhook_endpoints", ENDPOINT),
        )
        event = (await listed(app.api, "/events"))["data"][0]
        for mode, endpoint, strange in (("", live, test), ("/test", test, live)):
            assert (await owner.get(f"{mode}/webhooks/{endpoint['id']}")).status_code == 200
            for path in ("", "/edit", f"/deliveries/{event['id']}"):
                assert (await owner.get(f"{mode}/webhooks/{strange['id']}{path}")).status_code == 404, path
            for action, fields in ACTIONS.items():
                answer = await owner.post(f"{mode}/webhooks/{strange['id']}{action}", data=fields)
                assert answer.status_code == 404, action
            page = (await owner.get(f"{mode}/webhooks")).text
            assert endpoint["id"] in page
            assert strange["id"] not in page
        answer = await owner.post(f"/webhooks/{live['id']}/replay", data={"event": event["id"]})
        assert answer.status_code == 400


async def test_a_wrong_place_in_the_list_is_refused(app: App, owner: httpx.AsyncClient) -> None:
    endpoint = await made(app.api, "/webhook_endpoints", ENDPOINT)
    for place in ("evt_1", "²", "9" * 19, "-1"):
        answer = await owner.get(f"/test/webhooks/{endpoint['id']}", params={"after": place})
        assert answer.status_code == 400, place
        assert (await owner.get("/test/settings/trail", params={"after": place})).status_code == 400
