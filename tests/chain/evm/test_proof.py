"""Proofs: a real node's blocks are recomputed whole, and a change anywhere in what it shows proves nothing new."""

import copy
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from crypto_checkout.chain.evm.chain import EvmChain
from crypto_checkout.chain.evm.decoding import TRANSFER_TOPIC
from crypto_checkout.chain.evm.proof import encoding, prove
from crypto_checkout.chain.evm.proof.recompute import NotProven, ordered_root, proven_transfers
from crypto_checkout.chain.rpc.providers import Rpc
from crypto_checkout.core.address import Address, keccak_256
from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.ledger.payment import Proof, Transfer, TransferKind
from tests.chain.evm.test_chain import ANVIL_CHAIN_ID, ETHER, OTHER, RECEIVER, Clock, chain_at, transact, transfer_call
from tests.support import contracts
from tests.support.anvil import Anvil
from tests.support.factories import NOW, a_transfer
from tests.support.nodes import Error, forwarding, running

StartAnvil = Callable[..., Anvil]


def shown_at(node: Anvil, number: int) -> tuple[Any, Any]:
    """Return a block and its receipts."""
    return node.rpc("eth_getBlockByNumber", hex(number), True), node.rpc("eth_getBlockReceipts", hex(number))


def proven(told: list[Any], block_hash: str, number: int) -> frozenset[Transfer]:
    block, receipts = told
    return proven_transfers(
        block, receipts, number=number, block_hash=block_hash, chain_id=ANVIL_CHAIN_ID, receivers={RECEIVER}
    )


@pytest.mark.parametrize("fork", ["istanbul", "london", "paris", "shanghai", "cancun", "prague", "osaka"])
def test_blocks_of_every_fork_are_proven(anvil: StartAnvil, fork: str) -> None:
    node = anvil(mining="manual", arguments=["--hardfork", fork])
    tx_hash = transact(node, node.accounts[0], RECEIVER, value=3 * ETHER, gasPrice=hex(10**10))
    block, receipts = shown_at(node, node.mine())
    (found,) = proven([block, receipts], block["hash"], 1)
    assert (found.tx_hash, found.units, found.sender) == (tx_hash, 3 * ETHER, node.accounts[0].lower())


@pytest.mark.parametrize("transactions", [0, 1, 2, 16, 17, 129])
def test_blocks_of_any_size_are_proven(anvil: StartAnvil, transactions: int) -> None:
    node = anvil(mining="manual")
    for place in range(transactions):
        # Shapes differ, so that some nodes of the trie are short and others long.
        fee = {"gasPrice": hex(10**10)} if place % 2 else {}
        transact(node, node.accounts[place % 10], RECEIVER, value=place, data="0x" + "ff" * place, **fee)
    number = node.mine()
    block, receipts = shown_at(node, number)
    assert len(receipts) == transactions
    assert sorted(each.units for each in proven([block, receipts], block["hash"], number)) == [*range(1, transactions)]


@pytest.fixture
def mixed(anvil: StartAnvil) -> tuple[Any, Any]:
    """Return a block with a payment, two transfers of a token, a payment that failed, and what isn't ours."""
    node = anvil(mining="manual")
    token, refusing = contracts.deploy(node, contracts.emitting(3)), contracts.deploy(node, contracts.REVERTING)
    node.rpc("anvil_setCode", OTHER, "0x" + contracts.REVERTING)
    transact(node, node.accounts[0], RECEIVER, value=5)
    transact(node, node.accounts[1], token, data=transfer_call(node.accounts[1], RECEIVER, 7))
    transact(node, node.accounts[2], token, data=transfer_call(node.accounts[2], RECEIVER, 8))
    transact(node, node.accounts[3], refusing, value=9, gasPrice=hex(10**10))
    transact(node, node.accounts[4], node.accounts[5], value=10, gasPrice=hex(10**10))
    return shown_at(node, node.mine())


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in some JSON."""
    if way:
        yield way
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield from places(below, (*way, key))


def changed(whole: list[Any], way: tuple[Any, ...], value: Any) -> list[Any]:
    """Return a copy with another value at a path; `...` takes it away."""
    copied = copy.deepcopy(whole)
    *before, last = way
    place: Any = copied
    for step in before:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return copied


LIES: list[Any] = [..., None, [], "0x", "0x1", "0x69", RECEIVER, "0x" + "ab" * 32]


def test_whatever_a_node_changes_it_can_not_prove_another_payment(mixed: tuple[Any, Any]) -> None:
    block, receipts = mixed
    number, block_hash = int(block["number"], 16), block["hash"]
    honest = proven([block, receipts], block_hash, number)
    assert sorted((each.units, each.kind) for each in honest) == [
        (5, TransferKind.NATIVE),
        (7, TransferKind.TOKEN),
        (8, TransferKind.TOKEN),
    ]
    refused = 0
    for way in places([block, receipts]):
        for lie in LIES[len(way) == 1 :]:  # both are there
            try:
                said = proven(changed([block, receipts], way, lie), block_hash, number)
            except NotProven:
                refused += 1
            else:
                assert said == honest, f"{way} = {lie}"
    assert refused > 500


def test_transactions_or_receipts_that_change_places_prove_nothing(mixed: tuple[Any, Any]) -> None:
    block, receipts = mixed
    number = int(block["number"], 16)
    for told in ([block, receipts[::-1]], [{**block, "transactions": block["transactions"][::-1]}, receipts]):
        with pytest.raises(NotProven, match="root"):
            proven(told, block["hash"], number)
    with pytest.raises(NotProven, match="the hash of block"):
        proven([block, receipts], "0x" + "ab" * 32, number)
    with pytest.raises(NotProven, match="one receipt for each"):
        proven([block, receipts[:-1]], block["hash"], number)


def test_what_a_rollup_leaves_out_of_its_encoding_can_not_be_made_up(mixed: tuple[Any, Any]) -> None:
    """Arbitrum's internal transactions have no receiver and no value, whatever the JSON says."""
    block, _ = copy.deepcopy(mixed)
    own = {"type": "0x6a", "input": "0x", "from": OTHER, "to": RECEIVER, "value": hex(ETHER)}
    receipt = {"type": "0x6a", "status": "0x1", "cumulativeGasUsed": "0x0", "logsBloom": "0x" + "00" * 256, "logs": []}
    block["transactions"] = [own]
    block["transactionsRoot"] = "0x" + ordered_root([encoding.transaction(own, ANVIL_CHAIN_ID)]).hex()
    block["receiptsRoot"] = "0x" + ordered_root([encoding.receipt(receipt)]).hex()
    block["hash"] = "0x" + keccak_256(encoding.header(block)).hex()
    assert proven([block, [receipt]], block["hash"], int(block["number"], 16)) == frozenset()


