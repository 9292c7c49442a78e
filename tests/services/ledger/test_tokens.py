"""Tokens of real contracts, and money that nobody asked for: each counted where it belongs, and nowhere else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.ledger.payment import TransferKind
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.services.diagnosis.explain import ConfiguredChain, Explainer
from crypto_checkout.store.checkout import sessions as session_store
from crypto_checkout.store.ledger.unmatched import UnmatchedPayment
from tests.support.anvil import Anvil
from tests.support.api import open_app
from tests.support.nodes import Error, forwarding, running
from tests.support.shop import ANVIL_CHAIN_ID, CONFIRMATIONS, FRESH_XPUB, ONE_COIN, Shop, open_shop, pay
from tests.support.solidity import Compiler, Contract, deploy
from tests.support.sums import all_unmatched
from tests.support.waiting import until

Nodes = Callable[..., Anvil]

ONE = 10**6
PRICE = "100.00"


def token(contract: Contract, symbol: str = "USDC") -> Asset:
    return Asset(ANVIL_CHAIN_ID, symbol, 6, Address(contract.address), usd_pegged=True)


def received(session: SessionResource) -> int:
    return int(session["amountReceived"]["units"])


async def unmatched_of(shop: Shop, session: SessionResource) -> list[UnmatchedPayment]:
    return await shop.db.read(lambda unit: all_unmatched(unit, session["id"]))


async def test_a_tokens_transfers_in_one_transaction_count_each_by_its_log(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    usdc, payer = deploy(node, solc, "Token"), deploy(node, solc, "Payer")
    async with open_shop(tmp_path, [node.url], tokens=[token(usdc)]) as shop:
        first, second = await shop.ask(PRICE, asset="USDC"), await shop.ask(PRICE, asset="USDC")
        usdc.send("transfer(address,uint256)", payer.address, 1000 * ONE)
        tx_hash = payer.send(
            "sendTokens(address,address[],uint256[])",
            usdc.address,
            [first["address"], second["address"], first["address"]],
            [60 * ONE, 100 * ONE, 40 * ONE],
        )
        node.mine(CONFIRMATIONS)
        await shop.process()
        one, other = await shop.look(first), await shop.look(second)
        assert (one["status"], received(one)) == ("paid", 100 * ONE)
        assert (other["status"], received(other)) == ("paid", 100 * ONE)
        assert [(p["txHash"], p["logIndex"], p["kind"]) for p in one["payments"]] == [
            (tx_hash, 1, "token"),
            (tx_hash, 3, "token"),
        ]
        node.rpc("anvil_reorg", CONFIRMATIONS, [])
        await shop.process()
        assert [(await shop.look(each))["status"] for each in (first, second)] == ["failed", "failed"]


async def test_a_contract_that_sends_the_smallest_unit_again_and_again_leaves_one_row_a_block(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    usdc, payer = deploy(node, solc, "Token"), deploy(node, solc, "Payer")
    async with open_shop(tmp_path, [node.url], tokens=[token(usdc)], dust_floor="0.01") as shop:
        session, other = await shop.ask(PRICE, asset="USDC"), await shop.ask(PRICE)
        usdc.send("transfer(address,uint256)", payer.address, 1000 * ONE)
        node.mine()
        hashes = [
            payer.send(
                "sendTokens(address,address[],uint256[])",
                usdc.address,
                [each["address"]] * 150,
                [1] * 150,
            )
            for each in (session, session, other)
        ]
        usdc.send("transfer(address,uint256)", session["address"], 100 * ONE)
        node.mine(CONFIRMATIONS)
        await shop.process()
        now = await shop.look(session)
        assert (now["status"], received(now)) == ("paid", 100 * ONE + 300)
        assert [(p["amount"]["units"], p["transfers"]) for p in now["payments"]] == [("300", 300), (str(100 * ONE), 1)]
        (unasked,) = await unmatched_of(shop, other)
        assert (unasked.payment.transfer.units, unasked.payment.dust) == (150, 150)
        explainer = Explainer(
            shop.db, {ANVIL_CHAIN_ID: ConfiguredChain(shop.chain, shop.payment_methods.all_chains()[ANVIL_CHAIN_ID])}
        )
        for tx_hash, words in zip(hashes, ("Counted: 0.0003 USDC", "Counted: 0.0003 USDC", "expects"), strict=True):
            explained = await explainer.transaction(tx_hash)
            assert words in explained.headline
            assert len(explained.steps) < 10
        node.rpc("anvil_reorg", CONFIRMATIONS, [])
        await shop.process()
        assert received(await shop.look(session)) == 0


async def test_of_a_token_that_keeps_a_fee_what_arrives_counts(anvil: Nodes, solc: Compiler, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    taxed = deploy(node, solc, "TaxedToken")
    async with open_shop(tmp_path, [node.url], tokens=[token(taxed)]) as shop:
        session = await shop.ask(PRICE, asset="USDC")
        taxed.send("transfer(address,uint256)", session["address"], 100 * ONE)
        node.mine(CONFIRMATIONS)
        await shop.process()
        short = await shop.look(session)
        assert (short["status"], received(short), len(short["payments"])) == ("underpaid", 98 * ONE, 1)


async def test_a_token_with_the_same_name_is_nothing(anvil: Nodes, solc: Compiler, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    usdc, fake = deploy(node, solc, "Token"), deploy(node, solc, "Token")
    async with open_shop(tmp_path, [node.url], tokens=[token(usdc)]) as shop:
        session = await shop.ask(PRICE, asset="USDC")
        fake.send("transfer(address,uint256)", session["address"], 100 * ONE)
        node.mine(CONFIRMATIONS)
        await shop.process()
        seen = await shop.look(session)
        assert (seen["status"], seen["payments"], await unmatched_of(shop, session)) == ("pending", [], [])


async def test_a_reverted_payment_to_a_contract_that_refuses_is_none(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    usdc, refusing, payer = (deploy(node, solc, name) for name in ("Token", "Refusing", "Payer"))
    async with open_shop(tmp_path, [node.url], tokens=[token(usdc)]) as shop:
        session = await shop.ask(PRICE, asset="USDC")
        usdc.send("transfer(address,uint256)", session["address"], 10**30)
        payer.send(
            "payAll(address[],uint256[])",
            [session["address"], refusing.address],
            [ONE_COIN, ONE_COIN],
            wei=2 * ONE_COIN,
        )
        node.mine(CONFIRMATIONS)
        await shop.process()
        assert ((await shop.look(session))["payments"], await unmatched_of(shop, session)) == ([], [])


async def test_the_wrong_asset_is_recorded_and_never_counts(anvil: Nodes, solc: Compiler, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    usdc, usdt = deploy(node, solc, "Token"), deploy(node, solc, "Token")
    async with open_shop(tmp_path, [node.url], tokens=[token(usdc), token(usdt, "USDT")]) as shop:
        in_coin, in_usdc = await shop.ask(), await shop.ask(PRICE, asset="USDC")
        usdc.send("transfer(address,uint256)", in_coin["address"], 3000 * ONE)
        usdt.send("transfer(address,uint256)", in_usdc["address"], 100 * ONE)
        tx_hash = pay(node, in_usdc)
        node.mine(CONFIRMATIONS)
        await shop.process()
        for session in (in_coin, in_usdc):
            seen = await shop.look(session)
            assert (seen["status"], received(seen), seen["payments"]) == ("pending", 0, [])
            assert await shop.events(session) == []
        (coin,) = await unmatched_of(shop, in_coin)
        assert (coin.payment.transfer.contract, coin.payment.transfer.units) == (usdc.address, 3000 * ONE)
        found = {each.payment.transfer.contract: each.payment for each in await unmatched_of(shop, in_usdc)}
        assert found.keys() == {usdt.address, None}
        assert (found[None].transfer.kind, found[None].transfer.tx_hash) == (TransferKind.NATIVE, tx_hash)

        await shop.process()
        shop.restart()
        await shop.process()
        assert len(await unmatched_of(shop, in_usdc)) == 2
        node.rpc("anvil_reorg", CONFIRMATIONS, [])
        await shop.process()
        assert [each.payment.canonical for each in await unmatched_of(shop, in_usdc)] == [False, False]


async def test_money_on_another_chain_is_recorded_and_never_counts(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    usdc = deploy(node, solc, "Token")
    async with open_shop(tmp_path, [node.url], tokens=[token(usdc)]) as shop:
        session = await shop.ask()
        # As if it were asked for on another chain of the same shop, whose addresses are the same here.
        await shop.db.write(
            lambda unit: unit.run("UPDATE checkout_sessions SET chain_id = 10 WHERE id = :id", {"id": session["id"]})
        )
        pay(node, session)
        usdc.send("transfer(address,uint256)", session["address"], ONE)
        node.mine(CONFIRMATIONS)
        await shop.process()
        found = await shop.db.read(lambda unit: session_store.get(unit, session["id"]))
        assert found is not None
        assert found.status == "pending"
        assert {(each.chain_id, each.payment.transfer.contract) for each in await unmatched_of(shop, session)} == {
            (ANVIL_CHAIN_ID, None),
            (ANVIL_CHAIN_ID, usdc.address),
        }


async def test_the_coin_that_a_contract_sends_to_a_token_session_is_recorded_and_never_counts(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    usdc, payer = deploy(node, solc, "Token"), deploy(node, solc, "Payer", wei=ONE_COIN)
    async with open_shop(tmp_path, [node.url], tokens=[token(usdc)]) as shop:
        session = await shop.ask(PRICE, asset="USDC")
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        node.mine(CONFIRMATIONS)
        await shop.process()
        seen = await shop.look(session)
        assert (seen["status"], received(seen), seen["payments"]) == ("pending", 0, [])
        ending = deploy(node, solc, "Payer", wei=7)
        ending.send("end(address)", session["address"])
        node.mine(CONFIRMATIONS)
        await shop.process()
        found = [each.payment.transfer for each in await unmatched_of(shop, session)]
        assert [(t.kind, t.contract, t.units) for t in found] == [
            (TransferKind.INTERNAL, None, ONE_COIN),
            (TransferKind.INTERNAL, None, 7),
        ]
        assert await shop.events(session) == []
        shop.restart()
        node.rpc("anvil_reorg", CONFIRMATIONS, [])
        await shop.process()
        assert [each.payment.canonical for each in await unmatched_of(shop, session)] == [True, False]


async def test_the_coin_that_contracts_send_on_another_chain_is_recorded_with_or_without_a_name(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    without_traces = forwarding(node.url, {"debug_traceBlockByHash": Error("the method is not available", -32601)})
    async with running(without_traces) as front, open_shop(tmp_path, [front.url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask()
        await shop.db.write(
            lambda unit: unit.run("UPDATE checkout_sessions SET chain_id = 10 WHERE id = :id", {"id": session["id"]})
        )
        for _ in range(2):
            payer.send("payAll(address[],uint256[])", [session["address"]], [5])
            node.mine()
        await shop.process()
        shop.restart()
        await shop.process()
        found = [each.payment.transfer for each in await unmatched_of(shop, session)]
        assert [(t.kind, t.tx_hash, t.units) for t in found] == [
            (TransferKind.INTERNAL, None, 5),
            (TransferKind.INTERNAL, None, 5),
        ]


async def test_a_token_that_is_taken_out_of_the_configuration_is_watched_for_the_sessions_that_were_made_in_it(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    usdc = deploy(node, solc, "Token")
    chain = {"id": ANVIL_CHAIN_ID, "name": "Anvil", "rpc_urls": [node.url], "poll_seconds": 0.05}
    tokens = [{"symbol": "USDC", "address": checksum(Address(usdc.address)), "decimals": 6, "usd_pegged": True}]
    live: dict[str, Any] = {"wallet": {"xpub": FRESH_XPUB}, "prices": {"fixed": {"ETH/USD": "3000"}}}
    async with open_app(tmp_path, **live, chains=[{**chain, "tokens": tokens}]) as app:
        client = await app.client(livemode=True)
        price = {"amount": {"value": PRICE, "currency": "USD"}, "asset": "USDC"}

        async def has_asked() -> bool:
            return (await client.post("/checkout_sessions", json=price)).status_code == 201

        await until(has_asked, "a session")
        (session,) = (await client.get("/checkout_sessions")).json()["data"]
    usdc.send("transfer(address,uint256)", session["address"], 5)
    node.mine()
    async with open_app(tmp_path, **live, chains=[chain]) as app:
        client = await app.client(livemode=True)

        async def is_seen() -> bool:
            seen = (await client.get(f"/checkout_sessions/{session['id']}")).json()
            return bool(seen["payments"])

        await until(is_seen, "its payment")
