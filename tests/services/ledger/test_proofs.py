"""Proofs of payments: a provider that lies can't get money credited, and another one's truth still comes through."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.chain.evm.decoding import TRANSFER_TOPIC
from crypto_checkout.chain.evm.proof import prove
from crypto_checkout.core.errors import RecoverableError
from crypto_checkout.core.public.types import SessionResource
from tests.services.diagnosis.test_explain import explaining, facts
from tests.services.ledger.test_tokens import token
from tests.support.anvil import Anvil
from tests.support.nodes import Behaviour, Error, forwarding, running
from tests.support.shop import ANVIL_CHAIN_ID, CONFIRMATIONS, FRESH_XPUB, ONE_COIN, Shop, open_shop, pay
from tests.support.solidity import Compiler, Contract, deploy

Nodes = Callable[..., Anvil]
PRICE_UNITS = 3000 * 10**6
BELIEVED = "believed because"


@dataclass(frozen=True)
class Stage:
    """A node that lies, what is true, and the session that a payment is invented for."""

    node: Anvil
    usdc: Contract
    session: SessionResource

    def of_block(self, by: str, change: Callable[[Any], None]) -> Callable[..., Any]:
        """Answer with a block after a change to it."""

        def answer(*params: Any) -> Any:
            block = self.node.rpc(by, *params)
            if block is not None and isinstance(block["transactions"][:1], list) and block["transactions"]:
                change(block)
            return block

        return answer


def an_invented_log(stage: Stage) -> Mapping[str, Any]:
    """Show a transfer of the token that no receipt has, in the transaction that is first in the block."""

    def logs(criteria: Any) -> Any:
        block = stage.node.rpc("eth_getBlockByHash", criteria["blockHash"], False)
        topics = [TRANSFER_TOPIC, *("0x" + address[2:].lower().rjust(64, "0") for address in parties)]
        of_log = {"address": stage.usdc.address.lower(), "topics": topics, "data": f"0x{PRICE_UNITS:064x}"}
        place = {"blockHash": block["hash"], "blockNumber": block["number"], "logIndex": "0x0", "removed": False}
        return [{**of_log, **place, "transactionHash": each} for each in block["transactions"][:1]]

    parties = (stage.usdc.address, stage.session["address"])
    return {"eth_getLogs": logs}


def a_log_and_its_receipt(stage: Stage) -> Mapping[str, Any]:
    """Show the transfer in a receipt as well."""
    logs = an_invented_log(stage)["eth_getLogs"]

    def receipts(block_hash: str) -> Any:
        shown = stage.node.rpc("eth_getBlockReceipts", block_hash)
        shown[0]["logs"] = logs({"blockHash": block_hash})
        return shown

    return {"eth_getLogs": logs, "eth_getBlockReceipts": receipts}


def to_the_session(stage: Stage) -> Callable[[Any], None]:
    def change(block: Any) -> None:
        for each in block["transactions"]:
            if isinstance(each, dict):
                each.update({"to": stage.session["address"], "value": hex(ONE_COIN)})

    return change


def another_receiver(stage: Stage) -> Mapping[str, Any]:
    """Show every transaction of a block as a payment to the session."""
    by_number = stage.of_block("eth_getBlockByNumber", to_the_session(stage))
    by_hash = stage.of_block("eth_getBlockByHash", to_the_session(stage))
    balances = {"eth_call": Error("missing trie node"), "eth_getBalance": hex(ONE_COIN)}
    return {"eth_getBlockByNumber": by_number, "eth_getBlockByHash": by_hash, **balances}


def a_block_of_its_own(stage: Stage) -> Mapping[str, Any]:
    """Show the payment in a block whose hash nobody else knows, and the next block as its child."""
    node, number, invented = stage.node, stage.node.block_number() + 1, "0x" + "ab" * 32

    def forged(block: Any) -> Any:
        place = -1 if block is None else int(block["number"], 16)
        if place == number:
            block["hash"] = invented
            to_the_session(stage)(block)
            for each in block["transactions"]:
                if isinstance(each, dict):
                    each["blockHash"] = invented
        elif place == number + 1:
            block["parentHash"] = invented
        return block

    def by_hash(block_hash: str, full: bool) -> Any:
        if block_hash == invented:
            return forged(node.rpc("eth_getBlockByNumber", hex(number), full))
        return node.rpc("eth_getBlockByHash", block_hash, full)

    def receipt(tx_hash: str) -> Any:
        return {**node.rpc("eth_getTransactionReceipt", tx_hash), "blockHash": invented, "status": "0x1"}

    return {
        "eth_getBlockByNumber": lambda *params: forged(node.rpc("eth_getBlockByNumber", *params)),
        "eth_getBlockByHash": by_hash,
        "eth_getBlockReceipts": Error("the method does not exist", -32601),
        "eth_getTransactionReceipt": receipt,
        "eth_getLogs": [],
        "eth_call": Error("missing trie node"),
    }


LIES = [an_invented_log, a_log_and_its_receipt, another_receiver, a_block_of_its_own]


async def credited(shop: Shop, session: SessionResource) -> list[str]:
    """Take turns until nothing more is to be had, whatever fails; return the amounts of the session's payments."""
    for _ in range(3):
        try:
            await shop.process()
        except RecoverableError:
            continue
    return [each["amount"]["units"] for each in (await shop.look(session))["payments"]]