# From providers


async def test_receipts_are_asked_for_one_by_one_where_a_node_does_not_give_a_blocks(anvil: StartAnvil) -> None:
    node = anvil(mining="manual")
    for _ in range(3):
        node.send(node.accounts[0], RECEIVER, ETHER)
    number = node.mine()
    for missing in (Error("the method does not exist", -32601), None):
        async with (
            running(forwarding(node.url, {"eth_getBlockReceipts": missing})) as front,
            chain_at(front.url) as chain,
        ):
            (block,) = await chain.blocks([number])
            found = await chain.prove(block.transfers)
            assert [each.proof for each in found] == [Proof.PROVEN] * 3
            assert front.methods.count("eth_getTransactionReceipt") == 3


class Hurried(Clock):
    """Goes on whenever somebody sleeps by it."""

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def test_a_busy_node_is_waited_for_and_not_taken_at_its_word(
    anvil: StartAnvil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where blocks may have no proof, a node can't be busy to be spared the question."""
    monkeypatch.setattr(prove, "PROVABLE_CHAINS", frozenset[int]())
    node = anvil(mining="manual")
    node.send(node.accounts[0], RECEIVER, ETHER)
    number = node.mine()
    busy = Error("daily request count exceeded, request rate limited", -32005)
    async with running(forwarding(node.url, {"eth_getBlockReceipts": busy})) as front:
        clock = Hurried()
        chain = EvmChain(Rpc(ANVIL_CHAIN_ID, [front.url], clock=clock, sleep=clock.sleep))
        (block,) = await chain.blocks([number])
        with pytest.raises(ProviderFailed, match="busy"):
            await chain.prove(block.transfers)
        assert "eth_getTransactionReceipt" not in front.methods
        front.behave = forwarding(node.url, {})
        assert [each.proof for each in await chain.prove(block.transfers)] == [Proof.PROVEN]
        await chain.close()


async def test_a_block_without_payments_costs_no_call(anvil: StartAnvil) -> None:
    node = anvil()
    async with running(forwarding(node.url, {})) as front, chain_at(front.url) as chain:
        assert await chain.prove([]) == []
        assert front.methods == []


def topic(address: str) -> str:
    return "0x" + address.removeprefix("0x").lower().rjust(64, "0")


def invented_log(node: Anvil, token: str) -> Callable[..., Any]:
    """Answer `eth_getLogs` with a transfer that never was, in a transaction that is there."""

    def logs(criteria: Any) -> Any:
        block = node.rpc("eth_getBlockByHash", criteria["blockHash"], False)
        return [
            {
                "address": token,
                "topics": [TRANSFER_TOPIC, topic(OTHER), topic(RECEIVER)],
                "data": "0x" + f"{ETHER:064x}",
                "blockHash": block["hash"],
                "blockNumber": block["number"],
                "transactionHash": transaction,
                "logIndex": "0x0",
                "removed": False,
            }
            for transaction in block["transactions"][:1]
        ]

    return logs


async def test_the_provider_that_invents_a_payment_rests_for_a_minute_and_the_others_do_not(anvil: StartAnvil) -> None:
    node = anvil(mining="manual")
    token = Address("0x" + "70" * 20)
    node.send(node.accounts[0], node.accounts[1], ETHER)
    number = node.mine()
    async with (
        running(forwarding(node.url, {"eth_getLogs": invented_log(node, token)})) as liar,
        chain_at(liar.url, node.url, tokens=[token]) as chain,
    ):
        (block,) = await chain.blocks([number])
        invented = [each for each in block.transfers if each.to == RECEIVER]
        with pytest.raises(ProviderFailed, match="a payment was invented"):
            await chain.prove(invented)
        lying, honest = chain.health()
        assert (lying.is_resting, honest.is_resting) == (True, False)
        assert "doesn't hold" in (lying.last_error or "")
        (block,) = await chain.blocks([number])
        assert [each for each in block.transfers if each.to == RECEIVER] == []


def test_the_work_of_finding_transfers_in_a_block_grows_no_faster_than_their_number() -> None:
    def calls(count: int) -> int:
        held = {a_transfer(log_index=index, block_time=NOW) for index in range(count)}
        claimed = [a_transfer(log_index=index, block_time=NOW + timedelta(hours=1)) for index in range(count + 1)]
        made = 0

        def count_call(_: object, kind: str, __: object) -> None:
            nonlocal made
            made += kind in {"call", "c_call"}

        sys.setprofile(count_call)
        try:
            found = prove.matched(claimed, held)
        finally:
            sys.setprofile(None)
        assert [found[each] for each in claimed] == [*(replace(each, block_time=NOW) for each in claimed[:-1]), None]
        return made

    assert calls(400) < 5 * calls(100)
