"""Tokens whose logs are left out, or say too much: credited by what arrived, once, and taken back with it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crypto_checkout.core.diagnosis.explanation import RecordedPayment
from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.services.ledger.judge import Judge
from crypto_checkout.services.ledger.token_balances import TokenBalances
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.checkout import sessions as session_store
from crypto_checkout.store.ledger import payments, tokens
from tests.services.ledger.test_tokens import ONE, PRICE, token
from tests.support.anvil import Anvil
from tests.support.nodes import Node, forwarding, running
from tests.support.shop import ANVIL_CHAIN_ID, CONFIRMATIONS, FRESH_XPUB, Shop, open_shop
from tests.support.solidity import Compiler, Contract, deploy, move_tokens

Nodes = Callable[..., Anvil]


@dataclass
class Hiding:
    """What a node leaves out of `eth_getLogs`: the transactions whose logs it doesn't show. It adds `invented` ones."""

    hidden: set[str] = field(default_factory=set)
    invented: list[Any] = field(default_factory=list)


@dataclass
class Comparison:
    """A shop with one token, whose token balances are compared when a test says so, a minute after the last time."""

    node: Anvil
    front: Node
    shop: Shop
    token: Contract
    hiding: Hiding
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        judge = Judge(Outbox(), chain_id=ANVIL_CHAIN_ID, public_url="http://x")
        self.loop = TokenBalances(
            self.shop.db, self.shop.chain, self.shop.watcher, judge,
            chain_id=ANVIL_CHAIN_ID, livemode=True, clock=lambda: self.seconds,
        )  # fmt: skip

    async def follow(self, blocks: int = 1) -> None:
        """Make blocks, and take a turn of both loops after each."""
        for _ in range(blocks):
            self.node.mine()
            await self.shop.process()
            self.seconds += 61
            await self.loop.turn()

    def send(self, session: SessionResource, units: int, *, hide: bool = False) -> str:
        tx_hash = self.token.send("transfer(address,uint256)", session["address"], units)
        if hide:
            self.hiding.hidden.add(tx_hash)
        return tx_hash

    async def look(self, session: SessionResource) -> tuple[str, int]:
        seen = await self.shop.look(session)
        return seen["status"], int(seen["amountReceived"]["units"])

    async def counted(self, session: SessionResource) -> list[tuple[int, bool, bool]]:
        """Return the units of a session's payments in blocks of the chain, and whether they are named and count."""
        seen = await self.shop.look(session)
        return [(int(p["amount"]["units"]), p["txHash"] is not None, p["counted"]) for p in seen["payments"]]


@asynccontextmanager
async def comparison(node: Anvil, folder: Path, contract: Contract) -> AsyncIterator[Comparison]:
    hiding = Hiding()

    def logs(criteria: Any) -> Any:
        shown = [each for each in node.rpc("eth_getLogs", criteria) if each["transactionHash"] not in hiding.hidden]
        return shown + [each for each in hiding.invented if each["blockHash"] == criteria.get("blockHash")]

    def block(number: str, full: bool) -> Any:
        """Show a block without its bloom filter, as chains do that leave logs out."""
        shown = node.rpc("eth_getBlockByNumber", number, full)
        return shown and {**shown, "logsBloom": "0x" + "00" * 256}

    behave = forwarding(node.url, {"eth_getLogs": logs, "eth_getBlockByNumber": block})
    async with (
        running(behave) as front,
        open_shop(folder, [front.url], xpub=FRESH_XPUB, tokens=[token(contract)]) as shop,
    ):
        yield Comparison(node, front, shop, contract, hiding)