@pytest.mark.parametrize("lie", LIES)
async def test_what_a_lying_provider_shows_alone_is_not_credited_and_waits(
    anvil: Nodes, solc: Compiler, tmp_path: Path, lie: Callable[[Stage], Mapping[str, Any]]
) -> None:
    node = anvil(mining="manual")
    usdc = deploy(node, solc, "Token")
    async with (
        running(forwarding(node.url, {})) as front,
        open_shop(tmp_path, [front.url], xpub=FRESH_XPUB, tokens=[token(usdc)]) as shop,
    ):
        stage = Stage(node, usdc, await shop.ask(asset="USDC" if "log" in lie.__name__ else None))
        front.behave = forwarding(node.url, lie(stage))
        node.send(node.accounts[1], node.accounts[2], 1)
        before, number = await shop.processed(), node.mine()
        assert await credited(shop, stage.session) == []
        assert await shop.processed() == before < number
        front.behave = forwarding(node.url, {})
        node.mine(CONFIRMATIONS)
        assert await credited(shop, stage.session) == []
        assert await shop.processed() == node.block_number()


@pytest.mark.parametrize("lie", LIES)
async def test_beside_a_lying_provider_an_honest_one_brings_the_true_payment(
    anvil: Nodes, solc: Compiler, tmp_path: Path, lie: Callable[[Stage], Mapping[str, Any]]
) -> None:
    node = anvil(mining="manual")
    usdc = deploy(node, solc, "Token")
    async with (
        running(forwarding(node.url, {})) as front,
        open_shop(tmp_path, [front.url, node.url], xpub=FRESH_XPUB, tokens=[token(usdc)]) as shop,
    ):
        invented, paid = await shop.ask(asset="USDC" if "log" in lie.__name__ else None), await shop.ask("30.00")
        front.behave = forwarding(node.url, lie(Stage(node, usdc, invented)))
        pay(node, paid, ONE_COIN // 100)
        node.mine()
        node.mine(CONFIRMATIONS)
        assert await credited(shop, paid) == [str(ONE_COIN // 100)]
        assert (await shop.look(paid))["status"] == "paid"
        assert await credited(shop, invented) == []
        assert await shop.processed() == node.block_number()


async def test_a_transaction_of_our_address_that_one_node_invents_makes_no_payment(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    """Less would be expected for it, and what is still there would seem to have come anew, to every node."""
    node = anvil(mining="manual")
    async with (
        running(forwarding(node.url, {})) as front,
        open_shop(tmp_path, [front.url, node.url], xpub=FRESH_XPUB) as shop,
    ):
        stage = Stage(node, deploy(node, solc, "Token"), await shop.ask())
        pay(node, stage.session, ONE_COIN // 2)
        node.mine(CONFIRMATIONS)
        assert await credited(shop, stage.session) == [str(ONE_COIN // 2)]
        shop.chain.stop_reading_ranges("the node wants whole blocks")
        node.send(node.accounts[1], node.accounts[2], 1)
        node.mine()
        ours = {"from": stage.session["address"].lower()}

        def change(block: Any) -> None:
            for each in block["transactions"]:
                if isinstance(each, dict):
                    each.update({**ours, "value": hex(ONE_COIN // 2)})

        blocks = {by: stage.of_block(by, change) for by in ("eth_getBlockByNumber", "eth_getBlockByHash")}
        receipts = {"eth_getTransactionReceipt": lambda each: {**node.rpc("eth_getTransactionReceipt", each), **ours}}
        front.behave = forwarding(node.url, {**blocks, **receipts})
        await credited(shop, stage.session)
        front.behave = forwarding(node.url, {})
        node.mine(CONFIRMATIONS)
        assert await credited(shop, stage.session) == [str(ONE_COIN // 2)]
        assert await shop.processed() == node.block_number()


async def test_a_payment_that_failed_is_not_credited_whatever_its_receipt_says(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")

    def one(tx_hash: str) -> Any:
        return {**node.rpc("eth_getTransactionReceipt", tx_hash), "status": "0x1"}

    def all_(block_hash: str) -> Any:
        return [{**each, "status": "0x1"} for each in node.rpc("eth_getBlockReceipts", block_hash)]

    forged = forwarding(node.url, {"eth_getTransactionReceipt": one, "eth_getBlockReceipts": all_})
    async with (
        running(forged) as liar,
        open_shop(tmp_path, [liar.url, node.url], xpub=FRESH_XPUB) as shop,
    ):
        session = await shop.ask()
        node.rpc("anvil_setCode", session["address"], "0x5f5ffd")  # it refuses every payment
        before = await shop.processed()
        payment = {"from": node.accounts[1], "to": session["address"], "value": hex(ONE_COIN), "gas": hex(100_000)}
        node.rpc("eth_sendTransaction", payment)
        node.mine(CONFIRMATIONS)
        assert await credited(shop, session) == []
        assert await shop.processed() > before


async def test_junk_in_a_block_does_not_switch_the_proof_off(anvil: Nodes, tmp_path: Path) -> None:
    """Where the form of blocks is known, one that can't be recomputed is a lie, or waits for another provider."""
    node = anvil(mining="manual")
    async with (
        running(forwarding(node.url, {})) as front,
        open_shop(tmp_path, [front.url], xpub=FRESH_XPUB) as shop,
    ):
        session = await shop.ask()
        pay(node, session)
        node.mine(CONFIRMATIONS)
        lies: list[dict[str, Any]] = [{"eth_getBlockByHash": {"transactions": []}}, {"eth_getBlockReceipts": [{}]}]
        for junk in lies:
            front.behave = forwarding(node.url, junk)
            assert await credited(shop, session) == []
        front.behave = forwarding(node.url, {})
        assert await credited(shop, session) == [str(ONE_COIN)]


def unknown_form(node: Anvil) -> Behaviour:
    """Stand before a node and hash its blocks in a way that nobody knows here."""

    def block(block_hash: str, full: bool) -> Any:
        return {**node.rpc("eth_getBlockByHash", block_hash, full), "extraData": "0x01"}

    return forwarding(node.url, {"eth_getBlockByHash": block})


async def test_explain_tells_by_what_a_payment_was_believed(
    anvil: Nodes, solc: Compiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    async with (
        running(forwarding(node.url, {})) as front,
        open_shop(tmp_path, [front.url, node.url], xpub=FRESH_XPUB, confirm_with=2, agree_above_fiat=100) as shop,
    ):
        small, large, internal, unknown = [await shop.ask(price) for price in ("30.00", "3000.00", "3000.00", "30.00")]
        pay(node, small, ONE_COIN // 100)
        pay(node, large)
        payer.send("payAll(address[],uint256[])", [internal["address"]], [ONE_COIN])
        node.mine(CONFIRMATIONS)
        await shop.process()
        monkeypatch.setattr(prove, "PROVABLE_CHAINS", prove.PROVABLE_CHAINS - {ANVIL_CHAIN_ID})
        front.behave = unknown_form(node)
        pay(node, unknown, ONE_COIN // 100)
        node.mine()
        await shop.process()
        sessions = (small, large, internal, unknown)
        told = [facts(await explaining(shop).of(each["id"]))[BELIEVED] for each in sessions]
        assert told == [
            "proven by the block's own receipts root",
            "proven by the block's own receipts root, and 2 providers agree",
            "2 providers agree: only balances show what contracts send, so no block proves it",
            "proven by the block's own receipts root",  # the other provider's block is of a known form
        ]


async def test_on_a_chain_whose_blocks_are_of_an_unknown_form_a_provider_is_taken_at_its_word(
    anvil: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prove, "PROVABLE_CHAINS", frozenset[int]())
    node = anvil(mining="manual")
    async with (
        running(unknown_form(node)) as front,
        running(unknown_form(node)) as other,
        open_shop(tmp_path, [front.url, other.url], xpub=FRESH_XPUB, confirm_with=2, agree_above_fiat=100) as shop,
    ):
        small, large = await shop.ask("30.00"), await shop.ask()
        pay(node, small, ONE_COIN // 100)
        pay(node, large)
        node.mine(CONFIRMATIONS)
        await shop.process()
        told = [facts(await explaining(shop).of(each["id"]))[BELIEVED] for each in (small, large)]
        assert told == [
            "taken on one provider's word: this chain's blocks can't be proven here",
            "2 providers agree: this chain's blocks can't be proven here",
        ]
        assert not any(each.is_resting for each in shop.chain.health())
