"""Blocks read as ranges: nothing is missed where providers limit them or lag, nor what was swept meanwhile."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.core.errors import ProviderFailed
from tests.services.ledger.test_tokens import token
from tests.support.anvil import Anvil
from tests.support.nodes import Error, forwarding, running
from tests.support.shop import FRESH_XPUB, ONE_COIN, open_shop, pay
from tests.support.solidity import Compiler, deploy

Nodes = Callable[..., Anvil]
USD = 3000 * 10**6


def logs_of(node: Anvil, answer: Callable[[dict[str, Any]], Any]) -> Mapping[str, Any]:
    """Answer `eth_getLogs` by a function; where it returns None, as the node does."""

    def logs(criteria: dict[str, Any]) -> Any:
        found = answer(criteria)
        return node.rpc("eth_getLogs", criteria) if found is None else found

    return {"eth_getLogs": logs}


def span(criteria: dict[str, Any]) -> int:
    return 1 if "blockHash" in criteria else int(criteria["toBlock"], 16) - int(criteria["fromBlock"], 16) + 1


LIMITS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "ten blocks": lambda asked: Error("block range is too large") if span(asked) > 10 else None,
    "one block": lambda asked: Error("range not allowed") if span(asked) > 1 else None,
    "no list of receivers": lambda asked: Error("too many topics") if len(asked.get("topics", [])) > 1 else None,
    "no ranges at all": lambda asked: None if "blockHash" in asked else Error("blockHash is required"),
}


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
async def test_whatever_a_provider_limits_what_came_is_found(
    anvil: Nodes, solc: Compiler, tmp_path: Path, limit: Callable[[dict[str, Any]], Any]
) -> None:
    node = anvil(mining="manual")
    usdc = deploy(node, solc, "Token")
    async with (
        running(forwarding(node.url, logs_of(node, limit))) as front,
        open_shop(tmp_path, [front.url], xpub=FRESH_XPUB, tokens=[token(usdc)]) as shop,
    ):
        coin, usd = await shop.ask(), await shop.ask(asset="USDC")
        node.mine(20)
        pay(node, coin)
        usdc.send("transfer(address,uint256)", usd["address"], USD)
        node.mine(20)
        for _ in range(30):
            with suppress(ProviderFailed):  # the loop takes the next turn
                await shop.process()
        assert await shop.processed() == node.block_number()
        assert [(await shop.look(each))["status"] for each in (coin, usd)] == ["paid", "paid"]


async def test_a_log_that_a_lagging_node_left_out_is_found_with_the_next_turns(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    usdc = deploy(node, solc, "Token")
    async with (
        running(forwarding(node.url, {})) as front,
        open_shop(tmp_path, [front.url], xpub=FRESH_XPUB, tokens=[token(usdc)]) as shop,
    ):
        session = await shop.ask(asset="USDC")
        usdc.send("transfer(address,uint256)", session["address"], USD)
        front.behave = forwarding(node.url, {"eth_getLogs": []})
        node.mine(2)
        await shop.process()
        assert (await shop.look(session))["payments"] == []
        front.behave = forwarding(node.url, {})
        for _ in range(2):
            node.mine()
            await shop.process()
        (payment,) = (await shop.look(session))["payments"]
        assert (payment["amount"]["units"], payment["counted"]) == (str(USD), True)
        assert (await shop.look(session))["status"] == "paid"


async def test_coins_that_were_sent_away_again_during_an_outage_are_found(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask()
        await shop.process()
        node.rpc("evm_increaseTime", 300)
        node.mine(5)
        pay(node, session)
        node.mine(3)
        address = session["address"]
        node.rpc("anvil_impersonateAccount", address)
        gas = {"gas": hex(21_000), "gasPrice": hex(2 * 10**9)}
        left = ONE_COIN - 21_000 * 2 * 10**9
        node.rpc("eth_sendTransaction", {"from": address, "to": node.accounts[8], "value": hex(left), **gas})
        node.mine(20)
        assert node.balance(address) == 0, "as before the payment"
        await shop.process()
        assert (await shop.look(session))["amountReceived"]["units"] == str(ONE_COIN)
        assert (await shop.look(session))["status"] == "paid"


async def test_an_old_address_is_looked_at_in_the_slow_round_and_after_a_restart_goes_on_there(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    usdc, payer = deploy(node, solc, "Token"), deploy(node, solc, "Payer", wei=ONE_COIN)
    clock = Steps()
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB, tokens=[token(usdc)], monotonic=clock) as shop:
        session = await shop.ask(expires_in_seconds=60)
        await shop.process()
        node.rpc("evm_increaseTime", 86_400)
        node.mine(2)
        await shop.process()
        pay(node, session, 5)
        payer.send("payAll(address[],uint256[])", [session["address"]], [7])
        usdc.send("transfer(address,uint256)", session["address"], 9)
        node.mine(2)
        await shop.process()
        shop.restart()
        await shop.process()
        assert (await shop.look(session))["payments"] == []
        assert await shop.watcher.turn_late()
        assert not await shop.watcher.turn_late(), "there is a minute between two pages"
        node.mine()
        await shop.process()
        found = await shop.look(session)
        assert sorted(each["amount"]["units"] for each in found["payments"]) == ["5", "7"]
        clock.now += 3600
        await shop.watcher.turn_late()
        assert await shop.look(session) == {**found, "confirmations": (await shop.look(session))["confirmations"]}


class Steps:
    """A monotonic clock that stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_false_credit_at_an_old_address_hides_no_later_payment(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer, clock = deploy(node, solc, "Payer", wei=ONE_COIN), Steps()
    is_lying, address = False, ""

    def more(transaction: dict[str, str], block: object) -> object:
        answer: str = node.rpc("eth_call", transaction, block)
        is_ours = is_lying and transaction.get("data", "").endswith(address)
        return f"0x{int(answer, 16) + ONE_COIN:0{len(answer) - 2}x}" if is_ours else answer

    front = forwarding(node.url, {"eth_call": more})
    async with (
        running(front) as liar,
        open_shop(tmp_path, [liar.url], xpub=FRESH_XPUB, monotonic=clock) as shop,
    ):
        session = await shop.ask(expires_in_seconds=60)
        address = session["address"][2:].lower()
        await shop.process()
        node.rpc("evm_increaseTime", 86_400)
        node.mine(2)
        await shop.process()
        is_lying = True
        assert await shop.watcher.turn_late()
        is_lying = False
        node.mine()
        await shop.process()
        payer.send("payAll(address[],uint256[])", [session["address"]], [7])
        node.mine(2)
        await shop.process()
        for _ in range(3):
            clock.now += 3600
            with suppress(ProviderFailed):  # a reading that can't be true is refused once
                await shop.watcher.turn_late()
        node.mine()
        await shop.process()
        assert [each["amount"]["units"] for each in (await shop.look(session))["payments"]] == ["7"]
