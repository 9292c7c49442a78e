"""The dashboard's first page and its exports: what came in, what needs the owner, and files of it."""

import csv
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.store.database import ReadUnit
from tests.support.api import App, Clock, made, open_app
from tests.support.dashboard import hidden, signed_in

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
    assert "No payments yet." in await look(client)
    for scenario in ("exact", "exact", "underpaid"):
        await story(app, scenario)
    await story(app, "exact", asset="USDC")
    page = await look(client)
    assert re.findall(r'<dt>([^<]+)</dt>\s*<dd class="figure">([^<]+)<', page) == [
        ("Today", "105.00 USD"),
        ("Last 7 days", "105.00 USD"),
        ("Last 30 days", "105.00 USD"),
    ]
    assert "<strong>75.0%</strong> of checkouts paid: 3 of 4 started in the last 30 days." in page
    assert len(re.findall("<g><title>", page)) == 30
    rows = re.findall(r'data-label="(Coin|Payments|Amount|Value when paid)">([^<]+)<', page)
    assert [value for _, value in rows] == ["ETH", "3", "0.025 ETH", "75.00 USD", "USDC", "1", "30 USDC", "30.00 USD"]


@pytest.mark.parametrize(("days", "columns"), [("7", 7), ("90", 90), ("365", (12, 13)), ("12345", 30), ("x", 30)])
async def test_the_range_can_be_chosen(timed: tuple[App, Clock], days: str, columns: Any) -> None:
    app, _ = timed
    await story(app, "exact")
    page = await look(await signed_in(app), days=days)
    assert len(re.findall("<g><title>", page)) in (columns if isinstance(columns, tuple) else (columns,))


