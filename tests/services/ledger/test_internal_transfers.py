"""Money from real contracts, through a real node: found to the last wei, once, and in its own block."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.public.types import SessionResource
from tests.support.anvil import Anvil
from tests.support.nodes import Error, forwarding, running
from tests.support.shop import CONFIRMATIONS, FRESH_XPUB, ONE_COIN, Shop, open_shop, pay
from tests.support.solidity import Compiler, deploy

Nodes = Callable[..., Anvil]
FINGERPRINT_CODE_CHARACTERS = 104


def received(session: SessionResource) -> int:
    return int(session["amountReceived"]["units"])


async def process_with_a_later_block(node: Anvil, shop: Shop) -> None:
    """Process all blocks and one more, in which the balances behind unnamed credits are read again."""
    await shop.process()
    node.mine()
    await shop.process()


def kinds(session: SessionResource) -> list[str]:
    return [payment["kind"] for payment in session["payments"]]


async def test_what_an_exchange_pays_out_in_a_batch_is_paid_with_its_transaction_named(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=10 * ONE_COIN)
    async with open_shop(tmp_path, [node.url]) as shop:
        first, second = await shop.ask(), await shop.ask()
        tx_hash = payer.send(
            "payAll(address[],uint256[])", [first["address"], second["address"]], [ONE_COIN, ONE_COIN // 2]
        )
        node.mine(CONFIRMATIONS)
        await shop.process()
        one, other = await shop.look(first), await shop.look(second)
        assert (one["status"], received(one)) == ("paid", ONE_COIN)
        assert (other["status"], received(other)) == ("underpaid", ONE_COIN // 2)
        (payment,) = one["payments"]
        assert (payment["txHash"], payment["kind"], payment["logIndex"]) == (tx_hash, "internal", None)
        assert str(payment["from"]).lower() == payer.address
        assert await shop.events(first) == ["session.paid"]


async def test_a_plain_and_an_internal_payment_in_one_block_are_two(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask()
        pay(node, session, ONE_COIN // 4)
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN // 4])
        payer.send("split(address[])", [session["address"], session["address"]], wei=ONE_COIN // 2)
        node.mine(CONFIRMATIONS)
        await shop.process()
        paid = await shop.look(session)
        assert (paid["status"], received(paid)) == ("paid", ONE_COIN)
        assert sorted(kinds(paid)) == ["internal", "internal", "native"]


async def test_a_contract_that_ends_pays_whom_it_names(anvil: Nodes, solc: Compiler, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask()
        tx_hash = payer.send("end(address)", session["address"])
        node.mine(CONFIRMATIONS)
        await shop.process()
        paid = await shop.look(session)
        assert (paid["status"], received(paid), paid["txHash"]) == ("paid", ONE_COIN, tx_hash)


async def test_what_a_contract_takes_back_is_no_payment(anvil: Nodes, solc: Compiler, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask()
        payer.send("payAndRevert(address,uint256)", session["address"], ONE_COIN)
        payer.send("payAndTakeBack(address,uint256)", session["address"], ONE_COIN)
        node.mine(CONFIRMATIONS)
        await shop.process()
        assert (await shop.look(session))["payments"] == []
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        payer.send("payAndTakeBack(address,uint256)", session["address"], ONE_COIN)
        node.mine(CONFIRMATIONS)
        await shop.process()
        assert received(await shop.look(session)) == ONE_COIN


async def test_a_blocks_tips_for_a_sessions_address_are_a_payment_without_a_transaction(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask()
        before = node.balance(session["address"])
        node.rpc("anvil_setCoinbase", session["address"])
        pay(node, session, ONE_COIN // 2)
        node.mine()
        node.rpc("anvil_setCoinbase", "0x" + "00" * 20)
        node.mine(CONFIRMATIONS)
        await process_with_a_later_block(node, shop)
        seen = await shop.look(session)
        assert received(seen) == node.balance(session["address"]) - before > ONE_COIN // 2
        assert sorted((payment["kind"], payment["txHash"] is None) for payment in seen["payments"]) == [
            ("internal", True),
            ("native", False),
        ]


@asynccontextmanager
async def without(node: Anvil, *methods: str) -> AsyncIterator[str]:
    """Stand before a node that lacks some methods."""
    lacking = {method: Error("the method is not available", -32601) for method in methods}
    async with running(forwarding(node.url, lacking)) as front:
        yield front.url


async def test_on_a_node_without_traces_the_money_counts_and_its_transaction_stays_unnamed(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    async with without(node, "debug_traceBlockByHash") as url, open_shop(tmp_path, [url]) as shop:
        session = await shop.ask()
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        node.mine(CONFIRMATIONS)
        await process_with_a_later_block(node, shop)
        paid = await shop.look(session)
        assert (paid["status"], received(paid)) == ("paid", ONE_COIN)
        (payment,) = paid["payments"]
        assert (payment["txHash"], payment["from"], payment["kind"]) == (None, None, "internal")
        assert shop.chain._rpc.providers[0].failures == 0, "most nodes trace nothing: that is no fault"


async def test_a_block_range_gives_each_payment_its_own_block(anvil: Nodes, solc: Compiler, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    async with open_shop(tmp_path, [node.url]) as shop:
        sessions = [await shop.ask() for _ in range(3)]
        before = [node.balance(session["address"]) for session in sessions]
        start = await shop.processed()
        for place, session in enumerate(sessions):
            node.mine(place + 1)
            payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN // 8])
            node.mine(2)
            payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN // 8])
            pay(node, session, ONE_COIN // 8)
        node.mine(30)
        await shop.process()
        expected = {0: [2, 4], 1: [6, 8], 2: [11, 13]}
        for place, session in enumerate(sessions):
            seen = await shop.look(session)
            internal = [p for p in seen["payments"] if p["kind"] == "internal"]
            assert [p["blockNumber"] - start for p in internal] == expected[place]
            for payment in internal:
                block = node.rpc("eth_getBlockByNumber", hex(payment["blockNumber"]), False)
                assert (payment["blockHash"], payment["txHash"] in block["transactions"]) == (block["hash"], True)
            assert received(seen) == node.balance(session["address"]) - before[place]


@pytest.mark.parametrize("traces", [True, False])
async def test_an_internal_payment_of_an_orphaned_block_is_taken_back_and_found_again(
    anvil: Nodes, solc: Compiler, tmp_path: Path, traces: bool
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=3 * ONE_COIN)
    async with (
        without(node, *([] if traces else ["debug_traceBlockByHash"])) as url,
        open_shop(tmp_path, [url]) as shop,
    ):
        session = await shop.ask()
        node.mine(2)
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        node.mine(CONFIRMATIONS)
        await process_with_a_later_block(node, shop)
        assert (await shop.look(session))["status"] == "paid"
        node.rpc("anvil_reorg", CONFIRMATIONS + 1, [])
        await shop.process()
        failed = await shop.look(session)
        assert (failed["status"], failed["statusReason"], failed["payments"]) == ("failed", "payment_reorged", [])
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        node.mine(CONFIRMATIONS)
        await process_with_a_later_block(node, shop)
        again = await shop.look(session)
        assert (again["status"], received(again), kinds(again)) == ("paid", ONE_COIN, ["internal"])
        assert await shop.events(session) == ["session.paid", "session.reorged", "session.failed", "session.paid"]


async def test_what_was_there_before_the_session_is_no_payment(anvil: Nodes, solc: Compiler, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=3 * ONE_COIN)
    async with open_shop(tmp_path, [node.url]) as shop:
        wallet = shop.sessions._payment_methods.of(livemode=True).wallet
        node.rpc("anvil_setBalance", wallet.address(0), hex(5 * ONE_COIN))
        node.mine()
        await shop.process()
        session = await shop.ask()
        assert session["address"].lower() == wallet.address(0)
        node.mine(2)
        await shop.process()
        assert (await shop.look(session))["payments"] == []
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        node.mine(CONFIRMATIONS)
        await shop.process()
        assert received(await shop.look(session)) == ONE_COIN


async def test_what_the_merchant_sends_away_hides_nothing_and_makes_nothing(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=9 * ONE_COIN)
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask("9000.00")
        pay(node, session, ONE_COIN)
        node.mine()
        await shop.process()
        node.rpc("anvil_impersonateAccount", session["address"])
        node.send(session["address"], node.accounts[8], ONE_COIN // 2)
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        node.mine()
        await shop.process()
        assert received(await shop.look(session)) == 2 * ONE_COIN, "in the block of the sweep"
        node.send(session["address"], node.accounts[8], ONE_COIN // 2)
        node.mine(2)
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        node.mine(CONFIRMATIONS)
        await shop.process()
        seen = await shop.look(session)
        assert (seen["status"], received(seen)) == ("paid", 3 * ONE_COIN)


async def test_a_node_that_does_not_know_blocks_by_hash_is_asked_by_number(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)

    def call(transaction: dict[str, str], block: object) -> object:
        return Error("invalid argument 1") if isinstance(block, dict) else node.rpc("eth_call", transaction, block)

    async with running(forwarding(node.url, {"eth_call": call})) as front, open_shop(tmp_path, [front.url]) as shop:
        session = await shop.ask()
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        node.mine(CONFIRMATIONS)
        await shop.process()
        assert (await shop.look(session))["status"] == "paid"
        assert shop.chain._rpc.providers[0].failures == 0


async def test_where_no_node_knows_old_balances_money_is_found_once_one_does(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=2 * ONE_COIN)
    state_from = 0

    def call(transaction: dict[str, str], block: dict[str, str] | str) -> object:
        shown = node.rpc("eth_getBlockByHash", block["blockHash"], False) if isinstance(block, dict) else None
        number = int(shown["number"] if shown else str(block), 16)
        if number < state_from:
            return Error("missing trie node")
        return node.rpc("eth_call", transaction, hex(number))

    async with (
        running(forwarding(node.url, {"eth_call": call})) as front,
        open_shop(tmp_path, [front.url], xpub=FRESH_XPUB) as shop,
    ):
        session = await shop.ask("6000.00")
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        pay(node, session, ONE_COIN // 2)
        node.mine(40)
        state_from = node.block_number() - 2
        await shop.process()
        node.mine(CONFIRMATIONS)
        await shop.process()
        seen = await shop.look(session)
        assert (seen["status"], received(seen)) == ("underpaid", ONE_COIN * 3 // 2)
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN // 2])
        node.mine(CONFIRMATIONS)
        await shop.process()
        assert (await shop.look(session))["status"] == "paid"
        assert shop.chain._rpc.providers[0].failures == 0


async def test_a_balance_that_falls_on_a_doubtful_answer_makes_no_payment_when_it_is_back(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    lies = False

    def call(transaction: dict[str, str], block: object) -> object:
        answer = node.rpc("eth_call", transaction, block)
        return "0x" + "00" * (len(answer) // 2 - 1) if lies else answer

    async with running(forwarding(node.url, {"eth_call": call})) as front, open_shop(tmp_path, [front.url]) as shop:
        session = await shop.ask()
        pay(node, session)
        node.mine()
        await shop.process()
        lies = True
        for _ in range(2):
            node.mine()
            await shop.process()
        lies = False
        node.mine(CONFIRMATIONS)
        await shop.process()
        paid = await shop.look(session)
        assert (paid["status"], received(paid), kinds(paid)) == ("paid", ONE_COIN, ["native"])


async def test_a_first_reading_that_was_too_high_hides_no_payment_but_itself(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    lies = True

    def call(transaction: dict[str, str], block: object) -> object:
        answer: str = node.rpc("eth_call", transaction, block)
        return f"0x{int(answer, 16) + 1:0{len(answer) - 2}x}" if lies else answer

    async with (
        running(forwarding(node.url, {"eth_call": call})) as front,
        open_shop(tmp_path, [front.url], xpub=FRESH_XPUB) as shop,
    ):
        session = await shop.ask()
        node.mine()
        await shop.process()
        lies = False
        node.mine()
        await shop.process()
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        node.mine(CONFIRMATIONS)
        with pytest.raises(ProviderFailed, match="contradict each other"):
            await shop.process()
        await process_with_a_later_block(node, shop)
        paid = await shop.look(session)
        assert (paid["status"], received(paid)) == ("paid", ONE_COIN - 1)


async def test_every_payment_survives_a_stop_between_any_two_blocks(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=9 * ONE_COIN)
    async with open_shop(tmp_path, [node.url]) as shop:
        session = await shop.ask("9000.00")
    for _ in range(3):
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        node.mine(2)
        async with open_shop(tmp_path, [node.url]) as shop:
            pass
    node.mine(CONFIRMATIONS)
    async with open_shop(tmp_path, [node.url]) as shop:
        paid = await shop.look(session)
        assert (paid["status"], received(paid), kinds(paid)) == ("paid", 3 * ONE_COIN, ["internal"] * 3)


async def test_only_sessions_whose_time_is_not_long_over_are_compared(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    asked: list[int] = []

    def call(transaction: dict[str, str], block: object) -> object:
        asked.append((len(transaction["data"]) - FINGERPRINT_CODE_CHARACTERS) // 40)
        return node.rpc("eth_call", transaction, block)

    async with (
        running(forwarding(node.url, {"eth_call": call})) as front,
        open_shop(tmp_path, [front.url], xpub=FRESH_XPUB) as shop,
    ):
        sessions = [await shop.ask(expires_in_seconds=60) for _ in range(3)]
        await shop.ask(expires_in_seconds=86_400)
        node.mine()
        await shop.process()
        asked.clear()
        node.mine()
        await shop.process()
        assert asked == [4]
        node.rpc("evm_increaseTime", 60 + 3600 + 3000)
        payer.send("payAll(address[],uint256[])", [sessions[0]["address"]], [ONE_COIN // 2])
        node.mine()
        await shop.process()
        assert await shop.events(sessions[0]) == ["session.late_payment", "session.expired"]
        node.rpc("evm_increaseTime", 1000)
        node.mine()
        await shop.process()
        asked.clear()
        node.mine()
        await shop.process()
        assert asked == [1]


async def test_after_a_reorg_a_reading_that_is_too_low_pays_nobody_twice(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    lies = False

    def call(transaction: dict[str, str], block: object) -> object:
        answer = node.rpc("eth_call", transaction, block)
        return "0x" + "00" * (len(answer) // 2 - 1) if lies else answer

    async with (
        running(forwarding(node.url, {"eth_call": call})) as front,
        open_shop(tmp_path, [front.url], xpub=FRESH_XPUB) as shop,
    ):
        session = await shop.ask()
        for _ in range(2):
            pay(node, session, ONE_COIN // 2)
            node.mine()
            await shop.process()
        node.mine()
        await shop.process()
        node.rpc("anvil_reorg", 2, [])
        node.mine()
        await shop.watcher.turn()  # it goes back, and forgets what was held above
        lies = True
        await shop.process()
        lies = False
        node.mine(CONFIRMATIONS)
        await shop.process()
        underpaid = await shop.look(session)
        assert (underpaid["status"], received(underpaid), kinds(underpaid)) == ("underpaid", ONE_COIN // 2, ["native"])
