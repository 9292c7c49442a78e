"""The dashboard's first page and its exports: what came in, what needs the owner, and files of it."""

import csv
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import App, Clock, made, open_app
from tests.support.dashboard import signed_in

SESSIONS, HELPERS = "/checkout_sessions", "/test_helpers"


@pytest.fixture
async def timed(tmp_path: Path) -> AsyncIterator[tuple[App, Clock]]:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        yield app, clock


async def story(app: App, scenario: str, **fields: Any) -> str:
    session = await made(app.api, SESSIONS, {"amount": {"value": "30.00", "currency": "USD"}, **fields})
    answer = await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay", json={"scenario": scenario})
    assert answer.status_code == 200, answer.text
    return str(session["id"])


async def look(client: httpx.AsyncClient, path: str = "/test", **query: Any) -> str:
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_the_overview_tells_what_came_in_and_how_many_paid(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    client = await signed_in(app)
    assert "Nothing came in in the last 30 days." in await look(client)
    for scenario in ("exact", "exact", "underpaid"):
        await story(app, scenario)
    await story(app, "exact", asset="USDC")
    page = await look(client)
    assert '<p class="figure">105.00 USD</p>' in page
    assert '<p class="figure">75.0 %</p>' in page
    assert "3 of 4 sessions" in page
    assert len(re.findall("<g><title>", page)) == 30
    rows = re.findall(r'data-label="(Asset|Payments|Amount|At payment time)">([^<]+)<', page)
    assert [value for _, value in rows] == ["ETH", "3", "0.025 ETH", "75.00 USD", "USDC", "1", "30 USDC", "30.00 USD"]


@pytest.mark.parametrize(("days", "columns"), [("7", 7), ("90", 90), ("365", (12, 13)), ("12345", 30), ("x", 30)])
async def test_the_range_can_be_chosen(timed: tuple[App, Clock], days: str, columns: Any) -> None:
    app, _ = timed
    await story(app, "exact")
    page = await look(await signed_in(app), days=days)
    assert len(re.findall("<g><title>", page)) in (columns if isinstance(columns, tuple) else (columns,))


async def test_what_needs_the_owner_is_shown_and_can_be_put_aside(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    client = await signed_in(app)
    assert "Nothing does." in await look(client)
    session_id = await story(app, "underpaid")
    page = await look(client)
    assert "Received 0.005 ETH, expected 0.01 ETH (30.00 USD)." in page
    assert f'href="/dashboard/test/payments/{session_id}"' in page
    answer = await client.post("/test/attention/dismiss", data={"cause": f"underpaid:{session_id}"})
    assert answer.status_code == 303
    page = await look(client)
    assert "Put aside." in page
    assert "Nothing does." in page
    assert "attention.dismissed" in await look(client, "/test/settings/trail")


@pytest.mark.parametrize("cause", ["", "chain:1", "nonsense"])
async def test_what_can_not_be_put_aside_is_refused(timed: tuple[App, Clock], cause: str) -> None:
    app, _ = timed
    answer = await (await signed_in(app)).post("/test/attention/dismiss", data={"cause": cause})
    assert answer.status_code == 400


async def test_payments_are_downloaded_as_they_were_asked_for(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    session_id = await story(app, "exact")
    client = await signed_in(app)
    page = await look(client, "/test/exports")
    assert '<option value="Europe/Berlin"></option>' in page
    answer = await client.get("/test/exports/payments?from=&to=&zone=Europe/Berlin&format=csv&bom=1")
    assert answer.headers["content-disposition"].startswith('attachment; filename="payments-test-')
    (row,) = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
    assert (row["session_id"], row["chain"], row["time_zone"]) == (session_id, "Sandbox", "Europe/Berlin")
    assert 'formaction="/dashboard/test/exports/unmatched"' in page
    answer = await client.get("/test/exports/unmatched?from=&to=&zone=UTC&format=json&metadata=order%0D%0Asku")
    assert answer.headers["content-disposition"].startswith('attachment; filename="unmatched-test-')
    assert answer.json() == []
    refused = await client.get("/test/exports/payments?zone=Nowhere")
    assert refused.status_code == 400
    assert "no time zone" in refused.text


@pytest.mark.parametrize(
    "path", ["/test/exports", "/test/exports/payments", "/test/exports/unmatched", "/test/exports/collected", "/test"]
)
async def test_nobody_else_sees_any_of_it(timed: tuple[App, Clock], path: str) -> None:
    app, _ = timed
    await signed_in(app)
    transport = httpx.ASGITransport(app=app.opened.web, client=("127.0.0.1", 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.example/dashboard") as stranger:
        answer = await stranger.get(path)
    assert answer.status_code == 303
    assert "/dashboard/sign-in" in answer.headers["location"]
