"""Collecting with a wallet in the dashboard: one click moves what lies at the deposits to the cold address."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.collect import contracts
from tests.support.anvil import Anvil
from tests.support.collecting import COLD, collect_accounts, deploy_contracts, transact
from tests.support.dashboard import signed_in_page
from tests.support.fake_wallet import FakeWallet
from tests.support.scenes import CHAIN_ID, ETHER, Json, Shop
from tests.support.server import command
from tests.support.solidity import Compiler, Contract, deploy

SESSIONS = 100
PRICE = ETHER // 100


class Deposits(Shop):
    """A shop with a cold address, and a token that can be frozen."""

    def __init__(self, folder: Path, node: Anvil, payer: Contract, token: Contract) -> None:
        self.folder = folder
        self.payer = payer
        self.token = token
        super().__init__(folder, node, token=token.address, wallet=f'cold_address = "{checksum(COLD)}"')

    def paid(self, count: int, asset: str = "ETH") -> list[Json]:
        """Make so many sessions and pay all in one transaction."""
        sessions = [self.ask(value="30.00", asset=asset) for _ in range(count)]
        addresses = [each["address"] for each in sessions]
        units = [int(each["amount"]["units"]) for each in sessions]
        if asset == "ETH":
            self.payer.send("payAll(address[],uint256[])", addresses, units)
        else:
            self.payer.send("sendTokens(address,address[],uint256[])", self.token.address, addresses, units)
        self.node.mine(4)
        self.wait_for(sessions[-1], "paid")
        self.server.wait_until(lambda: self.statuses(sessions) == {"paid"}, "see all payments")
        return sessions

    def statuses(self, sessions: Sequence[Json]) -> set[str]:
        """Return the statuses of the newest of all sessions."""
        found = self.live.get("/checkout_sessions", params={"limit": len(sessions)}).json()["data"]
        assert {each["id"] for each in found} == {each["id"] for each in sessions}
        return {each["status"] for each in found}

    def total(self, asset: str) -> Json:
        found: Json = next(
            each for each in self.live.get("/balances").json()["totals"] if each["amount"]["asset"] == asset
        )
        return found


@pytest.fixture(scope="module")
def shop(anvil_path: Path, solc: Compiler, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deposits]:
    arguments = ["--chain-id", str(CHAIN_ID)]
    with Anvil(anvil_path, tmp_path_factory.mktemp("anvil"), mining="manual", arguments=arguments) as node:
        deploy_contracts(node)
        payer, token = deploy(node, solc, "Payer", wei=10 * ETHER), deploy(node, solc, "FreezingToken")
        token.send("transfer(address,uint256)", payer.address, 10**12)
        node.mine()
        shop = Deposits(tmp_path_factory.mktemp("shop"), node, payer, token)
        with shop.server:
            shop.ask()  # stays open: the chain is looked at all the time
            yield shop


@pytest.fixture
def page(browser: Browser, shop: Deposits) -> Iterator[Page]:
    opened = signed_in_page(shop.server, browser)
    yield opened
    opened.context.close()


def collect(page: Page, shop: Deposits) -> str:
    """Press the button, and return what the page says once it was sent."""
    page.goto(f"{shop.server.url}/dashboard/balances")
    page.get_by_role("button", name="Collect with Fake Wallet").click()
    expect(page.locator(".state")).to_contain_text("Sent: 0x")
    shop.node.mine(4)
    return page.locator(".state").inner_text()


def test_one_click_collects_a_hundred_paid_sessions_which_stay_paid(page: Page, shop: Deposits) -> None:
    sessions = shop.paid(SESSIONS)
    wallet = FakeWallet(page, shop.node, chain_id=CHAIN_ID)
    wallet.known_chains |= {8453}
    wallet.chain_id = 8453
    said = collect(page, shop)
    assert f"100 of 100 amounts go to {checksum(COLD)} (100 × the network’s coin), for a fee of about 0.0" in said
    assert wallet.methods().count("eth_sendTransaction") == 1
    assert wallet.methods().index("wallet_switchEthereumChain") < wallet.methods().index("eth_call")
    expect(page.locator(".call pre")).to_contain_text("salt 0x")
    assert int(shop.node.rpc("eth_getBalance", COLD, "latest"), 16) == SESSIONS * PRICE
    shop.server.wait_until(lambda: shop.total("ETH")["amount"]["units"] == "0", "see the collection")
    assert shop.total("ETH")["collected"]["units"] == str(SESSIONS * PRICE)
    assert shop.statuses(sessions) == {"paid"}
    assert command(shop.folder, "reconcile").returncode == 0
    page.reload()
    expect(page.locator(".collect")).to_have_count(0)


def test_one_of_twenty_that_the_token_has_frozen_stays_and_the_others_move(page: Page, shop: Deposits) -> None:
    sessions = shop.paid(20, asset="USDC")
    shop.token.send("freeze(address)", sessions[7]["address"])
    shop.node.mine()
    FakeWallet(page, shop.node, chain_id=CHAIN_ID)
    said = collect(page, shop)
    assert "19 of 20 amounts" in said
    assert "1 can’t be moved now and stays where it is." in said
    price = int(sessions[0]["amount"]["units"])
    shop.server.wait_until(lambda: shop.total("USDC")["amount"]["units"] == str(price), "see the collection")
    (held,) = shop.live.get("/balances", params={"held": "true", "asset": "USDC"}).json()["data"]
    assert (held["sessionId"], held["salt"]) == (sessions[7]["id"], f"0x{held['addressIndex']:064x}")
    assert shop.statuses(sessions) == {"paid"}


def test_what_the_wallet_declines_or_does_not_know_is_said_and_nothing_is_sent(page: Page, shop: Deposits) -> None:
    shop.paid(1)
    wallet = FakeWallet(page, shop.node, chain_id=CHAIN_ID)
    wallet.fails["eth_sendTransaction"] = [{"code": 4001, "message": "User rejected the request."}]
    page.goto(f"{shop.server.url}/dashboard/balances")
    button, state = page.get_by_role("button", name="Collect with Fake Wallet"), page.locator(".state")
    button.click()
    expect(state).to_have_text("You declined in your wallet. Nothing was sent.")
    wallet.chain_id, wallet.known_chains = 8453, {8453}
    button.click()
    expect(state).to_have_text("Your wallet doesn’t know this network. Add it there, then try again.")
    assert wallet.hashes == []


def test_without_a_wallet_there_is_the_file_for_a_safe(page: Page, shop: Deposits) -> None:
    shop.paid(1)
    page.goto(f"{shop.server.url}/dashboard/balances")
    expect(page.get_by_text("With a wallet in this browser")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="File for Safe’s Transaction Builder").click()
    assert download.value.suggested_filename == f"collect-{CHAIN_ID}.json"


def test_addresses_that_delegate_are_collected_again_to_the_same_place(
    browser: Browser, shop: Deposits, tmp_path: Path
) -> None:
    node, destination = shop.node, Address("0x" + "d1" * 20)
    delegate = contracts.delegate(destination)
    transact(node, contracts.CREATE2_PROXY, delegate.deployment)
    other = Shop(tmp_path, node)
    with other.server:
        other.ask()  # stays open: the chain is looked at all the time
        first, second = other.ask(value="30.00"), other.ask(value="30.00")
        for each in (first, second):
            node.rpc("anvil_setCode", each["address"], contracts.delegation(delegate.address))
            node.send(node.accounts[9], each["address"], PRICE)
        node.mine(4)
        other.wait_for(second, "paid")
        collect_accounts(node, [first, second])  # type: ignore[list-item]
        node.mine(4)
        other.server.wait_until(lambda: not held(other), "see the collection")
        for each in (first, second):
            node.send(node.accounts[9], each["address"], PRICE)
        node.mine(4)
        other.server.wait_until(lambda: len(held(other)) == 2, "see the payments")
        page = signed_in_page(other.server, browser)
        FakeWallet(page, node, chain_id=CHAIN_ID)
        page.goto(f"{other.server.url}/dashboard/balances")
        expect(page.locator(".collect")).to_contain_text("the address you collected to before")
        page.get_by_role("button", name="Collect with Fake Wallet").click()
        expect(page.locator(".state")).to_contain_text("Sent: 0x")
        node.mine()
        assert f"2 of 2 amounts go to {checksum(destination)}" in page.locator(".state").inner_text()
        page.locator(".call summary").click()
        expect(page.locator(".call pre")).to_contain_text(first["address"].lower())
        page.context.close()
    assert int(node.rpc("eth_getBalance", destination, "latest"), 16) == 4 * PRICE


def held(shop: Shop) -> list[Json]:
    found: list[Json] = shop.live.get("/balances", params={"held": "true"}).json()["data"]
    return found