async def test_one_currency_is_shown_at_a_time_and_the_chosen_one_is_remembered(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    client = await signed_in(app)
    await story(app, "exact")
    assert 'aria-label="Currency"' not in await look(client), "there is nothing to choose"
    for _ in range(2):
        await story(app, "exact", amount={"value": "20.00", "currency": "EUR"})
    assert "Revenue in EUR" in await look(client), "the most payments"
    page = await look(client, currency="USD", days="7")
    assert "Revenue in USD" in page
    assert "40.00 EUR" not in page
    assert page.count('<svg class="chart"') == 1
    assert 'href="/dashboard/test?currency=EUR&amp;days=7"' in page
    assert "Revenue in USD" in await look(client)
    assert "Revenue in USD" in await look(client, currency="JPY"), "in which there is nothing"


async def test_an_issue_is_shown_and_can_be_dismissed(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    client = await signed_in(app)
    assert "All clear" in await look(client)
    session_id = await story(app, "underpaid")
    page = await look(client)
    assert "1 underpaid" in page
    assert "Received 0.005 ETH, expected 0.01 ETH (30.00 USD)." in page
    assert f'href="/dashboard/test/payments/{session_id}"' in page
    answer = await client.post("/test/attention/dismiss", data={"cause": f"underpaid:{session_id}"})
    assert answer.status_code == 303
    page = await look(client)
    assert "Dismissed." in page
    assert "All clear" in page
    assert "Issue dismissed" in await look(client, "/test/settings/trail")


def titles(page: str) -> list[str]:
    """Return the titles of the groups with their sums."""
    section = page.partition('aria-labelledby="attention"')[2].partition("</section>")[0]
    return [re.sub("<[^>]+>", " ", each).strip() for each in re.findall("<h3>(.*?)</h3>", section, re.DOTALL)]


async def test_issues_of_a_kind_are_one_group_with_its_number_and_sum(timed: tuple[App, Clock]) -> None:
    app, clock = timed
    client = await signed_in(app)
    for value, currency in (("30.00", "USD"), ("1000.00", "USD"), ("50.00", "EUR")):
        await story(app, "underpaid", amount={"value": value, "currency": currency})
    clock.move(minutes=1)
    await story(app, "overpaid")
    page = await look(client)
    assert titles(page) == ["1 overpaid 30.00 USD too much", "3 underpaid 1,030.00 USD + 50.00 EUR"]
    assert '<a href="#attention">Needs attention</a>: 1 overpaid, 3 underpaid' in page
    assert 'href="/dashboard/test/payments?issue=underpaid"' in page
    listed = await look(client, "/test/payments", issue="underpaid")
    assert set(re.findall(r"/payments/(cs_\w+)\?", listed)) == set(
        re.findall(r"dismiss.*?underpaid:(cs_\w+)\"", page, re.DOTALL)
    )
    assert (await client.get("/test/payments", params={"issue": "nonsense"})).status_code == 400


async def test_of_very_many_issues_a_lower_bound_is_shown(
    timed: tuple[App, Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crypto_checkout.services.alerts.issues.MOST_COUNTED", 2)
    monkeypatch.setattr("crypto_checkout.services.alerts.issues._MOST_READ", 2)
    app, clock = timed
    client = await signed_in(app)
    for scenario in ("underpaid", "wrong_token"):
        for _ in range(3):
            await story(app, scenario)
        clock.move(minutes=1)
    unmatched, underpaid = titles(await look(client))
    assert underpaid == "2+ underpaid more than 60.00 USD"
    assert unmatched.startswith("2+ unmatched payments more than ")


async def test_all_of_a_kind_are_dismissed_but_those_that_began_after_the_page(timed: tuple[App, Clock]) -> None:
    app, clock = timed
    client = await signed_in(app)
    seen = [await story(app, "underpaid") for _ in range(2)]
    form = {"kind": "underpaid", "until": hidden(await look(client), "until")}
    clock.move(seconds=60)
    later = await story(app, "underpaid")
    answer = await client.post("/test/attention/dismiss-all", data=form, follow_redirects=True)
    assert "2 dismissed." in answer.text
    assert titles(answer.text) == ["1 underpaid 30.00 USD"]
    listed = await look(client, "/test/payments", issue="underpaid")
    assert later in listed
    assert not any(each in listed for each in seen)
    again = await client.post("/test/attention/dismiss-all", data=form, follow_redirects=True)
    assert "0 dismissed." in again.text


async def statements(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many statements the overview takes; loops of the server may add some to a single look."""
    counts = []
    with monkeypatch.context() as patched:
        run: list[str] = []
        for name in ("one", "all"):
            original = getattr(ReadUnit, name)

            def noting(unit: Any, sql: str, parameters: Any = None, *, original: Any = original) -> Any:
                run.append(sql)
                return original(unit, sql, parameters)

            patched.setattr(ReadUnit, name, noting)
        for _ in range(3):
            run.clear()
            await look(client)
            counts.append(len(run))
    return min(counts)


async def test_the_overview_takes_few_statements_and_no_more_for_many_payments(
    timed: tuple[App, Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, _ = timed
    client = await signed_in(app)
    await story(app, "exact")
    assert await statements(client, monkeypatch) <= 30
    for scenario in ("underpaid", "overpaid", "after_grace", "wrong_token"):
        await story(app, scenario)
    one_of_each = await statements(client, monkeypatch)
    assert one_of_each <= 42
    for scenario in ("underpaid", "overpaid", "after_grace", "wrong_token", "exact"):
        for _ in range(3):
            await story(app, scenario)
    assert await statements(client, monkeypatch) <= one_of_each
    await client.post("/test/guide/dismiss")
    assert await statements(client, monkeypatch) < one_of_each


async def test_the_link_to_unmatched_payments_leads_to_those_that_are_not_dismissed(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    client = await signed_in(app)
    first, second = [await story(app, "wrong_token") for _ in range(2)]
    page = await look(client)
    assert 'href="/dashboard/test/payments/unmatched?issue=unmatched"' in page
    cause = re.findall(r'name="cause" value="(unmatched:\d+)"', page)[-1]
    await client.post("/test/attention/dismiss", data={"cause": cause})
    listed = await look(client, "/test/payments/unmatched", issue="unmatched")
    assert second in listed
    assert first not in listed
    assert first in await look(client, "/test/payments/unmatched")


@pytest.mark.parametrize(
    "form",
    [
        {"kind": "chain", "until": "2026-11-23T00:00:00.000Z"},
        {"kind": "nonsense", "until": "2026-11-23T00:00:00.000Z"},
        {"kind": "underpaid", "until": "soon"},
        {},
    ],
)
async def test_what_can_not_be_dismissed_together_is_refused(timed: tuple[App, Clock], form: dict[str, str]) -> None:
    app, _ = timed
    assert (await (await signed_in(app)).post("/test/attention/dismiss-all", data=form)).status_code == 400


@pytest.mark.parametrize("cause", ["", "chain:1", "nonsense"])
async def test_what_can_not_be_dismissed_is_refused(timed: tuple[App, Clock], cause: str) -> None:
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
    assert "not a time zone" in refused.text


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