async def test_a_way_out_that_a_node_invents_makes_no_payment_of_what_is_still_there(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with comparison(node, tmp_path, deploy(node, solc, "Token")) as made:
        session = await made.shop.ask("250.00", asset="USDC")
        paid = made.send(session, 125 * ONE)
        await made.follow(CONFIRMATIONS)
        made.shop.chain.stop_reading_ranges("it wants whole blocks")
        sent = node.send(node.accounts[1], node.accounts[2], 1)
        node.mine()
        (true,) = node.rpc("eth_getTransactionReceipt", paid)["logs"]
        block = node.rpc("eth_getBlockByNumber", "latest", False)
        signature, sender, receiver = true["topics"]
        made.hiding.invented = [
            {
                **true,
                "topics": [signature, receiver, sender],
                "transactionHash": sent,
                "blockHash": block["hash"],
                "blockNumber": block["number"],
                "logIndex": "0x0",
            }
        ]
        with suppress(ProviderFailed):
            await made.shop.process()
        made.hiding.invented = []
        await made.follow(CONFIRMATIONS + 2)
        assert await made.counted(session) == [(125 * ONE, True, True)]
        assert await made.look(session) == ("underpaid", 125 * ONE)


async def test_a_tokens_payment_without_a_log_is_found_by_the_balance(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with comparison(node, tmp_path, deploy(node, solc, "Token")) as made:
        session = await made.shop.ask(PRICE, asset="USDC")
        await made.follow(2)
        made.send(session, 100 * ONE, hide=True)
        await made.follow()
        arrived = node.block_number()
        assert await made.counted(session) == [], "seen once"
        await made.follow()
        assert await made.counted(session) == [(100 * ONE, False, False)], "seen twice"
        assert (await made.look(session))[0] == "pending"
        await made.follow(CONFIRMATIONS)
        assert await made.look(session) == ("paid", 100 * ONE)
        (payment,) = (await made.shop.look(session))["payments"]
        assert (payment["kind"], payment["blockNumber"]) == ("token", arrived)
        await made.follow(3)
        assert await made.counted(session) == [(100 * ONE, False, True)], "once"


async def test_a_log_that_is_found_after_all_takes_the_place_of_the_credit(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with comparison(node, tmp_path, deploy(node, solc, "Token")) as made:
        session = await made.shop.ask("250.00", asset="USDC")
        await made.follow(2)
        found = made.send(session, 60 * ONE, hide=True)
        made.send(session, 40 * ONE, hide=True)
        await made.follow(4)
        assert await made.counted(session) == [(100 * ONE, False, True)]
        made.send(session, 100 * ONE)
        await made.follow(2)
        assert await made.counted(session) == [(100 * ONE, False, True), (100 * ONE, True, True)], "another payment"
        late = await made.shop.chain.transaction(found)
        stored = await made.shop.db.read(lambda unit: session_store.get(unit, session["id"]))
        assert late is not None
        assert stored is not None
        assert await made.shop.db.write(lambda unit: payments.record(unit, stored, late.transfers[0]))
        assert sorted(await made.counted(session)) == [
            (40 * ONE, False, True), (60 * ONE, True, True), (100 * ONE, True, True),
        ]  # fmt: skip
        await made.follow(3)
        assert await made.look(session) == ("underpaid", 200 * ONE)


async def test_a_credit_goes_with_its_block_and_comes_again(anvil: Nodes, solc: Compiler, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with comparison(node, tmp_path, deploy(node, solc, "Token")) as made:
        session = await made.shop.ask(PRICE, asset="USDC")
        await made.follow(2)
        made.send(session, 100 * ONE, hide=True)
        await made.follow(2)
        node.rpc("anvil_reorg", 2, [])
        node.rpc("evm_increaseTime", 60)  # later than the session, however fast the machine is
        await made.follow(5)
        assert await made.look(session) == ("pending", 0)
        made.send(session, 100 * ONE, hide=True)
        made.restart()
        await made.follow(CONFIRMATIONS + 2)
        assert await made.look(session) == ("paid", 100 * ONE)


async def test_tokens_from_before_the_session_are_no_payment(anvil: Nodes, solc: Compiler, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with comparison(node, tmp_path, deploy(node, solc, "Token")) as made:
        wallet = made.shop.sessions._payment_methods.of(livemode=True).wallet
        made.token.send("transfer(address,uint256)", wallet.address(0), 7 * ONE)
        node.mine(600)  # so many that the logs of that block aren't read again
        await made.follow()
        session = await made.shop.ask(PRICE, asset="USDC")
        await made.follow(4)
        assert await made.counted(session) == []
        made.send(session, 100 * ONE, hide=True)
        await made.follow(CONFIRMATIONS + 2)
        assert await made.look(session) == ("paid", 100 * ONE)


async def test_of_a_token_that_logs_more_than_arrives_what_arrives_counts(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with comparison(node, tmp_path, deploy(node, solc, "GrossToken")) as made:
        session, whole = await made.shop.ask(PRICE, asset="USDC"), await made.shop.ask("98.00", asset="USDC")
        await made.follow(2)
        made.send(session, 100 * ONE)
        made.send(whole, 100 * ONE)
        await made.follow()
        assert await made.look(session) == ("detected", 100 * ONE)
        await made.follow()
        assert await made.look(session) == ("pending", 98 * ONE)
        await made.follow(CONFIRMATIONS)
        assert await made.look(session) == ("underpaid", 98 * ONE)
        assert await made.look(whole) == ("paid", 98 * ONE)
        (recorded,) = await recorded_of(made.shop, session)
        assert (recorded.payment.transfer.units, recorded.logged_units) == (98 * ONE, 100 * ONE)
        made.restart()
        await made.follow(3)
        assert await made.look(session) == ("underpaid", 98 * ONE), "corrected once"


async def test_a_sweep_is_no_fee_and_hides_no_later_payment(anvil: Nodes, solc: Compiler, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with comparison(node, tmp_path, deploy(node, solc, "Token")) as made:
        session = await made.shop.ask("150.00", asset="USDC")
        await made.follow(2)
        made.send(session, 100 * ONE)
        await made.follow(CONFIRMATIONS)
        move_tokens(made.token, session["address"], node.accounts[8], 70 * ONE)
        await made.follow(3)
        assert await made.look(session) == ("underpaid", 100 * ONE)
        made.send(session, 50 * ONE, hide=True)
        await made.follow(CONFIRMATIONS + 2)
        assert await made.look(session) == ("paid", 150 * ONE)


async def test_a_session_is_compared_about_once_a_minute_and_at_once_after_a_payment(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with comparison(node, tmp_path, deploy(node, solc, "Token")) as made:

        async def calls_of_a_turn(seconds: float) -> int:
            node.mine()
            await made.shop.process()
            made.seconds += seconds
            made.front.forget()
            await made.loop.turn()
            return made.front.methods.count("eth_call")

        assert await calls_of_a_turn(5) == 0, "nothing is open"
        sessions = [await made.shop.ask(PRICE, asset="USDC") for _ in range(30)]
        assert [await calls_of_a_turn(5) for _ in range(12)] == [1, *[0] * 11], "one call for all"
        assert await calls_of_a_turn(5) == 1
        made.send(sessions[0], 100 * ONE)
        assert [await calls_of_a_turn(5) for _ in range(2)] == [1, 0]


async def recorded_of(shop: Shop, session: SessionResource) -> list[RecordedPayment]:
    stored = await shop.db.read(lambda unit: session_store.get(unit, session["id"]))
    assert stored is not None
    return await shop.db.read(lambda unit: tokens.with_logged(unit, stored.id, payments.recorded(unit, stored)))
