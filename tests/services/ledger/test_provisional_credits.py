"""A rise of a balance that no transaction explains is believed only once it has been read again, with a later block."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.public.types import SessionResource
from tests.support.anvil import Anvil
from tests.support.nodes import Error, forwarding, one_block_ahead, running
from tests.support.shop import CONFIRMATIONS, FRESH_XPUB, ONE_COIN, open_shop, pay
from tests.support.solidity import Compiler, deploy

Nodes = Callable[..., Anvil]


async def test_a_node_whose_state_is_a_block_ahead_credits_no_payment_twice(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with running(one_block_ahead(node.url)) as ahead, open_shop(tmp_path, [ahead.url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask()
        node.mine(2)
        await shop.process()
        pay(node, session, ONE_COIN // 2)
        for _ in range(CONFIRMATIONS + 2):
            node.mine()
            await shop.process()
        seen = await shop.look(session)
        assert (seen["status"], seen["amountReceived"]["units"]) == ("underpaid", str(ONE_COIN // 2))
        assert [each["kind"] for each in seen["payments"] if each["counted"]] == ["native"]
        assert await shop.events(session) == ["session.underpaid"]


async def test_what_a_contract_sent_is_seen_at_once_and_counts_with_the_next_block(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    untraced = forwarding(node.url, {"debug_traceBlockByHash": Error("the method is not available", -32601)})
    async with running(untraced) as front, open_shop(tmp_path, [front.url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask(expires_in_seconds=60)
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        node.mine()
        await shop.process()
        seen = await shop.look(session)
        assert [(each["amount"]["units"], each["counted"]) for each in seen["payments"]] == [(str(ONE_COIN), False)]
        assert (seen["status"], seen["amountReceived"]["units"]) == ("pending", "0")
        shop.restart()
        node.rpc("evm_increaseTime", 120)
        node.mine(CONFIRMATIONS)
        await shop.process()
        paid = await shop.look(session)
        assert (paid["status"], paid["amountReceived"]["units"]) == ("paid", str(ONE_COIN))
        assert await shop.events(session) == ["session.paid"], "it was never expired: its money was seen"


async def test_a_credit_of_before_that_the_chain_contradicts_is_taken_back(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with running(one_block_ahead(node.url)) as ahead, open_shop(tmp_path, [ahead.url], xpub=FRESH_XPUB) as shop:
        shop.chain.stop_reading_ranges("the transaction is to be found in its block")
        session = await shop.ask()
        node.mine(2)
        await shop.process()
        pay(node, session, ONE_COIN // 2)
        node.mine()
        await shop.process()
        # Earlier versions counted it at once.
        await shop.db.write(lambda unit: unit.run("UPDATE payments SET provisional_balance = NULL"))
        for _ in range(CONFIRMATIONS + 2):
            node.mine()
            await shop.process()
        seen = await shop.look(session)
        assert (seen["status"], seen["amountReceived"]["units"]) == ("underpaid", str(ONE_COIN // 2))
        assert [each["kind"] for each in seen["payments"]] == ["native"]
        assert "session.reorged" in await shop.events(session)


async def test_where_two_providers_differ_neither_of_them_makes_money(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    session: SessionResource | None = None

    def more(transaction: dict[str, str], block: object) -> object:
        answer: str = node.rpc("eth_call", transaction, block)
        is_ours = session is not None and transaction.get("data", "").endswith(session["address"][2:].lower())
        return f"0x{int(answer, 16) + ONE_COIN:0{len(answer) - 2}x}" if is_ours else answer

    async with (
        running(forwarding(node.url, {"eth_call": more})) as liar,
        open_shop(tmp_path, [liar.url, node.url], xpub=FRESH_XPUB) as shop,
    ):
        asked = await shop.ask()
        node.mine()
        await shop.process()
        session = asked
        for _ in range(CONFIRMATIONS + 1):
            node.mine()
            with suppress(ProviderFailed):  # the first time that it says so of a block that it showed before
                await shop.process()
            await shop.process()
        seen = await shop.look(asked)
        assert (seen["status"], seen["amountReceived"]["units"]) == ("pending", "0")
        assert {each["counted"] for each in seen["payments"]} == {False}


async def test_a_credit_that_was_taken_back_stays_so_when_the_chain_goes_back_to_its_block(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    is_ahead = True
    front = one_block_ahead(node.url, lies=lambda: is_ahead)
    async with running(front) as ahead, open_shop(tmp_path, [ahead.url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask()
        node.mine(2)
        await shop.process()
        pay(node, session, ONE_COIN // 2)
        node.mine()
        await shop.process()
        is_ahead = False
        node.mine()
        await shop.process()
        assert [each["kind"] for each in (await shop.look(session))["payments"]] == ["native"]
        node.rpc("anvil_reorg", 2, [])
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN // 4])
        for _ in range(CONFIRMATIONS + 3):
            node.mine()
            await shop.process()
        seen = await shop.look(session)
        assert (seen["status"], seen["amountReceived"]["units"]) == ("underpaid", str(ONE_COIN // 4))
