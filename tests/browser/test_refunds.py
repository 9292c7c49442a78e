"""Refunds, from end to end: the payer signs in the browser, the owner approves and pays with a wallet."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.anvil import Anvil
from tests.support.dashboard import PASSWORD, signed_in_page
from tests.support.fake_wallet import FakeWallet
from tests.support.scenes import CHAIN_ID, Json, Shop

MINE = "0x00000000000000000000000000000000000deCAf"


@pytest.fixture(scope="module")
def shop(anvil_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    arguments = ["--chain-id", str(CHAIN_ID)]
    with Anvil(anvil_path, tmp_path_factory.mktemp("anvil"), mining="manual", arguments=arguments) as node:
        shop = Shop(tmp_path_factory.mktemp("shop"), node)
        with shop.server:
            shop.ask()  # stays open: the chain is looked at all the time
            yield shop


@pytest.fixture
def payer(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 390, "height": 800})
    yield opened
    opened.close()


def overpaid(shop: Shop) -> Json:
    session = shop.ask()
    shop.node.send(shop.node.accounts[3], session["address"], 2 * int(session["amount"]["units"]))
    shop.node.mine(3)
    shop.wait_for(session, "overpaid")
    return session


def the_refund(shop: Shop, session: Json) -> Json:
    (found,) = shop.live.get("/refunds", params={"sessionId": session["id"]}).json()["data"]
    return dict(found)


def test_the_payer_signs_and_the_owner_approves_and_pays(shop: Shop, browser: Browser, payer: Page) -> None:
    session = overpaid(shop)
    FakeWallet(payer, shop.node, chain_id=CHAIN_ID)
    payer.goto(shop.url(session))
    payer.get_by_role("link", name="Ask for a refund").click()
    payer.get_by_label(re.compile("Your address on")).fill(MINE)
    payer.get_by_role("button", name=re.compile("Sign with the wallet you paid from")).click()
    expect(payer.get_by_text("(verified)")).to_be_visible()
    refund = the_refund(shop, session)
    assert (refund["status"], refund["proof"], refund["destination"]) == ("awaiting_approval", "signature", MINE)

    owner = signed_in_page(shop.server, browser)
    FakeWallet(owner, shop.node, chain_id=CHAIN_ID)
    owner.goto(f"{shop.server.url}/dashboard/refunds/{refund['id']}")
    owner.get_by_role("radio").first.check()
    owner.get_by_role("button", name="Approve").click()
    pay = owner.get_by_role("button", name="Pay with Fake Wallet")
    expect(owner.get_by_label("Your password").or_(pay)).to_be_visible()
    if owner.get_by_label("Your password").is_visible():
        owner.get_by_label("Your password").fill(PASSWORD)
        owner.get_by_role("button", name="Go on").click()
    pay.click()
    expect(owner.get_by_text("Waiting for the transaction you entered")).to_be_visible()
    shop.node.mine(4)

    def is_paid() -> bool:
        return bool(the_refund(shop, session)["status"] == "paid")

    shop.server.wait_until(is_paid, "see the refund")
    assert shop.node.balance(MINE) == int(refund["amount"]["units"])
    shown = shop.live.get(f"/checkout_sessions/{session['id']}").json()
    assert (shown["status"], shown["amountRefunded"]["units"]) == ("overpaid", refund["amount"]["units"])
    payer.reload()
    expect(payer.get_by_text("The money was sent to this address")).to_be_visible()
    owner.context.close()


def test_a_payer_who_declines_in_the_wallet_reads_so_and_nothing_is_given(shop: Shop, payer: Page) -> None:
    session = overpaid(shop)
    wallet = FakeWallet(payer, shop.node, chain_id=CHAIN_ID)
    wallet.fails["personal_sign"].append({"code": 4001, "message": "User rejected the request."})
    payer.goto(f"{shop.url(session)}/refund")
    payer.get_by_label(re.compile("Your address on")).fill(MINE)
    payer.get_by_role("button", name=re.compile("Sign with the wallet you paid from")).click()
    expect(payer.get_by_text("You declined the request in your wallet")).to_be_visible()
    assert shop.live.get("/refunds", params={"sessionId": session["id"]}).json()["data"] == []
