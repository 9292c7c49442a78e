"""Pages of payments that went another way: what came, what is missing, and the ways out, all without JavaScript."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.chain.sandbox.chain import ASSETS, CHAIN_ID
from crypto_checkout.core import moments
from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.ledger.payment import ShownPayments, TransferKind
from crypto_checkout.core.public import render
from crypto_checkout.http.checkout.arrivals import arrivals
from crypto_checkout.http.checkout.view import PayerChain
from crypto_checkout.services.checkout.rendered import RenderedSession
from crypto_checkout.services.checkout.session_reader import Receipts
from crypto_checkout.store.ledger import unmatched
from crypto_checkout.store.ledger.unmatched import UnmatchedPayment
from tests.support.api import PRICE, App, made, open_app
from tests.support.factories import a_payment, a_session, a_transfer

SESSIONS, HELPERS = "/checkout_sessions", "/test_helpers"
URLS = {
    "successUrl": "https://shop.example/thanks",
    "cancelUrl": "https://shop.example/cart",
    "returnUrl": "https://shop.example/back",
}
SUPPORT = "https://shop.example/help"
USDC = next(each for each in ASSETS if each.symbol == "USDC")
STRANGE = Address("0x" + "bad0" * 10)
COINS = [{"chainId": CHAIN_ID, "asset": "ETH"}, {"chainId": CHAIN_ID, "asset": "USDC"}]


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    branding = {"support_email": "help@shop.example", "support_url": SUPPORT}
    async with open_app(tmp_path, branding=branding) as app:
        yield app


async def played(app: App, scenario: str, **more: Any) -> dict[str, Any]:
    """Make a session, and drive it through a scenario."""
    session = await made(app.api, SESSIONS, {**PRICE, **more})
    answer = await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay", json={"scenario": scenario})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def come(
    app: App,
    session: dict[str, Any],
    *,
    contract: Address | None = USDC.contract,
    units: int = 12_500_000,
    many: int = 1,
) -> None:
    """Record transfers to a session's address that it didn't ask for."""

    def record(unit: Any) -> None:
        for number in range(many):
            transfer = a_transfer(
                to=Address(session["address"].lower()),
                kind=TransferKind.TOKEN,
                contract=contract,
                units=units,
                tx_hash=f"0x{number + 1:064x}",
                log_index=0,
                block_number=1,
                block_time=moments.from_text(session["createdAt"]) + timedelta(seconds=number),
            )
            unmatched.record(unit, session["id"], False, CHAIN_ID, transfer)

    await app.opened.db.write(record)


async def page_of(app: App, session: dict[str, Any], path: str = "") -> str:
    answer = await (await app.anybody()).get(f"http://shop.example/checkout/{session['id']}{path}")
    return answer.text


def said(page: str) -> str:
    """Return what the main part of a page says."""
    main = page[page.index("<main") : page.index("</main>")]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", main)).split())


def arrived(page: str) -> list[str]:
    """Return what a page says of each transfer, without its time and its transaction."""
    listed = page[page.index('class="arrivals"') :].partition("</ul>")[0]
    rows = re.findall(r"<li>(.*?)</li>", listed, re.DOTALL)
    texts = [re.sub(r"<(time|code)[^>]*>.*?</\1>", "", row) for row in rows]
    return [" ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split()) for text in texts]


def ways(page: str) -> dict[str, str]:
    """Return where the ways out of a page lead, by their ids."""
    found = re.findall(r'<a class="button[^"]*" id="(refund|contact|restart|back)" href="([^"]*)"', page)
    return {name: unescape(url) for name, url in found}


# --- each course of a payment ----------------------------------------------------------------------------------------


COURSES = [
    ("underpaid", "Send the rest to the same address", ["0.005 ETH Sandbox"], set()),
    ("late", "It arrived after the payment had expired", ["0.01 ETH Late Sandbox"], {"back"}),
    (
        "after_grace",
        "Your payment arrived after the deadline",
        ["0.01 ETH Late Sandbox"],
        {"refund", "contact", "back"},
    ),
    ("overpaid", "You sent more than the amount due", None, {"refund", "contact", "back"}),
    ("top_up", "Your payment of 30.00 USD has arrived", ["0.005 ETH Sandbox", "0.005 ETH Sandbox"], {"back"}),
    ("exact", "Your payment of 30.00 USD has arrived", None, {"back"}),
    ("reorged", "Your payment of 30.00 USD has arrived", None, {"back"}),
    ("internal", "Your payment of 30.00 USD has arrived", None, {"back"}),
    (
        "reorged_after_paid",
        "Contact the shop before paying again",
        ["0.01 ETH Reversed by the network Sandbox"],
        {"contact", "back"},
    ),
    (
        "wrong_token",
        "This payment is for ETH on Sandbox , but something else arrived",
        ["1 USDC Not what was asked for Sandbox"],
        {"refund", "contact", "back"},
    ),
]


@pytest.mark.parametrize(("scenario", "sentence", "transfers", "exits"), COURSES, ids=[each[0] for each in COURSES])
async def test_each_course_of_a_payment_says_what_came_and_where_to_go(
    app: App, scenario: str, sentence: str, transfers: list[str] | None, exits: set[str]
) -> None:
    session = await played(app, scenario)
    page = await page_of(app, session)
    assert sentence in said(page)
    assert (arrived(page) if 'class="arrivals"' in page else None) == transfers
    assert set(ways(page)) == exits
    for payment in session["payments"]:
        assert payment["txHash"] in page
    if "contact" in exits:
        assert ways(page)["contact"] == f"mailto:help@shop.example?subject=Payment%20{session['id']}"


async def test_two_transfers_in_one_transaction_are_two(app: App) -> None:
    assert len(arrived(await page_of(app, await played(app, "two_in_one_tx", asset="USDC")))) == 2


async def test_a_closed_payment_says_who_closed_it_what_came_and_what_lacks(app: App) -> None:
    session = await played(app, "underpaid")
    await app.api.post(f"{SESSIONS}/{session['id']}/expire")
    page = await page_of(app, session)
    assert "The shop closed this payment" in said(page)
    assert "Missing 0.005 ETH" in said(page)
    assert arrived(page) == ["0.005 ETH Sandbox"]
    assert set(ways(page)) == {"refund", "contact", "back"}


async def test_an_accepted_part_is_not_called_the_price(app: App) -> None:
    session = await played(app, "underpaid")
    await app.api.post(f"{SESSIONS}/{session['id']}/accept")
    page = said(await page_of(app, session))
    assert "The shop accepted what you sent as full payment" in page
    assert "Your payment of 30.00 USD has arrived" not in page


async def test_what_was_refunded_is_on_the_payments_page(app: App) -> None:
    session = await played(app, "overpaid")
    wanted = {"sessionId": session["id"], "amount": "0.01", "destination": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"}
    refund = await made(app.api, "/refunds", wanted)
    page = await page_of(app, session)
    assert "View your refund" in said(page)
    assert "Refunded" not in said(page)
    await app.api.post(f"{HELPERS}/refunds/{refund['id']}/pay")
    assert "Refunded 0.01 ETH" in said(await page_of(app, session))


# --- what a payment didn't ask for -----------------------------------------------------------------------------------


async def test_who_waits_is_told_that_something_else_came(app: App) -> None:
    session = await made(app.api, SESSIONS, PRICE)
    assert "arrivals" not in await page_of(app, session)
    status = f"http://shop.example/checkout/{session['id']}/status"
    before = (await (await app.anybody()).get(status)).headers["etag"]
    await come(app, session)
    page = await page_of(app, session)
    assert "Waiting for your payment" in said(page)
    assert "This payment is for ETH on Sandbox , but something else arrived" in said(page)
    assert arrived(page) == ["12.5 USDC Not what was asked for Sandbox"]
    assert "contact" in ways(page)
    after = await (await app.anybody()).get(status, headers={"If-None-Match": before})
    assert (after.status_code, after.json()["unmatched"]) == (200, 1), "an open page looks again"


async def test_money_in_another_coin_can_be_asked_back_while_the_payment_is_open(app: App) -> None:
    session = await made(app.api, SESSIONS, PRICE)
    await come(app, session)
    await app.api.post(f"{HELPERS}/chain/mine", json={"blocks": 5})
    page = await page_of(app, session)
    assert "You can ask for a refund" in said(page)
    assert ways(page)["refund"] == f"/checkout/{session['id']}/refund"
    assert "12.5 USDC" in await page_of(app, session, "/refund")


async def test_a_token_that_is_not_configured_is_its_contract_whatever_it_calls_itself(app: App) -> None:
    session = await made(app.api, SESSIONS, PRICE)
    await come(app, session, contract=STRANGE)
    (row,) = arrived(await page_of(app, session))
    assert re.fullmatch(r"Token 0x(bad0){10} Not what was asked for Sandbox", row, re.IGNORECASE)


@pytest.mark.parametrize(("explorer", "url"), [("https://basescan.org/", "https://basescan.org"), ("", None)])
def test_a_transfer_is_linked_to_the_explorer_of_its_own_chain(explorer: str, url: str | None) -> None:
    session = a_session()
    payment = a_payment(to=session.address, kind=TransferKind.TOKEN, contract=STRANGE)
    receipts = Receipts(
        RenderedSession(render.session(session, ShownPayments(), None, "https://pay.example")),
        unmatched=(UnmatchedPayment(session.id, None, None, 8453, payment),),
    )
    (found,) = arrivals(receipts, {8453: PayerChain("Base", explorer)}).listed
    assert (found.chain_name, found.amount, found.contract) == ("Base", None, checksum(STRANGE))
    assert found.transaction is not None
    assert found.transaction.url == (f"{url}/tx/{payment.transfer.tx_hash}" if url else None)


async def test_a_flood_of_transfers_is_summed_up(app: App) -> None:
    session = await made(app.api, SESSIONS, PRICE)
    await come(app, session, many=13)
    page = await page_of(app, session)
    assert len(arrived(page)) == 10
    assert "and 3 more transfers" in said(page)


async def test_money_that_came_before_a_coin_was_chosen_can_be_asked_back(app: App) -> None:
    session = await made(app.api, SESSIONS, {**PRICE, "assets": COINS, **URLS})
    await come(app, session)
    await app.api.post(f"{HELPERS}/chain/mine", json={"blocks": 5})
    page = await page_of(app, session)
    assert "Money has already arrived" in said(page)
    assert arrived(page) == ["12.5 USDC Sent before a coin was chosen Sandbox"]
    assert ways(page) == {
        "refund": f"/checkout/{session['id']}/refund",
        "contact": f"mailto:help@shop.example?subject=Payment%20{session['id']}",
        "back": URLS["returnUrl"],
    }
    await app.api.post(f"{HELPERS}/clock/advance", json={"seconds": 3600})
    await app.api.post(f"{HELPERS}/chain/mine", json={"blocks": 2})
    page = await page_of(app, session)
    assert "This payment has expired" in said(page)
    assert "Money arrived before a coin was chosen" in said(page)
    assert "something else arrived" not in said(page)
    assert set(ways(page)) == {"refund", "contact", "back"}


# --- the way back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "given", "back"),
    [
        ("exact", URLS, "successUrl"),
        ("exact", {"returnUrl": URLS["returnUrl"]}, "returnUrl"),
        ("after_grace", URLS, "returnUrl"),
        ("wrong_token", {"cancelUrl": URLS["cancelUrl"]}, "cancelUrl"),
    ],
)
async def test_the_shops_own_way_back_comes_first(app: App, scenario: str, given: dict[str, str], back: str) -> None:
    assert ways(await page_of(app, await played(app, scenario, **given)))["back"] == URLS[back]


async def test_the_page_for_help_is_the_last_way_back(app: App) -> None:
    for scenario in ("exact", "after_grace", "reorged_after_paid", "wrong_token"):
        assert ways(await page_of(app, await played(app, scenario)))["back"] == SUPPORT


async def test_a_shop_that_names_nothing_has_no_way_back(tmp_path: Path) -> None:
    async with open_app(tmp_path) as bare:
        for scenario in ("exact", "after_grace", "reorged_after_paid", "wrong_token"):
            assert not {"back", "contact"} & set(ways(await page_of(bare, await played(bare, scenario))))


@pytest.mark.parametrize(
    ("cancel_url", "back"),
    [
        ("https://shop.example/cart", "https://shop.example/cart"),
        ("https://shop.example/cart?s={CHECKOUT_SESSION_ID}", SUPPORT),
        (None, SUPPORT),
    ],
)
async def test_a_link_that_is_switched_off_leads_back(app: App, cancel_url: str | None, back: str) -> None:
    body = {"title": "A book", "fiatAmount": "30.00", "active": False, "cancelUrl": cancel_url}
    link = await made(app.api, "/payment_links", {name: value for name, value in body.items() if value is not None})
    answer = await (await app.anybody()).get(f"http://shop.example/l/{link['slug']}")
    assert answer.status_code == 400
    assert ways(answer.text) == {
        "contact": f"mailto:help@shop.example?subject=Payment%20l%2F{link['slug']}",
        "back": back,
    }


async def test_a_page_that_is_not_there_leads_to_the_shop(app: App) -> None:
    for path in ("/checkout/cs_nothing", "/l/nothing"):
        answer = await (await app.anybody()).get(f"http://shop.example{path}")
        assert answer.status_code == 404
        assert set(ways(answer.text)) == {"contact", "back"}
