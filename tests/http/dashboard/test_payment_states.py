"""A payment's page in every state: its header, explanation, sums and buttons say the same."""

import re
from dataclasses import dataclass
from html import unescape
from typing import Any

import httpx
import pytest

from crypto_checkout.core.checkout.session import Status
from crypto_checkout.http.dashboard.pages.payment_state import NEEDED
from tests.support.api import PRICE, App, made
from tests.support.dashboard import PASSWORD, signed_in


@dataclass(frozen=True)
class Page:
    """What a page says: its badges, the sentence about its status, its sums by label, and its buttons by look."""

    badges: list[str]
    headline: str
    sums: dict[str, str]
    primary: list[str]
    quiet: list[str]
    red: list[str]


def read(page: str) -> Page:
    def plain(html: str) -> str:
        return " ".join(unescape(re.sub(r"<span class=\"unseen\">.*?</span>|<[^>]+>", "", html)).split())

    head = page.partition("<h1>")[2].partition('aria-labelledby="status"')[0]
    decisions = page.partition('class="actions decisions"')[2].partition("</section>")[0]
    outside = re.sub(
        r"<form.*?</form>", lambda form: form[0] if "/check" in form[0] else "", decisions, flags=re.DOTALL
    )
    buttons = re.findall(r'<(?:a|button|summary)[^>]*class="button([^"]*)"[^>]*>(.*?)</(?:a|button|summary)>', outside)
    looks = {plain(text): look.replace("copy", "").split() for look, text in buttons}
    rows = re.findall(r'<div class="sums"><dt>(.*?)</dt><dd>(.*?)</dd>', page)
    return Page(
        badges=re.findall(r'class="badge[^"]*">([^<]*)<', head),
        headline=plain(page.partition('<h2 id="status">')[2].partition("</h2>")[0]),
        sums={label: plain(value) for label, value in rows},
        primary=[text for text, look in looks.items() if not look],
        quiet=[text for text, look in looks.items() if look == ["quiet"]],
        red=[text for text, look in looks.items() if look == ["danger"]],
    )


@pytest.fixture
async def owner(app: App) -> httpx.AsyncClient:
    return await signed_in(app)


async def played(app: App, scenario: str) -> dict[str, Any]:
    session = await made(app.api, "/checkout_sessions", PRICE)
    answer = await app.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay", json={"scenario": scenario})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def shown(owner: httpx.AsyncClient, session: dict[str, Any]) -> Page:
    answer = await owner.get(f"/test/payments/{session['id']}")
    assert answer.status_code == 200, answer.text
    return read(answer.text)


FULL = {"Expected": "0.01 ETH 30.00 USD", "Received": "0.01 ETH 30.00 USD"}
HALF = {
    "Expected": "0.01 ETH 30.00 USD",
    "Received": "0.005 ETH 15.00 USD",
    "Missing": "0.005 ETH 15.00 USD",
}
OVER = {
    "Expected": "0.01 ETH 30.00 USD",
    "Received": "0.02 ETH 60.00 USD",
    "Excess": "0.01 ETH 30.00 USD",
}


