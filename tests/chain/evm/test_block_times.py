"""A block from the future: nobody loses time by it, whoever is wrong, the provider or our clock."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.core.errors import ProviderFailed
from tests.support.anvil import Anvil
from tests.support.nodes import Behaviour, forwarding, running
from tests.support.shop import CONFIRMATIONS, open_shop, pay
from tests.support.shop import now as utc_now

Nodes = Callable[..., Anvil]
DAY = 86_400


def ahead(node: Anvil, seconds: int = DAY) -> Behaviour:
    """Stand before a node and date its blocks in the future."""

    def block(number: str, full: bool) -> Any:
        shown = node.rpc("eth_getBlockByNumber", number, full)
        return shown and {**shown, "timestamp": hex(int(shown["timestamp"], 16) + seconds)}

    return forwarding(node.url, {"eth_getBlockByNumber": block})


async def test_a_single_providers_block_from_the_future_neither_expires_a_session_nor_makes_a_payment_late(
    anvil: Nodes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = anvil(mining="manual")
    async with running(forwarding(node.url, {})) as front, open_shop(tmp_path, [front.url], chain_now=utc_now) as shop:
        waiting, paid = await shop.ask(), await shop.ask()
        front.behave = ahead(node)
        pay(node, paid)
        node.mine(CONFIRMATIONS)
        await shop.process()
        assert await shop.processed() == node.block_number(), "a wrong clock stops no chain"
        assert (await shop.look(waiting))["status"] == "pending"
        assert (await shop.look(paid))["status"] == "paid"
        assert capsys.readouterr().out.count("a block is dated in the future") == 1
        front.behave = forwarding(node.url, {})
        node.mine()
        await shop.process()
        assert [(await shop.look(each))["status"] for each in (waiting, paid)] == ["pending", "paid"]


async def test_where_providers_differ_about_the_future_nothing_is_processed_before_the_honest_one_is_asked(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with (
        running(forwarding(node.url, {})) as front,
        open_shop(tmp_path, [front.url, node.url], chain_now=utc_now) as shop,
    ):
        session = await shop.ask()
        before = await shop.processed()
        front.behave = ahead(node)
        pay(node, session)
        node.mine(CONFIRMATIONS)
        with pytest.raises(ProviderFailed, match="1 of 2 providers date block"):
            await shop.process()
        assert await shop.processed() == before
        await shop.process()
        assert (await shop.look(session))["status"] == "paid"
        assert shop.chain.health()[0].is_resting


@pytest.mark.parametrize("providers", [2, 3])
async def test_what_several_providers_say_is_believed_against_our_own_clock(
    anvil: Nodes, tmp_path: Path, capsys: pytest.CaptureFixture[str], providers: int
) -> None:
    node = anvil(mining="manual")

    def behind() -> datetime:
        return utc_now() - timedelta(days=1)

    async with open_shop(tmp_path, [node.url] * providers, chain_now=behind) as shop:
        session = await shop.ask()
        node.rpc("evm_increaseTime", 1000)
        node.mine()
        await shop.process()
        assert (await shop.look(session))["status"] == "expired"
        assert "the clock of this machine is wrong" in capsys.readouterr().out


async def test_a_block_that_was_dated_here_is_no_witness_of_the_time_when_it_is_read_again(
    anvil: Nodes, tmp_path: Path
) -> None:
    """A session counts its time from what the provider said: our own clock may be behind."""
    node = anvil(mining="manual")
    async with running(forwarding(node.url, {})) as front, open_shop(tmp_path, [front.url], chain_now=utc_now) as shop:
        await shop.ask()
        front.behave = ahead(node)
        node.mine()
        await shop.process()
        said = shop.chain.newest_time
        assert said is not None
        assert said > utc_now() + timedelta(hours=12)
        assert await shop.watcher.turn_late(), "a look at old addresses, which ends at the same block"
        assert shop.chain.newest_time == said
