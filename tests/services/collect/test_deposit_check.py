"""Sessions get deposits of cold-address mode only on chains where their money can be collected."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from crypto_checkout.core.address import checksum, parse
from crypto_checkout.core.collect import contracts, deposits
from crypto_checkout.core.collect.calls import COIN
from crypto_checkout.core.collect.deposits import Deposits
from crypto_checkout.services.ledger import startup_check
from crypto_checkout.store.collect import deposits as store
from tests.support.anvil import Anvil
from tests.support.api import App, open_app
from tests.support.collecting import COLD, collect, deploy_contracts
from tests.support.contracts import PAYABLE, REVERTING
from tests.support.nodes import Error, forwarding, running
from tests.support.shop import FRESH_XPUB, ONE_COIN
from tests.support.waiting import until

Nodes = Callable[..., Anvil]
PRICE = {"amount": {"value": "3000.00", "currency": "USD"}}
OTHER = parse("0x" + "0a" * 20)


@asynccontextmanager
async def shop(folder: Path, *urls: str, **wallet: str) -> AsyncIterator[tuple[App, httpx.AsyncClient]]:
    """Open a shop with cold address `COLD`, on chains 31337, 31338, ... behind these URLs."""
    sections: dict[str, Any] = {
        "wallet": {"cold_address": checksum(COLD), **wallet},
        "prices": {"fixed": {"ETH/USD": "3000"}},
        "chains": [
            {"id": 31337 + place, "name": f"Anvil {place + 1}", "rpc_urls": [url], "poll_seconds": 0.05}
            for place, url in enumerate(urls)
        ],
    }
    async with open_app(folder, **sections) as app:
        yield app, await app.client(livemode=True)


async def ask(client: httpx.AsyncClient, chain: int = 31337) -> httpx.Response:
    return await client.post("/checkout_sessions", json={**PRICE, "chainId": chain})


async def session(client: httpx.AsyncClient, chain: int = 31337) -> dict[str, Any]:
    """Make a session once the chain takes any."""

    made: list[dict[str, Any]] = []

    async def is_taken() -> bool:
        answer = await ask(client, chain)
        made.extend([answer.json()] if answer.status_code == 201 else [])
        return bool(made)

    await until(is_taken, "make a session")
    return made[0]


async def reads(client: httpx.AsyncClient, session_id: str, status: str) -> None:
    async def is_so() -> bool:
        return bool((await client.get(f"/checkout_sessions/{session_id}")).json()["status"] == status)

    await until(is_so, f"be {status}")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a contradicted chain asked again at once."""
    monkeypatch.setattr(startup_check, "_CONTRADICTED_PAUSE_SECONDS", 0.05)