@pytest.mark.parametrize(
    ("scenario", "badges", "headline", "sums", "primary"),
    [
        ("exact", ["Paid"], "Paid: 0.01 ETH received on time", FULL, None),
        ("internal", ["Paid"], "Paid: 0.01 ETH received on time", FULL, None),
        ("top_up", ["Paid"], "Paid: 0.01 ETH received on time", FULL, None),
        ("two_in_one_tx", ["Paid"], "Paid: 0.01 ETH received on time", FULL, None),
        ("reorged", ["Paid"], "Paid: 0.01 ETH received on time", FULL, None),
        ("late", ["Paid late"], "Paid late: 0.01 ETH received, completed in the grace period", FULL, None),
        ("underpaid", ["Underpaid"], "Underpaid: 0.005 ETH of 0.01 ETH received, 0.005 ETH missing", HALF, "Accept…"),
        (
            "overpaid",
            ["Overpaid"],
            "Overpaid: 0.02 ETH received, 0.01 ETH more than expected",
            OVER,
            "Accept and refund the excess…",
        ),
        (
            "after_grace",
            ["Expired", "Late payment"],
            "Expired: 0.01 ETH arrived",
            {
                "Expected": "0.01 ETH 30.00 USD",
                "Received": "0 ETH (in time)",
                "Too late": "0.01 ETH 30.00 USD (doesn\u2019t count)",
            },
            "Accept…",
        ),
        (
            "reorged_after_paid",
            ["Reversed"],
            "Reversed: this was paid, and then the network reversed the payment",
            {"Expected": "0.01 ETH 30.00 USD", "Received": "0 ETH", "Missing": "0.01 ETH 30.00 USD"},
            "Check now",
        ),
        (
            "wrong_token",
            ["Expired"],
            "Expired: 1 USDC arrived, but the session expects 0.01 ETH",
            {
                "Expected": "0.01 ETH 30.00 USD",
                "Received": "0 ETH",
                "Unmatched": "1 USDC (another coin or chain, never counts)",
            },
            "Refund…",
        ),
    ],
)
async def test_header_explanation_sums_and_buttons_agree_after_each_scenario(
    app: App,
    owner: httpx.AsyncClient,
    scenario: str,
    badges: list[str],
    headline: str,
    sums: dict[str, str],
    primary: str | None,
) -> None:
    page = await shown(owner, await played(app, scenario))
    assert page.badges == badges
    assert page.headline.startswith(headline)
    assert page.sums == sums
    assert page.primary == ([] if primary is None else [primary])
    assert page.red == (["Close…"] if badges == ["Underpaid"] else [])
    assert {*page.primary, *page.quiet} >= {"Check now", "Open payment page"}
    assert ("Refund…" in {*page.primary, *page.quiet}) == (scenario != "reorged_after_paid")


async def test_a_payment_that_waits_offers_its_link_first(app: App, owner: httpx.AsyncClient) -> None:
    session = await made(app.api, "/checkout_sessions", PRICE)
    page = await shown(owner, session)
    assert (page.badges, page.headline.partition(":")[0]) == (["Pending"], "Pending")
    assert page.sums == {"Expected": "0.01 ETH 30.00 USD", "Received": "0 ETH"}
    assert (page.primary, page.red) == (["Copy payment link"], ["Close…"])
    pay = f"/test_helpers/checkout_sessions/{session['id']}/pay"
    await app.api.post(pay, json={"amount": "0.004"})
    page = await shown(owner, session)
    assert (page.badges, page.headline.partition(":")[0]) == (["Pending"], "Pending")
    assert page.sums["Received"] == "0.004 ETH 12.00 USD (not confirmed yet)"
    assert page.sums["Missing"] == "0.006 ETH 18.00 USD"
    await app.api.post(pay, json={"amount": "0.006"})
    page = await shown(owner, session)
    assert (page.badges, page.headline.partition(":")[0]) == (["Confirming"], "Confirming")
    assert page.sums == {**FULL, "Received": "0.01 ETH 30.00 USD (not confirmed yet)"}
    assert (page.primary, page.red) == ([], [])


async def test_a_closed_payment_says_so_and_what_comes_to_it_is_too_late(app: App, owner: httpx.AsyncClient) -> None:
    session = await made(app.api, "/checkout_sessions", PRICE)
    assert (await app.api.post(f"/checkout_sessions/{session['id']}/expire")).status_code == 200
    page = await shown(owner, session)
    assert (page.badges, page.headline) == (["Closed"], "Closed: you closed it before anything arrived.")
    assert (page.primary, page.red) == ([], [])
    await app.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay")
    await app.api.post("/test_helpers/chain/mine", json={"blocks": 3})
    page = await shown(owner, session)
    assert page.badges == ["Closed", "Late payment"]
    assert page.headline.startswith("Closed: 0.01 ETH arrived")
    assert page.sums["Too late"].startswith("0.01 ETH")
    assert page.primary == ["Accept…"]


