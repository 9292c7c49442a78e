"""A provider that was on a wrong fork for long: what the right chain still has stays, the rest is taken back."""

from collections.abc import Callable
from pathlib import Path

import pytest

from crypto_checkout.core.errors import ChainNotStopped
from crypto_checkout.core.owner.audit import COMMAND_LINE
from crypto_checkout.services.ledger.ancestor import TooDeepReorg
from crypto_checkout.services.ledger.judge import Judge
from crypto_checkout.services.ledger.reanchor import Reanchoring
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.ledger.cursors import KEPT_BLOCKS
from tests.support.anvil import Anvil
from tests.support.shop import ANVIL_CHAIN_ID, CONFIRMATIONS, FRESH_XPUB, ONE_COIN, Shop, open_shop, pay

Nodes = Callable[..., Anvil]


def reanchoring(shop: Shop) -> Reanchoring:
    judge = Judge(Outbox(), chain_id=ANVIL_CHAIN_ID, public_url="http://127.0.0.1:4020")
    return Reanchoring(shop.db, shop.chain, judge, ANVIL_CHAIN_ID)


@pytest.mark.parametrize("is_searched", [True, False], ids=["from the fork on", "from the head on"])
async def test_what_the_right_chain_has_stays_and_the_rest_is_taken_back(
    anvil: Nodes, tmp_path: Path, is_searched: bool
) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB) as shop:
        before, wrongly, later, never = [await shop.ask(expires_in_seconds=86_400) for _ in range(4)]
        pay(node, before)
        node.mine(CONFIRMATIONS)
        await shop.process()
        fork = node.block_number()
        snapshot = node.rpc("evm_snapshot")
        pay(node, wrongly)
        node.mine(KEPT_BLOCKS + 10)
        await shop.process()
        assert [(await shop.look(each))["status"] for each in (before, wrongly)] == ["paid", "paid"]
        with pytest.raises(ChainNotStopped, match="not stopped"):
            await reanchoring(shop).plan()

        node.rpc("evm_revert", snapshot)
        node.rpc("evm_increaseTime", 3600)
        node.mine(10)
        pay(node, later)
        node.mine(KEPT_BLOCKS + 20)
        with pytest.raises(TooDeepReorg, match="chains reanchor"):
            await shop.process()

        service = reanchoring(shop)
        with pytest.raises(ChainNotStopped, match="--from takes a block from"):
            await service.plan(first_block=1)
        plan = await service.plan(first_block=fork + 1 if is_searched else None)
        assert plan.shared is not None
        assert plan.shared <= fork
        assert (plan.orphans.payments, plan.orphans.settled, plan.open_sessions) == (1, 1, 2)
        await service.carry_out(plan, COMMAND_LINE)
        node.mine(CONFIRMATIONS)
        shop.restart()
        await shop.process()
        node.mine(CONFIRMATIONS)
        await shop.process()
        statuses = [(await shop.look(each))["status"] for each in (before, wrongly, later, never)]
        assert statuses == ["paid", "failed", "paid", "pending"]
        kinds = [payment["kind"] for payment in (await shop.look(later))["payments"]]
        assert kinds == (["native"] if is_searched else ["internal"]), "of skipped blocks, only balances tell"
        assert (await shop.look(later))["amountReceived"]["units"] == str(ONE_COIN)
        with pytest.raises(ChainNotStopped):
            await service.carry_out(plan, COMMAND_LINE)


async def test_a_session_made_after_the_last_processed_block_is_paid_in_the_skipped_ones(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB) as shop:
        snapshot = node.rpc("evm_snapshot")
        node.mine(KEPT_BLOCKS + 10)
        await shop.process()
        session = await shop.ask(expires_in_seconds=86_400)
        node.rpc("evm_revert", snapshot)
        node.rpc("evm_increaseTime", 7200)
        pay(node, session)
        node.mine(5)
        service = reanchoring(shop)
        await service.carry_out(await service.plan(), COMMAND_LINE)
        shop.restart()
        for _ in range(CONFIRMATIONS + 1):
            node.mine()
            await shop.process()
        found = await shop.look(session)
        assert (found["status"], found["amountReceived"]["units"]) == ("paid", str(ONE_COIN))


async def test_a_node_that_is_still_synchronising_is_waited_for(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    snapshot = node.rpc("evm_snapshot")
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB) as shop:
        node.mine(2 * KEPT_BLOCKS)
        await shop.process()
        node.rpc("evm_revert", snapshot)
        with pytest.raises(TooDeepReorg):
            await shop.process()
        with pytest.raises(ChainNotStopped, match="still synchronising"):
            await reanchoring(shop).plan()
