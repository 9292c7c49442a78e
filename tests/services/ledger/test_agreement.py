"""Agreement of providers: none of them alone can make money appear, and larger payments wait for longer."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.money import Fiat
from crypto_checkout.services.checkout.payment_methods import AcceptedChain, Tier
from tests.support.anvil import Anvil
from tests.support.nodes import Behaviour, Error, answering, forwarding, running
from tests.support.shop import CONFIRMATIONS, ETH, FRESH_XPUB, ONE_COIN, open_shop, pay
from tests.support.solidity import Compiler, deploy

Nodes = Callable[..., Anvil]


@pytest.mark.parametrize(
    ("price", "confirmations"), [("10", 3), ("1000", 3), ("1000.01", 12), ("50000", 12), ("50000.01", 64), ("1e9", 64)]
)
def test_the_highest_tier_below_a_price_says_how_deep_its_payment_must_be(price: str, confirmations: int) -> None:
    tiers = (Tier(Decimal(50_000), 64), Tier(Decimal(1000), 12), Tier(Decimal(5), 2))
    chain = AcceptedChain(1, "Ethereum", "", 3, (ETH,), tiers)
    assert chain.confirmations_for(Fiat(Decimal(price), "USD")) == confirmations


def inventing(node: Anvil, to: str) -> Behaviour:
    """Stand before a node and show every payment as one of a thousand coins, and a balance of as much."""

    def block(number: str, full: bool) -> Any:
        shown = node.rpc("eth_getBlockByNumber", number, full)
        for transaction in shown["transactions"] if shown and full else []:
            transaction.update({"value": hex(1000 * ONE_COIN), "to": to})
        return shown

    return forwarding(node.url, {"eth_getBlockByNumber": block})


async def test_a_payment_that_one_provider_invents_waits_for_the_word_of_a_second(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with (
        running(forwarding(node.url, {})) as front,
        open_shop(tmp_path, [front.url, node.url], xpub=FRESH_XPUB, confirm_with=2, agree_above_fiat=100) as shop,
    ):
        shop.chain.stop_reading_ranges("the lie is in the blocks")
        small, large = await shop.ask("50.00"), await shop.ask()
        front.behave = inventing(node, large["address"])
        node.send(node.accounts[9], node.accounts[8], 1)
        node.mine(CONFIRMATIONS)
        before = await shop.processed()
        with pytest.raises(ProviderFailed, match="a payment was invented"):
            await shop.process()
        assert await shop.processed() == before
        front.behave = forwarding(node.url, {})
        await shop.process()
        assert (await shop.look(large))["payments"] == []
        pay(node, large)
        pay(node, small)
        node.mine(CONFIRMATIONS)
        await shop.process()
        assert (await shop.look(large))["status"] == "paid"
        assert [len((await shop.look(each))["payments"]) for each in (small, large)] == [1, 1]


async def test_a_small_price_takes_one_providers_word_and_a_large_one_waits_for_the_second(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with running(answering({})) as dead:
        urls = [node.url, dead.url]
        async with open_shop(tmp_path, urls, xpub=FRESH_XPUB, confirm_with=2, agree_above_fiat=100) as shop:
            small, large = await shop.ask("90.00"), await shop.ask("110.00")
            pay(node, small, ONE_COIN * 3 // 100)
            node.mine(CONFIRMATIONS)
            await shop.process()
            assert (await shop.look(small))["status"] == "paid"
            pay(node, large, ONE_COIN)
            node.mine()
            with pytest.raises(ProviderFailed, match="confirm_with = 2"):
                await shop.process()
            dead.behave = forwarding(node.url, {})
            node.mine(CONFIRMATIONS)
            await shop.process()
            assert len((await shop.look(large))["payments"]) == 1


async def test_a_balance_that_one_provider_invents_is_no_internal_transfer(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    lies = False

    def call(transaction: dict[str, str], block: dict[str, str]) -> Any:
        answer = node.rpc("eth_call", transaction, block)
        shown = node.rpc("eth_getBlockByHash", block["blockHash"], False)
        is_inflated = lies and int(shown["number"], 16) > start
        return f"0x{int(answer, 16) + ONE_COIN:0{len(answer) - 2}x}" if is_inflated else answer

    async with (
        running(forwarding(node.url, {"eth_call": call})) as front,
        open_shop(tmp_path, [front.url, node.url], xpub=FRESH_XPUB, confirm_with=2) as shop,
    ):
        session = await shop.ask()
        node.mine()
        await shop.process()
        start, lies = await shop.processed(), True
        node.mine()
        with pytest.raises(ProviderFailed, match="1 of 2 providers agree on the balance"):
            await shop.process()
        lies = False
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        node.mine(CONFIRMATIONS)
        await shop.process()
        paid = await shop.look(session)
        assert (paid["status"], paid["amountReceived"]["units"]) == ("paid", str(ONE_COIN))


async def test_a_first_reading_that_only_one_provider_gives_is_not_believed_when_it_is_news(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    """As much as it is too high, later payments would be hidden."""
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    lies = True

    def call(transaction: dict[str, str], block: dict[str, str]) -> Any:
        answer = node.rpc("eth_call", transaction, block)
        return f"0x{int(answer, 16) + ONE_COIN:0{len(answer) - 2}x}" if lies else answer

    async with (
        running(forwarding(node.url, {"eth_call": call})) as front,
        running(forwarding(node.url, {})) as other,
        open_shop(tmp_path, [front.url, other.url], xpub=FRESH_XPUB, confirm_with=2) as shop,
    ):
        await shop.process()
        session = await shop.ask()
        other.behave = forwarding(node.url, {"eth_call": Error("down")})
        node.mine()
        with pytest.raises(ProviderFailed, match="1 of 2 providers agree on the balance"):
            await shop.process()
        lies = False
        await shop.process()  # what is known already takes nobody else's word
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        other.behave = forwarding(node.url, {})
        node.mine(CONFIRMATIONS)
        await shop.process()
        assert (await shop.look(session))["status"] == "paid"
