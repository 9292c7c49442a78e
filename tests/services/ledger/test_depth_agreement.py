"""Agreement of providers on depth: none of them alone can confirm a payment with blocks that the others lack."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.core.errors import ProviderFailed
from tests.support.anvil import Anvil
from tests.support.nodes import Behaviour, forwarding, running
from tests.support.shop import CONFIRMATIONS, FRESH_XPUB, open_shop, pay

Nodes = Callable[..., Anvil]


def staying_behind(node: Anvil, blocks: int) -> Behaviour:
    """Stand before a node that goes on with the newest block of now, by so many empty ones, whatever others do."""
    newest = node.block_number()
    chain = {newest: node.rpc("eth_getBlockByNumber", hex(newest), True)}
    for number in range(newest + 1, newest + 1 + blocks):
        before = chain[number - 1]
        chain[number] = {
            **before,
            "number": hex(number),
            "parentHash": before["hash"],
            "hash": "0x" + sha256(str(number).encode()).hexdigest(),
            "timestamp": hex(int(before["timestamp"], 16) + 1),
            "transactions": [],
        }

    def block(number: str, full: bool) -> Any:
        return chain.get(max(chain) if number == "latest" else int(number, 16)) or node.rpc(
            "eth_getBlockByNumber", number, full
        )

    held = node.rpc  # what addresses hold there: as of the block that it goes on with

    def call(transaction: dict[str, str], _: Any) -> Any:
        return held("eth_call", transaction, "latest")

    def logs(criteria: dict[str, Any]) -> Any:
        is_own = criteria.get("blockHash") in {each["hash"] for each in chain.values()}
        return [] if is_own else held("eth_getLogs", criteria)

    return forwarding(node.url, {"eth_getBlockByNumber": block, "eth_call": call, "eth_getLogs": logs})


async def test_a_payment_that_the_chain_took_back_gets_no_deeper_by_one_providers_word(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with (
        running(forwarding(node.url, {})) as front,
        open_shop(tmp_path, [front.url, node.url], xpub=FRESH_XPUB, confirm_with=2) as shop,
    ):
        session = await shop.ask()
        pay(node, session)
        node.mine()
        await shop.process()
        assert (await shop.look(session))["status"] == "detected"
        front.behave = staying_behind(node, CONFIRMATIONS)
        node.rpc("anvil_reorg", 1, [])
        node.mine(CONFIRMATIONS + 2)
        with pytest.raises(ProviderFailed, match="1 of 2 providers agree on block"):
            await shop.process()
        assert (await shop.look(session))["status"] == "detected"
        front.behave = forwarding(node.url, {})
        await shop.process()
        taken_back = await shop.look(session)
        assert (taken_back["status"], taken_back["payments"]) == ("pending", [])


async def test_where_most_show_another_block_they_are_followed(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with (
        running(forwarding(node.url, {})) as front,
        running(forwarding(node.url, {})) as third,
        open_shop(tmp_path, [front.url, node.url, third.url], xpub=FRESH_XPUB, confirm_with=2) as shop,
    ):
        session = await shop.ask()
        pay(node, session)
        node.mine()
        await shop.process()
        front.behave = staying_behind(node, CONFIRMATIONS)
        node.rpc("anvil_reorg", 1, [])
        node.mine(CONFIRMATIONS + 2)
        with pytest.raises(ProviderFailed, match="1 of 2 providers agree on block"):
            await shop.process()
        await shop.process()
        taken_back = await shop.look(session)
        assert (taken_back["status"], taken_back["payments"]) == ("pending", [])


async def test_a_payment_gets_deep_once_a_provider_that_lags_has_the_block(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with (
        running(forwarding(node.url, {})) as lagging,
        open_shop(tmp_path, [node.url, lagging.url], xpub=FRESH_XPUB, confirm_with=2) as shop,
    ):
        session = await shop.ask()
        pay(node, session)
        node.mine()
        await shop.process()
        seen = node.block_number()

        def block(number: str, full: bool) -> Any:
            return node.rpc("eth_getBlockByNumber", number, full) if int(number, 16) <= seen else None

        lagging.behave = forwarding(node.url, {"eth_getBlockByNumber": block})
        node.mine(CONFIRMATIONS)
        with pytest.raises(ProviderFailed, match="1 of 2 providers agree on block"):
            await shop.process()
        assert (await shop.look(session))["status"] == "detected"
        seen += CONFIRMATIONS - 1  # not the newest one: what makes the payment deep
        await shop.process()
        assert (await shop.look(session))["status"] == "paid"
