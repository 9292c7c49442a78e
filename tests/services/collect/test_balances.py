"""Where the money is: amounts by the ledger, compared with the chain, with what they are worth."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.core.address import Address
from crypto_checkout.core.collect.holdings import Holding, Market, NotWorthMoving, totals
from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.services.collect.balances import BalanceFilter, BalanceReports
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.paging import Window
from tests.support.anvil import Anvil
from tests.support.api import PRICE, App, error, made
from tests.support.dashboard import signed_in
from tests.support.factories import ADDRESS, ETH
from tests.support.shop import ANVIL_CHAIN_ID, FRESH_XPUB, ONE_COIN, open_shop

GWEI = 10**9
USDC = replace(ETH, symbol="USDC", decimals=6, contract=Address("0x" + "cc" * 20))


def a_holding(**changes: Any) -> Holding:
    return Holding(1, ADDRESS, "cs_1", 7, "m/44'/60'/0'/0/7", None, ETH, ONE_COIN, 0)._replace(**changes)


def a_deposit(units: int) -> Holding:
    return a_holding(received=units, salt=bytes(32), destination=ADDRESS)


def a_market(**changes: Any) -> Market:
    market = Market("USD", {1: GWEI}, {1: ETH}, {ETH: Decimal(3000), USDC: Decimal(1)})
    return replace(market, **changes)


async def pay(api: httpx.AsyncClient, session: dict[str, Any], **what: Any) -> dict[str, Any]:
    answer = await api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay", json=what)
    assert answer.status_code == 200, answer.text
    paid: dict[str, Any] = answer.json()
    return paid


async def balances(api: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await api.get("/balances", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(
    ("holding", "market", "reason"),
    [
        (a_holding(received=42_000 * GWEI), a_market(), None),
        (a_holding(received=42_000 * GWEI - 1), a_market(), NotWorthMoving.FEE_TOO_HIGH),
        (
            a_deposit(42_000 * GWEI),
            a_market(),
            NotWorthMoving.FEE_TOO_HIGH,
        ),
        (a_deposit(124_000 * GWEI), a_market(), None),
        (a_holding(asset=USDC, received=360_000), a_market(), None),  # 60,000 gas of a gwei are 0.18 USD
        (a_holding(asset=USDC, received=359_999), a_market(), NotWorthMoving.FEE_TOO_HIGH),
        (a_holding(), a_market(gas_prices={}), NotWorthMoving.UNKNOWN_FEE),
        (a_holding(asset=USDC), a_market(prices={ETH: Decimal(3000)}), NotWorthMoving.UNKNOWN_PRICE),
        (a_holding(), a_market(prices={}), None),  # the coin is worth its fee whatever it costs
    ],
)
def test_money_is_worth_moving_from_twice_its_fee_on(
    holding: Holding, market: Market, reason: NotWorthMoving | None
) -> None:
    assert market.reason_to_leave(holding) is reason


def test_totals_add_up_what_is_there_and_what_left() -> None:
    holdings = [
        a_holding(received=5 * ONE_COIN, left=2 * ONE_COIN),
        a_holding(received=ONE_COIN, left=ONE_COIN),
        a_holding(received=1),
        a_holding(asset=USDC, received=10**6),
    ]
    coin, token = totals(holdings, a_market())
    assert (coin.units, coin.addresses, coin.left) == (3 * ONE_COIN + 1, 2, 3 * ONE_COIN)
    assert (coin.unworthy_units, coin.unworthy_addresses) == (1, 1)
    assert (token.asset, token.units, token.addresses) == (USDC, 10**6, 1)


async def test_matched_unmatched_and_late_money_is_listed_with_its_address_and_added_up(
    app: App, api: httpx.AsyncClient
) -> None:
    first, second, unpaid = [await made(api, "/checkout_sessions", PRICE) for _ in range(3)]
    await pay(api, first)
    await pay(api, second, scenario="wrong_token")
    found = await balances(api)
    assert [(each["sessionId"], each["addressIndex"], each["amount"]["asset"]) for each in found["data"]] == [
        (second["id"], 1, "USDC"),
        (first["id"], 0, "ETH"),
    ]
    by_asset = {each["amount"]["asset"]: each for each in found["totals"]}
    assert by_asset["ETH"]["amount"] == first["amount"]
    assert by_asset["ETH"]["fiat"] == {"amount": "30.00", "currency": "USD"}
    assert by_asset["ETH"]["addresses"] == 1
    assert by_asset["ETH"]["block"]["number"] > 0
    (eth,) = (await balances(api, asset="ETH"))["data"]
    assert (eth["address"], eth["addressPath"], eth["salt"]) == (first["address"], first["addressPath"], None)
    assert (eth["worthMoving"], eth["reason"], eth["onChain"]) == (True, None, None)
    assert (await balances(api, held="false"))["data"] == []
    assert (await balances(api, chainId="1"))["totals"] == []
    assert unpaid["id"] not in str(found)
    page = unescape((await (await signed_in(app)).get("/test/balances")).text)
    for text in (first["address"], first["addressPath"], "30.00 USD", "Balances"):
        assert text in page
    worth = sum(Decimal(each["fiat"]["amount"]) for each in found["totals"])
    assert f"All of it is worth <strong>{worth} USD</strong> now." in page


async def test_what_a_reorg_takes_back_is_in_no_balance(api: httpx.AsyncClient) -> None:
    session = await made(api, "/checkout_sessions", PRICE)
    await pay(api, session, scenario="reorged_after_paid")
    assert (await balances(api))["totals"] == []


async def test_in_test_mode_a_press_collects_and_the_balance_is_gone(app: App, api: httpx.AsyncClient) -> None:
    session = await made(api, "/checkout_sessions", PRICE)
    await pay(api, session)
    await api.post("/test_helpers/chain/mine", json={"blocks": 5})
    owner = await signed_in(app)
    assert session["id"] in (await owner.get("/test/balances")).text
    pressed = await owner.post("/test/balances/collect", data={"session": session["id"]})
    assert (pressed.status_code, pressed.headers["location"]) == (303, "/dashboard/test/balances/collections")
    assert "0.01 ETH" in (await owner.get("/test/balances/collections")).text
    (found,) = (await balances(api, held="false"))["data"]
    assert (found["amount"]["units"], found["collected"]) == ("0", session["amount"])
    assert (found["worthMoving"], found["reason"]) == (None, None)
    assert (await balances(api, held="true"))["data"] == []
    assert session["id"] not in (await owner.get("/test/balances")).text
    assert (await api.get(f"/checkout_sessions/{session['id']}")).json()["status"] == "paid"
    assert (await owner.post("/balances/collect", data={"session": session["id"]})).status_code == 404
    again = await owner.post("/test/balances/collect", data={"session": session["id"]})
    assert "holds nothing to collect" in again.text


async def test_pages_follow_each_other_with_the_totals_of_all(api: httpx.AsyncClient) -> None:
    for _ in range(3):
        await pay(api, await made(api, "/checkout_sessions", PRICE))
    first = await balances(api, limit="2")
    assert ([each["addressIndex"] for each in first["data"]], first["hasMore"]) == ([2, 1], True)
    second = await balances(api, limit="2", starting_after=first["nextCursor"])
    assert ([each["addressIndex"] for each in second["data"]], second["hasMore"]) == ([0], False)
    assert second["totals"] == first["totals"]


async def test_a_key_needs_the_scope(app: App) -> None:
    refused = await (await app.client(scopes=[Scope.SESSIONS_READ])).get("/balances")
    assert (refused.status_code, error(refused)["code"]) == (403, "insufficient_scope")
    assert "balances:read" in error(refused)["message"]


async def test_each_address_is_compared_with_the_chain_and_an_old_answer_keeps_its_block(
    anvil: Any, tmp_path: Path
) -> None:
    node: Anvil = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask()
        node.send(node.accounts[9], session["address"], ONE_COIN)
        node.mine(3)
        await shop.process()
        reader, time = Chain(shop.chain), [0.0]
        reports = BalanceReports(shop.db, shop.payment_methods, {ANVIL_CHAIN_ID: reader}, monotonic=lambda: time[0])
        for _ in range(2):
            (found,) = (await reports.of(True, BalanceFilter(), Window(25))).page.items
            assert found["onChain"] == {"amount": found["amount"], "blockNumber": await shop.processed()}
            assert found["worthMoving"] is True
        assert reader.asked == [1]
        read_at = await shop.processed()
        node.mine(2)
        await shop.process()
        time[0] += 60
        reader.is_silent = True
        (found,) = (await reports.of(True, BalanceFilter(), Window(25))).page.items
        assert found["onChain"] is not None
        assert found["onChain"]["blockNumber"] == read_at < await shop.processed()


class Chain:
    """A chain that can fall silent, and counts the addresses that it is asked about."""

    def __init__(self, chain: Any) -> None:
        self._chain = chain
        self.is_silent = False
        self.asked: list[int] = []

    async def balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        if self.is_silent:
            raise ProviderFailed("silent")
        self.asked.append(len(addresses))
        found: dict[Address, int] = await self._chain.balances(header, addresses)
        return found

    async def token_balances(self, header: Header, token: Address, addresses: Sequence[Address]) -> dict[Address, int]:
        raise AssertionError(f"the shop has no token {token}: {header}, {addresses}")

    async def gas_price(self) -> int:
        if self.is_silent:
            raise ProviderFailed("silent")
        found: int = await self._chain.gas_price()
        return found


async def test_however_many_addresses_there_are_a_page_takes_the_same_questions(
    anvil: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node: Anvil = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask()
        node.send(node.accounts[9], session["address"], ONE_COIN)
        node.mine(3)
        await shop.process()
        await shop.db.write(partial(_copy_session, times=10_000))
        reader, queries = Chain(shop.chain), list[str]()
        read = ReadUnit.all

        def counted(unit: ReadUnit, sql: str, parameters: Any = None) -> Any:
            queries.append(sql)
            return read(unit, sql, parameters)

        monkeypatch.setattr(ReadUnit, "all", counted)
        found = await BalanceReports(shop.db, shop.payment_methods, {ANVIL_CHAIN_ID: reader}).of(
            True, BalanceFilter(), Window(100)
        )
        assert (found.totals[0]["addresses"], found.totals[0]["amount"]["value"]) == (10_001, "10001")
        assert (len(found.page.items), reader.asked) == (100, [100])
        assert len(queries) < 10


def _copy_session(unit: WriteUnit, times: int) -> None:
    """Add paid sessions, all at the next addresses."""
    names = [row["name"] for row in unit.all("PRAGMA table_info(checkout_sessions)") if row["name"] != "seq"]
    changed = {
        "id": "'cs_' || number",
        "address": "'0x' || printf('%040x', number)",
        "derivation_index": "derivation_index + number",
    }
    unit.run(
        f"""
        WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < :times)
        INSERT INTO checkout_sessions ({", ".join(names)})
        SELECT {", ".join(changed.get(name, name) for name in names)} FROM checkout_sessions, numbers
        """,  # noqa: S608 - the table's own columns
        {"times": times},
    )