async def test_a_payment_closed_after_a_part_arrived_says_what_it_got(app: App, owner: httpx.AsyncClient) -> None:
    short = await played(app, "underpaid")
    assert (await owner.post(f"/test/payments/{short['id']}/expire")).status_code == 303
    page = await shown(owner, short)
    assert page.badges == ["Closed"]
    assert page.headline.startswith("Closed: 0.005 ETH of 0.01 ETH received, 0.005 ETH missing")
    assert page.sums == HALF
    assert page.primary == ["Accept…"]


async def test_an_accepted_payment_says_what_is_missing_and_why_that_is_right(
    app: App, owner: httpx.AsyncClient
) -> None:
    short = await played(app, "underpaid")
    assert (await owner.post(f"/test/payments/{short['id']}/accept")).status_code == 303
    page = await shown(owner, short)
    assert page.badges == ["Accepted"]
    assert page.headline.startswith("Accepted: 0.005 ETH received, 0.01 ETH expected")
    assert page.sums == {**HALF, "Missing": "0.005 ETH 15.00 USD (accepted)"}
    assert (page.primary, page.red) == ([], [])


async def test_accepting_what_is_overpaid_leads_to_the_refund_of_the_excess(app: App, owner: httpx.AsyncClient) -> None:
    over = await played(app, "overpaid")
    answer = await owner.post(f"/test/payments/{over['id']}/accept", data={"then": "refund"})
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/dashboard/test/refunds/new?session={over['id']}&amount=0.01"
    form = (await owner.get(answer.headers["location"].removeprefix("/dashboard"))).text
    assert re.search(r'name="amount" value="0.01"', form)
    created = await owner.post(
        "/test/refunds/new",
        data={"session": over["id"], "asset": "ETH@1337", "amount": "0.01", "destination": "", "reason": ""},
    )
    assert created.status_code == 303
    page = await shown(owner, over)
    assert page.badges == ["Accepted"]
    assert page.sums["Excess"] == "0.01 ETH 30.00 USD (accepted)"
    again = await owner.post(f"/test/payments/{over['id']}/accept", data={"then": "refund"})
    assert again.headers["location"] == f"/dashboard/test/payments/{over['id']}"


async def test_a_refunded_payment_says_how_much(app: App, owner: httpx.AsyncClient) -> None:
    paid = await played(app, "exact")
    refund = await made(app.api, "/refunds", {"sessionId": paid["id"], "amount": "0.004"})
    path = f"/test/refunds/{refund['id']}"
    approval = {"choice": "own", "destination": "0x00000000219ab540356cBB839Cbe05303d7705Fa"}
    await owner.post(f"{path}/approve", data={**approval, "current_password": PASSWORD})
    await owner.post(f"{path}/test-pay")
    page = await shown(owner, paid)
    assert page.badges == ["Paid"]
    assert page.sums == {**FULL, "Refunded": "0.004 ETH"}
    assert (page.primary, page.red) == ([], [])


async def test_a_late_payment_beside_a_paid_one_asks_for_a_refund_until_there_is_one(
    app: App, owner: httpx.AsyncClient
) -> None:
    paid = await played(app, "exact")
    await app.api.post("/test_helpers/clock/advance", json={"seconds": 10_000})
    await app.api.post(f"/test_helpers/checkout_sessions/{paid['id']}/pay", json={"amount": "0.003"})
    await app.api.post("/test_helpers/chain/mine", json={"blocks": 3})
    page = await shown(owner, paid)
    assert page.badges == ["Paid", "Late payment"]
    assert page.sums == {
        **FULL,
        "Received": "0.01 ETH 30.00 USD (in time)",
        "Too late": "0.003 ETH 9.00 USD (doesn\u2019t count)",
    }
    assert page.primary == ["Refund…"]
    await made(app.api, "/refunds", {"sessionId": paid["id"], "amount": "0.003"})
    page = await shown(owner, paid)
    assert page.primary == []
    assert "Refund…" in page.quiet


def test_every_status_has_its_row_in_the_table() -> None:
    assert set(NEEDED) == set(Status)