async def test_several_sessions_are_paid_and_anybody_collects_them_with_one_call(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil()
    deploy_contracts(node)
    with capture_logs() as said:
        async with shop(tmp_path, node.url) as (app, client):
            *made, _ = [await session(client) for _ in range(4)]  # one stays open: the chain is looked at all the time
            known = [checksum(Deposits(COLD).address(index)) for index in range(6)]
            for each in made:
                node.send(node.accounts[9], each["address"], ONE_COIN)
            node.mine(3)
            for each in made:
                await reads(client, each["id"], "paid")
            salts = [deposits.salt(known.index(each["address"])) for each in made]
            logs = collect(node, COLD, {COIN: salts})["logs"]
            assert node.balance(COLD) == 3 * ONE_COIN
            assert [log["topics"][0] for log in logs] == [contracts.COLLECTED_TOPIC] * 3
            assert [checksum(log["address"]) for log in logs] == [each["address"] for each in made]

            (watcher,) = [each for each in app.opened.watchers if each.status.chain_id == 31337]
            mined = node.mine(3)
            await until(lambda: (watcher.status.processed or 0) >= mined, "process the collection")
            for each in made:
                assert (await client.get(f"/checkout_sessions/{each['id']}")).json()["status"] == "paid"
    assert "balance fell" not in str(said), "no alarm about what was collected"


@pytest.mark.usefixtures("quick")
async def test_without_the_contracts_no_session_is_made_until_somebody_deploys_them(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil()
    with capture_logs() as logs:
        async with shop(tmp_path, node.url) as (_, client):
            await until(lambda: refused(client), "be refused")
            assert any("crypto-checkout collect setup" in str(each.get("error")) for each in logs)
            deploy_contracts(node)
            assert (await session(client))["address"] == checksum(Deposits(COLD).address(0))


async def refused(client: httpx.AsyncClient, chain: int = 31337) -> bool:
    answer = await ask(client, chain)
    assert answer.status_code != 201, answer.text
    return "could not be collected" in answer.text


@pytest.mark.parametrize("place", [contracts.CREATE2_PROXY, contracts.FORWARDER.address, contracts.COLLECTOR.address])
@pytest.mark.parametrize("code", ["0x", "0x00"])
async def test_other_code_or_none_where_a_contract_must_be_refuses_the_chain(
    anvil: Nodes, tmp_path: Path, place: str, code: str
) -> None:
    node = anvil()
    deploy_contracts(node)
    node.rpc("anvil_setCode", place, code)
    async with shop(tmp_path, node.url) as (_, client):
        await until(lambda: refused(client), "be refused")


async def test_a_destination_that_takes_no_coin_refuses_the_chain(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil()
    deploy_contracts(node)
    node.rpc("anvil_setCode", COLD, f"0x{REVERTING}")
    async with shop(tmp_path, node.url) as (_, client):
        await until(lambda: refused(client), "be refused")


@pytest.mark.parametrize(("code", "is_taken"), [("0x", True), (f"0x{PAYABLE}", True), (f"0x{REVERTING}", False)])
async def test_a_node_without_overrides_is_asked_for_a_plain_payment(
    anvil: Nodes, tmp_path: Path, code: str, is_taken: bool
) -> None:
    node = anvil()
    deploy_contracts(node)
    node.rpc("anvil_setCode", COLD, code)

    def call(*parameters: Any) -> Any:
        return node.rpc("eth_call", *parameters[:2])  # overrides are left out in silence

    async with running(forwarding(node.url, {"eth_call": call})) as spoken, shop(tmp_path, spoken.url) as (_, client):
        if is_taken:
            await session(client)
        else:
            await until(lambda: refused(client), "be refused")


@pytest.mark.usefixtures("quick")
async def test_a_contract_on_one_chain_only_has_deposits_there_alone(anvil: Nodes, tmp_path: Path) -> None:
    first, second = anvil(), anvil(arguments=["--chain-id", "31338"])
    for node in (first, second):
        deploy_contracts(node)
    first.rpc("anvil_setCode", COLD, f"0x{PAYABLE}")
    async with shop(tmp_path, first.url, second.url) as (_, client):
        await session(client)
        await until(lambda: refused(client, 31338), "be refused")
        second.rpc("anvil_setCode", COLD, f"0x{PAYABLE}")
        await session(client, 31338)


async def test_an_account_that_delegates_is_an_ordinary_one(anvil: Nodes, tmp_path: Path) -> None:
    first, second = anvil(), anvil(arguments=["--chain-id", "31338"])
    for node in (first, second):
        deploy_contracts(node)
    first.rpc("anvil_setCode", COLD, contracts.delegation(contracts.delegate(COLD).address))
    async with shop(tmp_path, first.url, second.url) as (_, client):
        await session(client)
        await session(client, 31338)


async def test_a_chain_that_passed_takes_sessions_while_its_node_is_silent(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil()
    deploy_contracts(node)
    async with shop(tmp_path, node.url) as (_, client):
        await session(client)
    async with (
        running(forwarding(node.url, {"eth_getCode": Error("busy")})) as silent,
        shop(tmp_path, silent.url) as (_, client),
    ):
        assert (await ask(client)).status_code == 201


async def test_a_new_cold_address_leaves_earlier_sessions_to_the_earlier_one(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil()
    deploy_contracts(node)
    async with shop(tmp_path, node.url) as (_, client):
        old = await session(client)
    async with shop(tmp_path, node.url, cold_address=checksum(OTHER), cold_label="shop 2") as (app, client):
        new = await session(client)
        assert new["address"] in {checksum(Deposits(OTHER, "shop 2").address(index)) for index in range(3)}
        node.send(node.accounts[9], old["address"], ONE_COIN)
        node.mine(3)
        await reads(client, old["id"], "paid")
        kept = await app.opened.db.read(store.recorded)
    assert {Deposits(COLD), Deposits(OTHER, "shop 2")} <= set(kept.values())
    salts = [deposits.salt(index) for index in range(3)]
    collect(node, COLD, {COIN: salts})
    assert node.balance(COLD) == ONE_COIN


async def test_sessions_of_an_xpub_keep_its_addresses_beside_a_cold_address(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil()
    deploy_contracts(node)
    async with shop(tmp_path, node.url, cold_address="", xpub=FRESH_XPUB) as (_, client):
        old = await session(client)
    async with shop(tmp_path, node.url, xpub=FRESH_XPUB) as (_, client):
        new = await session(client)
        assert new["address"] == checksum(Deposits(COLD).address(0))
        node.send(node.accounts[9], old["address"], ONE_COIN)
        node.mine(3)
        await reads(client, old["id"], "paid")


async def test_code_that_strangers_placed_early_makes_no_address_used(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil()
    deploy_contracts(node)
    collect(node, COLD, {COIN: [deposits.salt(index) for index in (0, 5)]})
    async with shop(tmp_path, node.url) as (_, client):
        assert (await session(client))["address"] == checksum(Deposits(COLD).address(0))


async def test_test_mode_has_deposits_of_its_own(tmp_path: Path) -> None:
    async with open_app(tmp_path, wallet={"cold_address": checksum(COLD)}) as app:
        made = (await app.api.post("/checkout_sessions", json={"amount": PRICE["amount"]})).json()

    assert made["address"] == checksum(Deposits(COLD, deposits.TEST_LABEL).address(0))
