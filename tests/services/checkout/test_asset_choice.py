"""A payer who may choose the network and the coin: on two real chains, each with a token, through the real pages."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.store.checkout import sessions as session_store
from tests.support.anvil import Anvil
from tests.support.api import App, Clock, error, listed, made, open_app
from tests.support.shop import FRESH_XPUB, ONE_COIN
from tests.support.solidity import Compiler, Contract, deploy
from tests.support.sums import all_payments, all_unmatched
from tests.support.waiting import until

Nodes = Callable[..., Anvil]

NEAR, FAR = 31337, 31338
DEPTH = {NEAR: 3, FAR: 2}
SESSIONS, LINKS = "/checkout_sessions", "/payment_links"
PRICE = {"value": "30.00", "currency": "USD"}
ETH, USDC, FAR_ETH, FAR_USDC = (
    {"chainId": chain_id, "asset": asset} for chain_id in (NEAR, FAR) for asset in ("ETH", "USDC")
)
ALL = [ETH, USDC, FAR_ETH, FAR_USDC]


@dataclass
class Chains:
    """A shop on two chains. `near` is the first configured one."""

    app: App
    api: httpx.AsyncClient
    nodes: dict[int, Anvil]
    tokens: dict[int, Contract]
    payers: dict[int, Contract]

    async def ask(self, assets: list[dict[str, Any]] = ALL, **more: Any) -> dict[str, Any]:
        return await made(self.api, SESSIONS, {"amount": PRICE, "assets": assets, **more})

    async def look(self, session: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = (await self.api.get(f"{SESSIONS}/{session['id']}")).json()
        return found

    async def choose(
        self, session: dict[str, Any], choice: dict[str, Any], seen: dict[str, Any] | None = None
    ) -> httpx.Response:
        form = {"choice": _value(choice), "seen": "" if seen is None else _value(seen)}
        return await self.api.post(f"http://shop.example/checkout/{session['id']}/choose", data=form)

    async def page(self, session: dict[str, Any], path: str = "") -> httpx.Response:
        return await self.api.get(f"http://shop.example/checkout/{session['id']}{path}")

    def pay(self, session: dict[str, Any], choice: dict[str, Any], units: int) -> None:
        """Send so much of an asset to the address of a session, whatever it asks for, and make it deep."""
        chain_id = choice["chainId"]
        node = self.nodes[chain_id]
        if choice["asset"] == "ETH":
            node.send(node.accounts[8], session["address"], units)
        else:
            self.tokens[chain_id].send("transfer(address,uint256)", session["address"], units)
        node.mine(DEPTH[chain_id])

    async def arrived(self, session: dict[str, Any]) -> tuple[int, int]:
        """Return how many transfers were recorded for a session, as asked for and not."""

        def count(unit: Any) -> tuple[int, int]:
            found = session_store.get(unit, session["id"])
            assert found is not None
            of_session = all_payments(unit, found)
            assert all(each.transfer.contract == found.asset.contract for each in of_session)
            return len(of_session), len(all_unmatched(unit, session["id"]))

        return await self.app.opened.db.read(count)

    async def caught_up(self) -> None:
        """Wait until every block there is has been processed."""
        for watcher in self.app.opened.watchers:
            node = self.nodes.get(watcher.status.chain_id)
            if node is not None:
                goal = node.block_number()
                watcher.wake()  # it may rest, as long as no session is open
                await until(lambda w=watcher, g=goal: (w.status.processed or 0) >= g, "process the blocks")  # type: ignore[misc]


def _value(choice: dict[str, Any]) -> str:
    return f"{choice['chainId']}:{choice['asset']}"


def takes_payments(app: App, *chain_ids: int) -> bool:
    """Tell whether the wallet was compared with these chains, and a first block of each was read."""
    unready = app.opened.payment_methods.of(livemode=True).unready
    read = {each.status.chain_id for each in app.opened.watchers if each.status.processed is not None}
    return read.issuperset(chain_ids) and not unready.keys() & set(chain_ids)


@asynccontextmanager
async def two_chains(anvil: Nodes, solc: Compiler, folder: Path, **sections: Any) -> AsyncIterator[Chains]:
    nodes = {NEAR: anvil(), FAR: anvil(arguments=["--chain-id", str(FAR)])}
    tokens = {chain_id: deploy(node, solc, "Token") for chain_id, node in nodes.items()}
    payers = {chain_id: deploy(node, solc, "Payer") for chain_id, node in nodes.items()}
    chains = [
        {
            "id": chain_id,
            "name": {NEAR: "Near", FAR: "Far"}[chain_id],
            "rpc_urls": [node.url],
            "confirmations": DEPTH[chain_id],
            "poll_seconds": 0.05,
            "tokens": [{"symbol": "USDC", "address": tokens[chain_id].address, "decimals": 6, "usd_pegged": True}],
        }
        for chain_id, node in nodes.items()
    ]
    prices = {"sources": [], "fixed": {"ETH/USD": "3000.00"}}
    wallet = {"xpub": FRESH_XPUB}
    async with open_app(folder, **{"wallet": wallet, "prices": prices, "chains": chains, **sections}) as app:
        await until(lambda: takes_payments(app, NEAR, FAR), "take payments")
        yield Chains(app, await app.client(livemode=True), nodes, tokens, payers)


@pytest.fixture
async def shop(anvil: Nodes, solc: Compiler, tmp_path: Path) -> AsyncIterator[Chains]:
    async with two_chains(anvil, solc, tmp_path) as opened:
        yield opened


async def test_until_the_payer_chooses_the_session_has_the_first_assets_terms_and_no_page_shows_them(
    shop: Chains,
) -> None:
    session = await shop.ask()
    assert session["assets"] == ALL
    assert session["assetChosen"] is False
    assert (session["chainId"], session["asset"], session["amount"]["eth"]) == (NEAR, "ETH", "0.01")
    assert all(session[name] is not None for name in ("address", "paymentUri", "rate", "ethPriceUsd"))
    page = await shop.page(session)
    assert page.status_code == 200
    for told in (session["address"], session["address"][2:7], "ethereum:", '<svg class="qr', "0.01"):
        assert told not in page.text.replace("<wbr>", "")
    for name in ("ETH on Near", "USDC on Near", "ETH on Far", "USDC on Far"):
        assert name in page.text
    status = (await shop.page(session, "/status")).json()
    assert (status["address"], status["paymentUri"], status["assetChosen"]) == (None, None, False)
    assert status["assets"] == ALL


async def test_each_choice_shows_the_fee_of_its_own_network_as_its_node_has_it(shop: Chains) -> None:
    shop.nodes[FAR].rpc("anvil_setNextBlockBaseFeePerGas", hex(40 * 10**9))
    shop.nodes[FAR].mine()
    wei = {chain_id: int(node.rpc("eth_gasPrice"), 16) for chain_id, node in shop.nodes.items()}
    assert wei[FAR] > 10 * wei[NEAR]
    fees = [
        f"Network fee: about {gas * wei[chain_id] * 3000 / 10**18:.2f} USD"
        for chain_id in (NEAR, FAR)
        for gas in (21_000, 65_000)
    ]

    async def is_shown() -> bool:
        text = re.sub(r"<[^>]*>", "", (await shop.page(await shop.ask())).text)
        return re.findall(r"Network fee: about [0-9.]+ USD", text) == fees

    await until(is_shown, "show the fees")


async def test_a_choice_makes_the_quote_anew_keeps_address_and_end_and_is_paid_on_its_own_chain(shop: Chains) -> None:
    session = await shop.ask()
    answer = await shop.choose(session, FAR_USDC)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/checkout/{session['id']}")
    chosen = await shop.look(session)
    assert chosen["assetChosen"] is True
    assert (chosen["chainId"], chosen["asset"], chosen["amount"]["value"]) == (FAR, "USDC", "30")
    assert (chosen["rate"]["base"], chosen["rate"]["value"], chosen["ethPriceUsd"]) == ("USDC", "1", None)
    assert chosen["requiredConfirmations"] == DEPTH[FAR]
    assert chosen["paymentUri"].lower().startswith(f"ethereum:{shop.tokens[FAR].address}@{FAR}/transfer")
    for same in ("address", "expiresAt", "createdAt", "fiat", "assets", "status"):
        assert chosen[same] == session[same]
    assert chosen["updatedAt"] > session["updatedAt"]
    page = await shop.page(session)
    assert session["address"][2:7] in page.text
    assert f"/checkout/{session['id']}/choose" in page.text
    shop.pay(session, FAR_USDC, 30 * 10**6)

    async def is_paid() -> bool:
        return bool((await shop.look(session))["status"] == "paid")

    await until(is_paid, "see the payment")
    types = [event["type"] for event in (await listed(shop.api, "/events", resourceId=session["id"]))["data"]]
    assert types[-1] == "session.created"
    assert set(types) <= {"session.created", "session.detected", "session.paid"}


async def test_a_choice_may_be_changed_after_a_warning_until_anything_comes_anywhere(shop: Chains) -> None:
    session = await shop.ask()
    await shop.choose(session, ETH)
    warning = await shop.page(session, "/choose")
    assert "If you’ve already sent ETH, don’t change this." in warning.text
    assert "ETH on Near</button>" not in warning.text
    await shop.choose(session, FAR_USDC, seen=ETH)
    assert (await shop.look(session))["chainId"] == FAR
    shop.pay(session, USDC, 1)  # on the other chain, and dust at that
    await shop.caught_up()
    assert await shop.arrived(session) == (0, 1)
    locked = await shop.choose(session, ETH, seen=FAR_USDC)
    assert locked.status_code == 409
    assert (await shop.page(session, "/choose")).status_code == 409
    kept = await shop.look(session)
    assert (kept["chainId"], kept["asset"], kept["amountReceived"]["units"]) == (FAR, "USDC", "0")
    assert (await shop.page(session)).status_code == 200


async def test_of_two_first_choices_the_first_one_stands_and_a_second_click_changes_nothing(shop: Chains) -> None:
    session = await shop.ask()
    answers = await asyncio.gather(*(shop.choose(session, choice) for choice in (FAR_ETH, USDC)))
    assert {answer.status_code for answer in answers} == {303}
    first = await shop.look(session)
    again = await shop.choose(session, {"chainId": first["chainId"], "asset": first["asset"]})
    assert again.status_code == 303
    assert await shop.look(session) == first
    await shop.choose(session, ETH)  # from a page on which nothing was chosen yet
    assert await shop.look(session) == first


@pytest.mark.parametrize("choice", [{"chainId": 1, "asset": "ETH"}, {"chainId": NEAR, "asset": "DAI"}])
async def test_what_the_session_does_not_take_cannot_be_chosen(shop: Chains, choice: dict[str, Any]) -> None:
    session = await shop.ask()
    answer = await shop.choose(session, choice)
    assert answer.status_code == 400
    assert "Choose something else" in answer.text
    assert await shop.look(session) == session


@pytest.mark.parametrize(
    "form", ["", "choice=", "choice=ETH", "choice=%00:ETH", "choice=9e9:ETH", "choice=" + "1" * 60_000]
)
async def test_a_form_of_nonsense_shows_the_choice_again(shop: Chains, form: str) -> None:
    session = await shop.ask()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await shop.api.post(
        f"http://shop.example/checkout/{session['id']}/choose", content=form.encode(), headers=headers
    )
    assert answer.status_code == 200
    assert "ETH on Near" in answer.text


async def test_a_form_that_is_too_long_is_refused_with_a_page(shop: Chains) -> None:
    session = await shop.ask()
    answer = await shop.choose(session, {"chainId": NEAR, "asset": "A" * 99_999})
    assert answer.status_code == 413
    assert answer.headers["content-type"].startswith("text/html")


async def test_another_sites_form_chooses_nothing(shop: Chains) -> None:
    session = await shop.ask()
    url = f"http://shop.example/checkout/{session['id']}/choose"
    answer = await shop.api.post(url, data={"choice": "31338:ETH"}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert (await shop.look(session))["assetChosen"] is False


async def test_money_in_the_first_assets_terms_settles_the_choice(shop: Chains) -> None:
    session = await shop.ask()
    shop.pay(session, ETH, int(session["amount"]["wei"]))

    async def is_paid() -> bool:
        return bool((await shop.look(session))["status"] == "paid")

    await until(is_paid, "see the payment")
    assert (await shop.look(session))["assetChosen"] is True
    assert (await shop.choose(session, FAR_ETH)).status_code == 409


async def test_money_that_came_on_the_new_chain_before_the_choice_is_kept_in_sight(shop: Chains) -> None:
    session = await shop.ask()
    shop.pay(session, FAR_ETH, ONE_COIN)
    await shop.caught_up()
    assert await shop.arrived(session) == (0, 1)
    assert (await shop.choose(session, FAR_ETH)).status_code == 409
    assert (await shop.page(session)).status_code == 409
    assert await shop.look(session) == session


async def test_what_a_contract_sent_on_a_chain_that_is_not_chosen_is_seen_too(shop: Chains) -> None:
    session = await shop.ask()
    await shop.caught_up()
    send_inside(shop, FAR, session)
    await shop.caught_up()
    assert await shop.arrived(session) == (0, 1)
    assert (await shop.choose(session, FAR_ETH)).status_code == 409


async def test_what_a_contract_sends_on_the_chosen_chain_counts_and_what_was_there_before_never_does(
    shop: Chains,
) -> None:
    address = ExtendedPublicKey.parse(FRESH_XPUB).address(0)
    shop.nodes[FAR].send(shop.nodes[FAR].accounts[7], address, ONE_COIN)
    await shop.caught_up()
    session = await shop.ask()
    assert session["address"].lower() == address
    await shop.caught_up()
    assert (await shop.choose(session, FAR_ETH)).status_code == 303
    shop.nodes[FAR].mine(5)
    await shop.caught_up()
    assert (await shop.look(session))["amountReceived"]["units"] == "0"
    send_inside(shop, FAR, session)

    async def is_paid() -> bool:
        return bool((await shop.look(session))["status"] == "paid")

    await until(is_paid, "see the payment")
    (payment,) = (await shop.look(session))["payments"]
    assert (payment["kind"], payment["amount"]["eth"]) == ("internal", "0.01")


def send_inside(shop: Chains, chain_id: int, session: dict[str, Any]) -> None:
    """Pay 0.01 ETH by a contract, in no transaction's own words."""
    payer, node = shop.payers[chain_id], shop.nodes[chain_id]
    payer.send("payAll(address[],uint256[])", [session["address"]], [10**16], wei=10**16)
    node.mine(DEPTH[chain_id])


