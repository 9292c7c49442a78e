"""Records of collections: one a transaction, whoever sent it, made from outflows and judged again with each block."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from crypto_checkout.core.address import checksum
from crypto_checkout.core.collect.deposits import Deposits
from crypto_checkout.core.public.collection_types import CollectionResource
from crypto_checkout.services.checkout.payment_methods import AcceptedChain
from crypto_checkout.services.collect.records import CollectionRecords, Collections
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.collect.collections import CollectionFilter
from crypto_checkout.store.paging import Window
from crypto_checkout.store.webhooks import events as event_store
from tests.services.diagnosis.test_reconcile import sweep
from tests.services.ledger.test_outflows import follow
from tests.services.ledger.test_tokens import token
from tests.support.anvil import Anvil
from tests.support.collecting import COLD, collect_sessions, deploy_contracts
from tests.support.shop import ANVIL_CHAIN_ID, CONFIRMATIONS, ETH, FRESH_XPUB, ONE_COIN, Shop, open_shop, pay
from tests.support.solidity import Compiler, deploy

Nodes = Callable[..., Anvil]


def records(shop: Shop, *tokens: Any) -> CollectionRecords:
    accepted = AcceptedChain(ANVIL_CHAIN_ID, "Anvil", "", CONFIRMATIONS, (ETH, *tokens))
    prices = shop.payment_methods.of(livemode=True).prices
    return CollectionRecords(shop.db, shop.chain, accepted, prices, Outbox(), livemode=True)


async def listed(shop: Shop) -> list[CollectionResource]:
    page = await Collections(shop.db).listed(True, CollectionFilter(), Window(100))
    return [*page.items]


async def events(shop: Shop, collection: CollectionResource) -> list[str]:
    wanted = event_store.EventFilter(resource_id=collection["id"])
    page = await shop.db.read(lambda unit: event_store.bodies(unit, True, wanted, Window(100)))
    return [body.split('"type":"', 1)[1].split('"', 1)[0] for body in reversed(page.items)]


def fee_of(node: Anvil, tx_hash: str) -> int:
    receipt = node.rpc("eth_getTransactionReceipt", tx_hash)
    return int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)


async def test_many_addresses_collected_in_one_transaction_are_one_record(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    deploy_contracts(node)
    usdc = deploy(node, solc, "Token")
    async with open_shop(tmp_path, [node.url], wallet=Deposits(COLD), tokens=[token(usdc)]) as shop:
        sessions = [await shop.ask() for _ in range(3)]
        in_usdc = await shop.ask("100.00", asset="USDC")
        for each in sessions:
            pay(node, each)
        usdc.send("transfer(address,uint256)", in_usdc["address"], 100 * 10**6)
        await follow(node, shop)
        kept = records(shop, token(usdc))
        tx_hash = collect_sessions(node, sessions)
        other = collect_sessions(node, [in_usdc], usdc.address)
        await follow(node, shop, 1)
        await kept.turn()
        by_hash = {each["txHash"]: each for each in await listed(shop)}
        assert by_hash.keys() == {tx_hash, other}
        found, of_token = by_hash[tx_hash], by_hash[other]
        assert (found["status"], found["way"], found["destination"]) == ("seen", "contract", checksum(COLD))
        assert {item["sessionId"] for item in found["items"]} == {each["id"] for each in sessions}
        assert [(total["asset"], total["units"]) for total in found["totals"]] == [("ETH", str(3 * ONE_COIN))]
        assert found["fee"] is not None
        fee = fee_of(node, tx_hash)
        assert found["fee"]["amount"]["units"] == str(fee)
        assert found["fee"]["fiat"] == {
            "amount": str((Decimal(fee) / ONE_COIN * 3000).quantize(Decimal("0.01"))),
            "currency": "USD",
        }
        assert of_token["totals"][0]["value"] == "100"
        await follow(node, shop)
        await kept.turn()
        await records(shop, token(usdc)).turn()  # after a restart
        assert [each["status"] for each in await listed(shop)] == ["confirmed", "confirmed"]
        assert await events(shop, found) == ["collection.created", "collection.confirmed"]
        assert [(await shop.look(each))["status"] for each in sessions] == ["paid"] * 3


async def test_a_collection_that_the_chain_drops_is_reorged_and_comes_again(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    deploy_contracts(node)
    async with open_shop(tmp_path, [node.url], wallet=Deposits(COLD)) as shop:
        session = await shop.ask()
        pay(node, session)
        await follow(node, shop)
        kept, before = records(shop), node.rpc("evm_snapshot")
        tx_hash = collect_sessions(node, [session])
        await follow(node, shop, 1)
        await kept.turn()
        raw = node.rpc("eth_getRawTransactionByHash", tx_hash)
        node.rpc("evm_revert", before)
        node.rpc("evm_increaseTime", 5)  # other blocks than before
        node.mine(2)
        await shop.process()
        await kept.turn()
        (found,) = await listed(shop)
        assert (found["status"], found["confirmedAt"]) == ("reorged", None)
        node.rpc("eth_sendRawTransaction", raw)
        await follow(node, shop)
        await kept.turn()
        (found,) = await listed(shop)
        assert found["status"] == "confirmed"
        assert await events(shop, found) == ["collection.created", "collection.reorged", "collection.confirmed"]


async def test_the_owners_own_transfer_is_a_collection_too(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask()
        pay(node, session)
        await follow(node, shop)
        sweep(node, session["address"], node.accounts[5], ONE_COIN // 2)
        await follow(node, shop)
        await records(shop).turn()
        (found,) = await listed(shop)
        assert (found["way"], found["destination"]) == ("transfer", checksum(node.accounts[5].lower()))
        assert [item["amount"]["units"] for item in found["items"]] == [str(ONE_COIN // 2)]
