"""The wallet button, with a wallet that announces itself as EIP-6963 says and pays on a real chain."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import solidity
from tests.support.anvil import Anvil
from tests.support.fake_wallet import FakeWallet
from tests.support.scenes import CHAIN_ID, Json, Shop

ELSEWHERE = 8453
REFUSED = {"code": 4001, "message": "User rejected the request."}
PENDING = {"code": -32002, "message": "Request already pending."}
INTERNAL = {"code": -32603, "message": "Internal JSON-RPC error."}
TOO_POOR = {"code": -32000, "message": "insufficient funds <b>for gas</b>"}


@pytest.fixture(scope="module")
def shop(anvil_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    compiler = solidity.find()
    arguments = ["--chain-id", str(CHAIN_ID)]
    with Anvil(anvil_path, tmp_path_factory.mktemp("anvil"), mining="manual", arguments=arguments) as node:
        token = None
        if compiler is not None:
            contract = solidity.deploy(node, compiler, "Token")
            contract.send("transfer(address,uint256)", node.accounts[3], 10**12)
            node.mine()
            token = contract.address
        shop = Shop(tmp_path_factory.mktemp("shop"), node, token=token)
        with shop.server:
            yield shop


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 390, "height": 800})
    yield opened
    opened.close()


@pytest.fixture
def wallet(page: Page, shop: Shop) -> FakeWallet:
    return FakeWallet(page, shop.node, chain_id=CHAIN_ID)


def press(page: Page) -> None:
    page.get_by_role("button", name="Pay with Fake Wallet").click()


def state(page: Page) -> str:
    return page.locator("#wallet-state").inner_text()


def received(shop: Shop, session: Json) -> Json:
    found: Json = shop.live.get(f"/checkout_sessions/{session['id']}").json()
    return found


def test_the_wallet_pays_exactly_what_is_asked_for(shop: Shop, page: Page, wallet: FakeWallet) -> None:
    session = shop.ask()
    page.goto(shop.url(session))
    press(page)
    expect(page.locator("#wallet-state")).to_contain_text("Sent.")
    assert wallet.parameters("eth_sendTransaction") == [
        {"from": wallet.account, "to": session["address"], "value": hex(int(session["amount"]["units"]))}
    ]
    shop.node.mine(3)
    expect(page.get_by_role("heading", level=1)).to_have_text("Payment complete")
    paid = received(shop, session)
    assert (paid["status"], paid["txHash"]) == ("paid", wallet.hashes[0])
    assert paid["amountReceived"] == session["amount"]


@pytest.mark.usefixtures("solc", "wallet")
def test_a_token_is_paid_by_a_call_of_its_contract(shop: Shop, page: Page) -> None:
    session = shop.ask(asset="USDC")
    page.goto(shop.url(session))
    press(page)
    expect(page.locator("#wallet-state")).to_contain_text("Sent.")
    shop.node.mine(3)
    expect(page.get_by_role("heading", level=1)).to_have_text("Payment complete")
    assert received(shop, session)["amountReceived"] == session["amount"]


@pytest.mark.usefixtures("wallet")
def test_what_is_missing_is_paid_and_no_more(shop: Shop, page: Page) -> None:
    session = shop.ask()
    shop.pay(session, 10**15)
    shop.node.mine(3)
    shop.wait_for(session, "underpaid")
    page.goto(shop.url(session))
    press(page)
    expect(page.locator("#wallet-state")).to_contain_text("Sent.")
    shop.node.mine(3)
    shop.wait_for(session, "paid")
    assert received(shop, session)["amountReceived"] == session["amount"]


def test_after_a_refusal_nothing_is_sent_and_the_button_works_again(shop: Shop, page: Page, wallet: FakeWallet) -> None:
    page.goto(shop.url(shop.ask()))
    wallet.fails["eth_sendTransaction"] = [REFUSED]
    press(page)
    expect(page.locator("#wallet-state")).to_have_text("You declined the request in your wallet. Nothing was sent.")
    assert wallet.hashes == []
    press(page)
    expect(page.locator("#wallet-state")).to_contain_text("Sent.")
    assert len(wallet.hashes) == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PENDING, "still waiting for your answer"),
        (REFUSED, "You declined"),
        (TOO_POOR, "funds <b>for gas</b>"),
        ({**INTERNAL, "data": {"code": -32000, "message": "gas required exceeds allowance"}}, "exceeds allowance"),
        ({**INTERNAL, "data": {"originalError": REFUSED}}, "You declined"),
        ({**INTERNAL, "data": "0x08c379a0"}, "Internal JSON-RPC error."),
    ],
)
def test_what_went_wrong_is_said_in_words(shop: Shop, page: Page, wallet: FakeWallet, error: Json, said: str) -> None:
    page.goto(shop.url(shop.ask()))
    wallet.fails["eth_requestAccounts"] = [error]
    press(page)
    expect(page.locator("#wallet-state")).to_contain_text(said)
    assert "eth_sendTransaction" not in wallet.methods()


def test_a_wallet_on_another_network_is_switched_first(shop: Shop, page: Page, wallet: FakeWallet) -> None:
    wallet.chain_id = ELSEWHERE
    page.goto(shop.url(shop.ask()))
    press(page)
    expect(page.locator("#wallet-state")).to_contain_text("Sent.")
    assert wallet.parameters("wallet_switchEthereumChain") == [{"chainId": "0x1"}]
    assert "wallet_addEthereumChain" not in wallet.methods()


@pytest.mark.parametrize(
    "unknown",
    [
        None,
        {**INTERNAL, "data": {"originalError": {"code": 4902}}},
        {"code": 4901, "message": "The provider is not connected to the requested chain."},
        {"code": 4200, "message": "The method is not supported."},
        {"code": -32601, "message": "The method does not exist."},
    ],
    ids=["as in EIP-3326", "as some wallets say it", "not connected", "not supported", "no such method"],
)
def test_a_network_that_the_wallet_does_not_know_is_added(
    shop: Shop, page: Page, wallet: FakeWallet, unknown: Json | None
) -> None:
    wallet.chain_id, wallet.known_chains = ELSEWHERE, set()
    wallet.fails["wallet_switchEthereumChain"] = [unknown] if unknown else []
    page.goto(shop.url(shop.ask()))
    press(page)
    expect(page.locator("#wallet-state")).to_contain_text("Sent.")
    assert wallet.parameters("wallet_addEthereumChain") == [
        {
            "chainId": "0x1",
            "chainName": "Ethereum",
            "nativeCurrency": {"name": "ETH", "symbol": "ETH", "decimals": 18},
            "rpcUrls": ["https://rpc.example"],
            "blockExplorerUrls": ["https://etherscan.io"],
        }
    ]


def test_a_wallet_that_can_neither_switch_nor_move_is_asked_for_the_network_and_sends_nothing(
    shop: Shop, page: Page, wallet: FakeWallet
) -> None:
    wallet.chain_id = ELSEWHERE
    wallet.fails["wallet_switchEthereumChain"] = [{"code": 4200, "message": "The method is not supported."}] * 2
    page.goto(shop.url(shop.ask()))
    press(page)
    expect(page.locator("#wallet-state")).to_contain_text("didn’t switch to")
    assert "eth_sendTransaction" not in wallet.methods()


def test_nothing_is_sent_on_another_network_whatever_the_wallet_promised(
    shop: Shop, page: Page, wallet: FakeWallet
) -> None:
    wallet.chain_id, wallet.stubborn = ELSEWHERE, True
    page.goto(shop.url(shop.ask()))
    press(page)
    expect(page.locator("#wallet-state")).to_contain_text("didn’t switch to")
    assert "eth_sendTransaction" not in wallet.methods()


def test_the_account_that_is_chosen_at_last_pays(shop: Shop, page: Page, wallet: FakeWallet) -> None:
    page.goto(shop.url(shop.ask()))
    wallet.fails["eth_sendTransaction"] = [REFUSED]
    press(page)
    expect(page.locator("#wallet-state")).to_contain_text("You declined")
    wallet.account = shop.node.accounts[4]
    page.evaluate("account => fakeWalletSays('accountsChanged', [account])", wallet.account)
    expect(page.locator("#wallet-state")).to_have_text("")
    press(page)
    expect(page.locator("#wallet-state")).to_contain_text("Sent.")
    assert wallet.parameters("eth_sendTransaction")[0]["from"] == shop.node.accounts[4]


@pytest.mark.usefixtures("wallet")
def test_who_has_sent_is_not_asked_to_send_again_also_after_a_reload(shop: Shop, page: Page) -> None:
    page.goto(shop.url(shop.ask()))
    press(page)
    expect(page.locator("#wallet-state")).to_contain_text("Sent.")
    page.reload()
    expect(page.locator("#wallet-state")).to_contain_text("Don’t send it again.")
    expect(page.get_by_role("button", name="Pay with Fake Wallet")).to_have_count(0)
    page.get_by_role("button", name="show the wallet button again").click()
    expect(page.get_by_role("button", name="Pay with Fake Wallet")).to_be_visible()
    page.goto(shop.url(shop.ask()))
    expect(page.get_by_role("button", name="Pay with Fake Wallet")).to_be_visible()
    assert state(page) == ""


def test_a_page_without_a_wallet_has_no_wallet_button(shop: Shop, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(shop.url(shop.ask()))
    expect(page.get_by_role("link", name="Open in wallet app")).to_be_visible()
    expect(page.locator("#wallets")).to_be_hidden()
    page.close()


def test_a_wallet_that_announces_nothing_is_found_too(shop: Shop, browser: Browser) -> None:
    page = browser.new_page()
    page.add_init_script("window.ethereum = { request: async () => { throw { code: 4001 } } }")
    page.goto(shop.url(shop.ask()))
    page.get_by_role("button", name="your browser wallet").click()
    expect(page.locator("#wallet-state")).to_contain_text("You declined")
    page.close()


def test_a_wallet_that_comes_after_the_page_is_found_too(shop: Shop, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(shop.url(shop.ask()))
    expect(page.locator("html.js")).to_be_attached()
    expect(page.locator("#wallets")).to_be_hidden()
    page.evaluate("""() => {
        window.ethereum = { request: async () => { throw { code: 4001 } } };
        dispatchEvent(new Event("ethereum#initialized"));
    }""")
    page.get_by_role("button", name="your browser wallet").click()
    expect(page.locator("#wallet-state")).to_contain_text("You declined")
    page.close()