async def test_a_choice_at_the_moment_in_which_money_comes_loses_nothing(shop: Chains) -> None:
    """Whoever is first: what was sent is either counted or shown as unmatched, and one of the two only."""
    counted = 0
    for turn in range(12):
        session = await shop.ask([ETH, FAR_ETH])
        paid = FAR_ETH if turn % 2 else ETH

        async def choose(session: dict[str, Any] = session, turn: int = turn) -> None:
            await asyncio.sleep(0.015 * (turn // 2))
            await shop.choose(session, FAR_ETH)

        choosing = asyncio.create_task(choose())
        if turn == 1:
            await choosing  # so that at least this one is counted, however slow the machine is
        await asyncio.to_thread(shop.pay, session, paid, 10**16)
        await choosing
        await shop.caught_up()
        found = await shop.look(session)
        of_session, others = await shop.arrived(session)
        assert of_session + others == 1
        is_asked_for = (found["chainId"], found["asset"]) == (paid["chainId"], paid["asset"])
        assert (of_session == 1) is (is_asked_for and found["amountReceived"]["units"] != "0")
        if of_session:
            assert found["status"] in {"paid", "detected"}
            counted += 1
    assert counted


async def test_after_its_end_nothing_can_be_chosen(anvil: Nodes, solc: Compiler, tmp_path: Path) -> None:
    clock = Clock()
    async with two_chains(anvil, solc, tmp_path, clock=clock) as shop:
        session = await shop.ask()
        clock.move(hours=1)  # by the chain, which has its own clock, it ends a little later than by ours
        answer = await shop.choose(session, FAR_ETH)
        assert answer.status_code == 303
        assert (await shop.look(session))["assetChosen"] is False
        page = await shop.page(session)
        assert "This payment has expired" in page.text
        assert session["address"][2:7] not in page.text


async def test_an_asset_without_a_price_is_said_kindly_and_the_others_stay(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    async with two_chains(anvil, solc, tmp_path, prices={"sources": []}) as shop:
        session = await shop.ask()
        assert (session["asset"], session["chainId"]) == ("USDC", NEAR)  # the first that has a price
        assert session["assets"] == ALL
        answer = await shop.choose(session, FAR_ETH)
        assert answer.status_code == 400
        assert "ETH on Far isn’t available right now" in answer.text
        assert "USDC on Far</button>" in answer.text
        assert (await shop.look(session)) == session
        assert (await shop.choose(session, FAR_USDC)).status_code == 303
        alone = await shop.api.post(SESSIONS, json={"amount": PRICE, "assets": [ETH, FAR_ETH]})
        assert alone.status_code == 400
        assert (error(alone)["code"], error(alone)["message"].split(":")[0]) == (
            "unsupported_asset",
            "No price source quotes ETH/USD",
        )


async def test_a_coin_with_an_own_price_in_one_currency_needs_none_in_dollars(anvil: Nodes, tmp_path: Path) -> None:
    chain = {"id": NEAR, "name": "Near", "rpc_urls": [anvil().url], "poll_seconds": 0.05}
    prices = {"sources": [], "fixed": {"ETH/EUR": "2000"}}
    async with open_app(tmp_path, wallet={"xpub": FRESH_XPUB}, chains=[chain], prices=prices) as app:
        api = await app.client(livemode=True)
        await until(lambda: takes_payments(app, NEAR), "take payments")
        session = await made(api, SESSIONS, {"amount": {"value": "30.00", "currency": "EUR"}})
        assert (session["amount"]["value"], session["ethPriceUsd"]) == ("0.015", None)
        refused = await api.post(SESSIONS, json={"amount": PRICE})
        assert (refused.status_code, error(refused)["code"]) == (400, "unsupported_asset")
        assert "No price source quotes ETH/USD" in error(refused)["message"]


async def test_a_chain_that_nobody_could_read_yet_is_not_offered(anvil: Nodes, tmp_path: Path) -> None:
    alive, dead = anvil(), anvil(arguments=["--chain-id", str(FAR)])
    dead.stop()
    chains = [
        {"id": chain_id, "name": name, "rpc_urls": [node.url], "poll_seconds": 0.05}
        for chain_id, name, node in ((FAR, "Far", dead), (NEAR, "Near", alive))
    ]
    prices = {"sources": [], "fixed": {"ETH/USD": "3000.00"}}
    async with open_app(tmp_path, wallet={"xpub": FRESH_XPUB}, prices=prices, chains=chains) as app:
        api = await app.client(livemode=True)
        await until(lambda: takes_payments(app, NEAR), "take payments")
        session = await made(api, SESSIONS, {"amount": PRICE, "assets": [FAR_ETH, ETH]})
        assert (session["assets"], session["assetChosen"], session["chainId"]) == ([ETH], True, NEAR)
        alone = await api.post(SESSIONS, json={"amount": PRICE, "assets": [FAR_ETH]})
        assert error(alone)["code"] == "wallet_not_configured"


async def test_a_stopped_chain_is_left_out_of_the_choice(shop: Chains) -> None:
    session = await shop.ask()
    shop.nodes[FAR].begin_anew()
    shop.nodes[FAR].mine()
    await until(lambda: any(each.status.stopped for each in shop.app.opened.watchers), "notice the other chain")
    page = await shop.page(session)
    assert "ETH on Near</button>" in page.text
    assert "on Far</button>" not in page.text
    assert (await shop.choose(session, FAR_ETH)).status_code == 503
    assert (await shop.ask())["assets"] == [each for each in ALL if each["chainId"] == NEAR]
    assert (await shop.page(await shop.ask())).status_code == 200
    only = await shop.api.post(SESSIONS, json={"amount": PRICE, "assets": [FAR_ETH]})
    assert f"chains reanchor {FAR}" in error(only)["message"]


async def test_one_entry_is_no_choice(shop: Chains) -> None:
    session = await shop.ask([FAR_USDC])
    assert (session["assets"], session["assetChosen"], session["chainId"]) == ([FAR_USDC], True, FAR)
    usual = await made(shop.api, SESSIONS, {"amount": PRICE})
    assert (usual["assets"], usual["assetChosen"]) == ([ETH], True)
    assert (await shop.page(usual, "/choose")).status_code == 303


async def test_a_links_visitors_choose_and_the_merchant_may_choose_for_them(shop: Chains) -> None:
    link = await made(shop.api, LINKS, {"title": "A book", "fiatAmount": "30.00", "assets": [USDC, FAR_ETH]})
    assert (link["assets"], link["chainId"], link["asset"]) == ([USDC, FAR_ETH], None, None)
    visit = await shop.api.get(link["checkoutUrl"].replace("http://127.0.0.1:4020", "http://shop.example"))
    session = await shop.look({"id": visit.headers["location"].rpartition("/")[2]})
    assert (session["assets"], session["assetChosen"], session["asset"]) == ([USDC, FAR_ETH], False, "USDC")
    page = await shop.page(session)
    assert "A book" in page.text
    for wanted in ({"asset": "ETH"}, {"chainId": FAR}, {"chainId": FAR, "asset": "ETH"}):
        chosen = await made(shop.api, SESSIONS, {"linkId": link["id"], **wanted})
        assert (chosen["assets"], chosen["assetChosen"]) == ([FAR_ETH], True)
    unlike = await shop.api.post(SESSIONS, json={"linkId": link["id"], "chainId": FAR, "asset": "USDC"})
    assert (error(unlike)["code"], error(unlike)["param"]) == ("unsupported_asset", "asset")
    other = await made(shop.api, SESSIONS, {"linkId": link["id"], "assets": [ETH, USDC]})
    assert other["assets"] == [ETH, USDC]


async def test_a_links_choice_can_be_changed_and_taken_away(shop: Chains) -> None:
    link = await made(shop.api, LINKS, {"title": "A book", "fiatAmount": "30.00", "chainId": FAR, "asset": "USDC"})
    url = f"{LINKS}/{link['id']}"
    both = await shop.api.patch(url, json={"assets": ALL})
    assert (both.status_code, error(both)["param"]) == (400, "assets")
    changed = (await shop.api.patch(url, json={"assets": ALL, "chainId": None, "asset": None})).json()
    assert (changed["assets"], changed["chainId"]) == (ALL, None)
    assert (await shop.api.patch(url, json={"title": "Two books"})).json()["assets"] == ALL
    assert error(await shop.api.patch(url, json={"asset": "ETH"}))["param"] == "assets"
    assert (await shop.api.patch(url, json={"assets": None})).json()["assets"] is None


@pytest.mark.parametrize(
    ("assets", "code", "param"),
    [
        ([ETH, {"chainId": NEAR, "asset": "DAI"}], "unsupported_asset", "assets[1].asset"),
        ([{"chainId": 5, "asset": "ETH"}], "unsupported_chain", "assets[0].chainId"),
        ([ETH, USDC, ETH], "invalid_body", "assets[2]"),
        ([], "invalid_body", "assets"),
        ([ETH] * 21, "invalid_body", "assets"),
        ([{"chainId": NEAR}], "invalid_body", "assets[0].asset"),
        ([{**ETH, "amount": "1"}], "invalid_body", "assets[0].amount"),
        (["ETH"], "invalid_body", "assets[0]"),
        ([{"chainId": "1", "asset": "ETH"}], "invalid_body", "assets[0].chainId"),
        ("ETH", "invalid_body", "assets"),
    ],
)
async def test_a_wrong_choice_is_refused_with_its_place(shop: Chains, assets: Any, code: str, param: str) -> None:
    for path, body in ((SESSIONS, {"amount": PRICE}), (LINKS, {"title": "A book", "fiatAmount": "30.00"})):
        answer = await shop.api.post(path, json={**body, "assets": assets})
        assert answer.status_code == 400
        assert (error(answer)["code"], error(answer)["param"]) == (code, param)
    beside = await shop.api.post(SESSIONS, json={"amount": PRICE, "assets": [ETH], "asset": "ETH"})
    assert (error(beside)["code"], error(beside)["param"]) == ("invalid_body", "assets")
