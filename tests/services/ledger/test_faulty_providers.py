"""Providers that fail in every way: nothing is missed, nothing is invented, and those that work are found."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.chain.evm.chain import EvmChain
from crypto_checkout.chain.rpc.providers import Rpc
from crypto_checkout.core.errors import ProviderFailed, RecoverableError
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.services.ledger.ancestor import TooDeepReorg
from tests.services.ledger.test_tokens import token
from tests.support.anvil import Anvil
from tests.support.faulty_provider import KINDS, faulty
from tests.support.nodes import PausedClock, answering, call, forwarding, http, no_pause, running, saying
from tests.support.shop import ANVIL_CHAIN_ID, CONFIRMATIONS, FRESH_XPUB, ONE_COIN, open_shop, pay
from tests.support.solidity import Compiler, deploy
from tests.support.truth import Truth
from tests.support.waiting import until

Nodes = Callable[..., Anvil]


class Clock:
    """Stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("seed", range(2))
async def test_nothing_is_missed_and_nothing_invented_whatever_two_faulty_providers_do(
    anvil: Nodes, solc: Compiler, tmp_path: Path, seed: int
) -> None:
    node = anvil(mining="manual")
    usdc, payer = deploy(node, solc, "Token"), deploy(node, solc, "Payer", wei=100 * ONE_COIN)
    clock = PausedClock()
    async with (
        faulty(node.url, seed, 0) as (first, first_faults),
        faulty(node.url, seed + 100, 0) as (second, second_faults),
        open_shop(
            tmp_path,
            [first.url, second.url],
            xpub=FRESH_XPUB,
            tokens=[token(usdc)],
            timeout_seconds=0.3,
            provider_clock=clock,
        ) as shop,
    ):
        truth = Truth(node, shop.path, await shop.processed(), {"USDC": usdc.address})
        coin, usd = await shop.ask("9000.00"), await shop.ask("9000.00", asset="USDC")
        first_faults.chance = second_faults.chance = 0.6
        for turn in range(12):
            pay(node, coin, ONE_COIN // 10)
            payer.send("payAll(address[],uint256[])", [coin["address"], usd["address"]], [ONE_COIN // 7, 5])
            usdc.send("transfer(address,uint256)", usd["address"], 1000 + turn)
            node.mine(1 + turn % 3)
            for _ in range(6):
                clock.now += 2  # longer than a provider wants to be left alone
                try:
                    await shop.watcher.turn()
                except (RecoverableError, TooDeepReorg):
                    continue
            assert truth.matches([coin, usd])
        first_faults.chance = second_faults.chance = 0
        node.mine(CONFIRMATIONS)

        async def is_followed() -> bool:
            clock.now += 2  # whoever failed last is asked again
            with suppress(RecoverableError):  # a busy machine takes longer to answer than these nodes are given
                await shop.process()
            return await shop.processed() == node.block_number()

        await until(is_followed, "follow the chain to its end")
        assert truth.matches([coin, usd])
        assert first_faults.seen | second_faults.seen == set(KINDS)


def at_block(number: int) -> dict[str, Any]:
    block = {"number": hex(number), "hash": "0x" + "a" * 64, "parentHash": "0x" + "b" * 64, "timestamp": "0x65000000"}
    return {"eth_chainId": hex(ANVIL_CHAIN_ID), "eth_blockNumber": hex(number), "eth_getBlockByNumber": block}


async def test_a_provider_that_stands_still_while_others_go_on_rests() -> None:
    clock = Clock()
    async with running(answering(at_block(100))) as still, running(answering(at_block(107))) as moving:
        rpc = Rpc(ANVIL_CHAIN_ID, [still.url, moving.url], clock=clock, jitter=lambda: 0, sleep=no_pause)
        chain = EvmChain(rpc, clock=clock)
        assert (await chain.head()).number == 100
        clock.now += 29
        assert (await chain.head()).number == 100, "a block may take its time"
        clock.now += 2
        assert (await chain.head()).number == 107
        resting, working = chain.health()
        assert (resting.last_error, resting.is_resting) == ("it is 7 blocks behind the others", True)
        assert (working.last_error, working.is_resting, working.failures) == (None, False, 0)
        still.forget()
        clock.now += 29
        assert (await chain.head()).number == 107
        assert still.methods == []
        clock.now += 32
        assert (await chain.head()).number == 107, "it lags behind what was seen: no need to wait again"
        await chain.close()


async def test_when_the_chain_stands_still_nobody_is_blamed() -> None:
    clock = Clock()
    async with running(answering(at_block(100))) as one, running(answering(at_block(101))) as other:
        rpc = Rpc(ANVIL_CHAIN_ID, [one.url, other.url], clock=clock, jitter=lambda: 0, sleep=no_pause)
        chain = EvmChain(rpc, clock=clock)
        await chain.head()
        clock.now += 3600
        await chain.head()
        assert [provider.failures for provider in rpc.providers] == [0, 0]
        await chain.close()


async def test_how_long_a_provider_wants_to_be_left_alone_is_respected() -> None:
    clock = Clock()
    busy = saying(http("", 429, "Retry-After: 45\r\n"))
    async with running(busy) as first, running(answering(at_block(5))) as second:
        rpc = Rpc(ANVIL_CHAIN_ID, [first.url, second.url], clock=clock, jitter=lambda: 0, sleep=no_pause)
        assert await call(rpc, "eth_blockNumber", []) == "0x5"
        assert rpc.providers[0].paused_until - clock.now == 45
        await rpc.close()


async def test_a_date_on_which_a_provider_wants_to_be_asked_again_is_respected_up_to_ten_minutes() -> None:
    # The first date comes nearer by the real clock, while a busy machine asks.
    dates = ((timedelta(seconds=90), 90, 60), (timedelta(days=1), 600, 0), (timedelta(days=-1), 1, 0))
    for ahead, pause, passed in dates:
        clock = Clock()
        date = format_datetime(datetime.now(UTC) + ahead, usegmt=True)
        async with running(saying(http("", 503, f"Retry-After: {date}\r\n"))) as busy:
            rpc = Rpc(ANVIL_CHAIN_ID, [busy.url], clock=clock, jitter=lambda: 0, sleep=no_pause)
            with pytest.raises(ProviderFailed, match="HTTP 503"):
                await call(rpc, "eth_blockNumber", [])
            assert pause - passed <= rpc.providers[0].paused_until - clock.now <= pause
            await rpc.close()


@pytest.mark.parametrize(("jitter", "pause"), [(0, 1), (1, 1.25)])
async def test_the_pause_is_lengthened_by_up_to_a_quarter(jitter: float, pause: float) -> None:
    clock = Clock()
    rpc = Rpc(ANVIL_CHAIN_ID, ["http://127.0.0.1:1"], clock=clock, jitter=lambda: jitter, sleep=no_pause)
    with pytest.raises(ProviderFailed):
        await call(rpc, "eth_blockNumber", [])
    assert rpc.providers[0].paused_until - clock.now == pause
    await rpc.close()


async def test_a_range_shrinks_with_each_failure_and_grows_again(anvil: Nodes) -> None:
    node = anvil(mining="manual")
    node.mine(100)
    async with faulty(node.url, 1, 0) as (front, faults):
        chain = EvmChain(Rpc(ANVIL_CHAIN_ID, [front.url], timeout_seconds=5, sleep=no_pause))
        first = chain.batch_blocks
        node.stop()
        sizes = []
        for _ in range(5):
            with pytest.raises(ProviderFailed):
                await chain.blocks(range(1, chain.batch_blocks + 1))
            sizes.append(chain.batch_blocks)
        assert sizes == [first // 2, first // 4, first // 8 or 1, 1, 1]
        node.start_again()
        assert not faults.chance
        for _ in range(6):
            await chain.blocks(range(1, chain.batch_blocks + 1))
        assert chain.batch_blocks > first
        await chain.close()


async def test_a_provider_of_another_chain_is_named_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {"eth_chainId": "0x1", "eth_blockNumber": "0x9"}
    async with running(answering(wrong)) as first, running(answering(at_block(5))) as second:
        rpc = Rpc(ANVIL_CHAIN_ID, [first.url, second.url], jitter=lambda: 0, sleep=no_pause)
        assert await call(rpc, "eth_blockNumber", []) == "0x5"
        said = capsys.readouterr().out
        assert "a provider is refused" in said
        assert "it serves chain 1, not 31337" in said
        await rpc.close()


async def test_only_the_block_that_holds_a_payment_is_fetched_whole(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    asked: list[str] = []

    async with running(answering({})) as recording:
        recording.behave = _recording(node.url, asked)
        async with open_shop(tmp_path, [recording.url]) as shop:
            session = await shop.ask()
            node.mine(30)
            number = pay_in_block(node, session)
            node.mine(30)
            await shop.process()
            assert (await shop.look(session))["status"] == "paid"
    assert [int(each, 16) for each in asked] == [number]


def pay_in_block(node: Anvil, session: SessionResource) -> int:
    pay(node, session)
    node.mine()
    return node.block_number()


def _recording(url: str, asked: list[str]) -> Any:
    forward = forwarding(url, {})

    async def behave(body: Any, writer: Any) -> None:
        calls = body if isinstance(body, list) else [body]
        asked.extend(c["params"][0] for c in calls if c["method"] == "eth_getBlockByNumber" and c["params"][1])
        await forward(body, writer)

    return behave
