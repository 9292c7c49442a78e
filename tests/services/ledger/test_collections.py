"""Money that is collected from deposits: no payment, no alarm, and what comes later is noticed."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from crypto_checkout.core.collect.calls import COIN
from crypto_checkout.core.collect.contracts import COLLECTED_TOPIC, CREATE2_PROXY, delegate, delegation, word
from crypto_checkout.core.collect.deposits import Deposits
from tests.services.diagnosis.test_reconcile import compare, differences
from tests.services.ledger.test_outflows import follow, look
from tests.services.ledger.test_tokens import token
from tests.support.anvil import Anvil
from tests.support.collecting import COLD, collect_accounts, collect_sessions, deploy_contracts
from tests.support.contracts import deploy as deploy_code
from tests.support.contracts import emitting
from tests.support.shop import CONFIRMATIONS, FRESH_XPUB, ONE_COIN, Shop, open_shop, pay
from tests.support.solidity import Compiler, deploy

Nodes = Callable[..., Anvil]
ALARM = "a balance fell, and nobody sent anything"


def outflows(shop: Shop, *columns: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{shop.path}?mode=ro", uri=True)) as connection:
        return connection.execute(
            f"SELECT {', '.join(columns)} FROM outflows WHERE canonical = 1 ORDER BY seq"  # noqa: S608 - names of columns
        ).fetchall()


def has_fallen(logs: Any) -> bool:
    return any(line["event"] == ALARM for line in logs)


async def test_a_contracts_top_up_after_a_collection_completes_an_underpaid_session(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    deploy_contracts(node)
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    async with open_shop(tmp_path, [node.url], wallet=Deposits(COLD)) as shop:
        session = await shop.ask("6000.00")
        pay(node, session)
        await follow(node, shop)
        with capture_logs() as logs:
            tx_hash = collect_sessions(node, [session])
            await follow(node, shop)
        assert not has_fallen(logs)
        assert node.balance(COLD) == ONE_COIN
        rows = outflows(shop, "session_id", "address", "contract", "units", "destination", "tx_hash", "collected")
        assert rows == [(session["id"], session["address"].lower(), None, str(ONE_COIN), COLD, tx_hash, 1)]
        assert await look(shop, session) == ("underpaid", ONE_COIN)
        found = await compare(shop)
        assert (differences(found), found.unproven) == ([], ())
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        await follow(node, shop, CONFIRMATIONS + 1)
        assert await look(shop, session) == ("paid", 2 * ONE_COIN)


async def test_a_payment_that_is_collected_at_once_is_still_a_payment(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    deploy_contracts(node)
    payer = deploy(node, solc, "Payer", wei=2 * ONE_COIN)
    async with open_shop(tmp_path, [node.url], wallet=Deposits(COLD)) as shop:
        first, second = await shop.ask(), await shop.ask()
        for each in (first, second):
            payer.send("payAll(address[],uint256[])", [each["address"]], [ONE_COIN])
        node.mine()
        collect_sessions(node, [first])
        await follow(node, shop, 1)
        collect_sessions(node, [second])
        await follow(node, shop, CONFIRMATIONS + 1)
        assert await look(shop, first) == ("paid", ONE_COIN)
        assert await look(shop, second) == ("paid", ONE_COIN)
        assert node.balance(COLD) == 2 * ONE_COIN


async def test_tokens_that_are_collected_add_up_in_one_row_each(anvil: Nodes, solc: Compiler, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    deploy_contracts(node)
    usdc, taxed = deploy(node, solc, "Token"), deploy(node, solc, "TaxedToken")
    assets = [token(usdc), token(taxed, "TAX")]
    async with open_shop(tmp_path, [node.url], wallet=Deposits(COLD), tokens=assets) as shop:
        sessions = [await shop.ask("100.00", asset=symbol) for symbol in ("USDC", "USDC", "TAX")]
        for contract, session in zip((usdc, usdc, taxed), sessions, strict=True):
            contract.send("transfer(address,uint256)", session["address"], 100 * 10**6)
        await follow(node, shop)
        collect_sessions(node, sessions[:2], usdc.address)
        collect_sessions(node, sessions[2:], taxed.address)
        await follow(node, shop)
        rows = outflows(shop, "session_id", "contract", "units", "destination", "collected")
        held = [(usdc, 100 * 10**6), (usdc, 100 * 10**6), (taxed, 98 * 10**6)]
        assert sorted(rows) == sorted(
            (session["id"], contract.address.lower(), str(units), COLD, 1)
            for session, (contract, units) in zip(sessions, held, strict=True)
        )
        found = await compare(shop, *assets)
        assert [each for each in differences(found) if each[1] == "USDC"] == []
        assert found.unproven == ()


async def test_a_collection_that_a_reorg_undoes_leaves_no_outflow(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    deploy_contracts(node)
    async with open_shop(tmp_path, [node.url], wallet=Deposits(COLD)) as shop:
        session = await shop.ask("6000.00")
        pay(node, session)
        await follow(node, shop)
        before = node.rpc("evm_snapshot")
        collect_sessions(node, [session])
        await follow(node, shop, 3)
        assert outflows(shop, "units") == [(str(ONE_COIN),)]
        node.rpc("evm_revert", before)
        node.rpc("evm_increaseTime", 5)  # other blocks than before
        node.mine(5)
        await shop.process()
        assert outflows(shop, "units") == []
        collect_sessions(node, [session])
        await follow(node, shop)
        assert outflows(shop, "units") == [(str(ONE_COIN),)]
        assert await look(shop, session) == ("underpaid", ONE_COIN)
        found = await compare(shop)
        assert (differences(found), found.unproven) == ([], ())


async def test_an_account_that_delegates_is_collected_by_a_stranger_as_a_deposit_is(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    deploy_contracts(node)
    contract = delegate(COLD)
    node.rpc(
        "eth_sendTransaction",
        {"from": node.accounts[7], "to": CREATE2_PROXY, "data": "0x" + contract.deployment.hex(), "gas": hex(10**6)},
    )
    node.mine()
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask("6000.00")
        pay(node, session)
        await follow(node, shop)
        # What an authorization leaves behind (EIP-7702).
        node.rpc("anvil_setCode", session["address"], delegation(contract.address))
        node.rpc("anvil_setNonce", session["address"], "0x1")
        with capture_logs() as logs:
            collect_accounts(node, [session])
            payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
            await follow(node, shop, CONFIRMATIONS + 1)
        assert not has_fallen(logs)
        assert await look(shop, session) == ("paid", 2 * ONE_COIN)
        assert outflows(shop, "units", "collected") == [(str(ONE_COIN), 1)]


async def test_only_the_address_itself_can_say_that_it_was_collected(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    liar = deploy_code(node, emitting(3))
    async with open_shop(tmp_path, [node.url], wallet=Deposits(COLD)) as shop:
        session = await shop.ask()
        pay(node, session)
        await follow(node, shop)
        words = (COLLECTED_TOPIC, word(COLD).hex(), word(COIN).hex(), f"{ONE_COIN:064x}")
        data = "0x" + "".join(each.removeprefix("0x") for each in words)
        node.rpc("eth_sendTransaction", {"from": node.accounts[7], "to": liar, "data": data})
        # A payment in the same block has the whole block read.
        payer.send("payAll(address[],uint256[])", [session["address"]], [1])
        await follow(node, shop)
        assert outflows(shop, "units") == []
        assert await look(shop, session) == ("paid", ONE_COIN + 1)


@pytest.mark.parametrize("is_collected_first", [True, False])
async def test_a_late_payment_to_a_deposit_is_noticed_and_collected(
    anvil: Nodes, solc: Compiler, tmp_path: Path, is_collected_first: bool
) -> None:
    node = anvil(mining="manual")
    deploy_contracts(node)
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    seconds = 0.0
    async with open_shop(tmp_path, [node.url], wallet=Deposits(COLD), monotonic=lambda: seconds) as shop:
        session = await shop.ask()
        pay(node, session)
        await follow(node, shop)
        if is_collected_first:
            collect_sessions(node, [session])
            await follow(node, shop)
        node.rpc("evm_increaseTime", 3 * 3600)
        await follow(node, shop, 2)
        seconds += 3600
        await shop.watcher.turn_late()
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN // 2])
        node.mine()
        collect_sessions(node, [session])  # in between two looks
        await follow(node, shop)
        seconds += 3600
        await shop.watcher.turn_late()
        await follow(node, shop, 1)
        collected = [int(units) for (units,) in outflows(shop, "units")]
        assert sum(collected) == ONE_COIN * 3 // 2
        late = (await shop.look(session))["payments"][-1]
        assert int(late["amount"]["units"]) == ONE_COIN // 2
        found = await compare(shop)
        assert (differences(found), found.unproven) == ([], ())


@pytest.mark.heavy
async def test_a_thousand_addresses_are_collected_in_ten_transactions_while_payments_arrive(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    deploy_contracts(node)
    payer = deploy(node, solc, "Payer", wei=2000 * ONE_COIN)
    async with open_shop(tmp_path, [node.url], wallet=Deposits(COLD)) as shop:
        sessions = [await shop.ask() for _ in range(1000)]
        hundreds = [sessions[first : first + 100] for first in range(0, 1000, 100)]
        for some in hundreds:
            payer.send("payAll(address[],uint256[])", [each["address"] for each in some], [ONE_COIN] * 100)
            await follow(node, shop, 1)
        await follow(node, shop)
        for place, some in enumerate(hundreds):
            collect_sessions(node, some)
            late = hundreds[place - 1][0]  # of the hundred that was collected before, or will be last
            payer.send("payAll(address[],uint256[])", [late["address"]], [ONE_COIN // 10])
            if some is not hundreds[-1]:  # with the 21,000 of gas of this sender, only where no code is yet
                pay(node, hundreds[-1][place], ONE_COIN // 10)
            await follow(node, shop, 1)
            found = await compare(shop)
            assert (differences(found), found.unproven) == ([], ())
        await follow(node, shop)
        assert len(outflows(shop, "units")) == 1000
        assert len({tx_hash for (tx_hash,) in outflows(shop, "tx_hash")}) == 10
        statuses = [(await shop.look(each))["status"] for each in sessions]
        assert {status: statuses.count(status) for status in set(statuses)} == {"paid": 982, "overpaid": 18}


async def test_the_slow_round_takes_a_collection_from_an_address_that_each_turn_compares(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    deploy_contracts(node)
    seconds = 0.0
    async with open_shop(tmp_path, [node.url], wallet=Deposits(COLD), monotonic=lambda: seconds) as shop:
        old, watched = await shop.ask(), await shop.ask(expires_in_seconds=86_400)
        pay(node, old)
        pay(node, watched)
        await follow(node, shop)
        node.rpc("evm_increaseTime", 3 * 3600)
        await follow(node, shop, 2)
        collect_sessions(node, [watched])
        await follow(node, shop)
        seconds += 3600
        assert await shop.watcher.turn_late()
        assert outflows(shop, "session_id", "units") == [(watched["id"], str(ONE_COIN))]
