"""Refunds paid on a real chain: recognized by their hash or by the owner's address, and never by anything else."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.errors import InvalidBody, ProviderFailed, RecoverableError, RefundNotOpen
from crypto_checkout.core.public.refund_types import RefundResource
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.core.refunds.refund import DestinationProof
from crypto_checkout.services.refunds.recognition import RefundPayments
from crypto_checkout.services.refunds.refunds import RefundRequest, Refunds
from crypto_checkout.store.database import WriteUnit
from crypto_checkout.store.ledger import tokens
from tests.support.anvil import Anvil
from tests.support.nodes import Error, forwarding, http, running
from tests.support.shop import ANVIL_CHAIN_ID, CONFIRMATIONS, FRESH_XPUB, ONE_COIN, Shop, open_shop, pay
from tests.support.solidity import Compiler, Contract, deploy

Nodes = Callable[..., Anvil]
HALF = ONE_COIN // 2
ONE = 10**6
PAYER = "0x00000000000000000000000000000000000decaf"
OTHER = "0x00000000000000000000000000000000000c0ffe"


class Refunding:
    """A shop on a node, whose owner pays refunds from the node's account 5."""

    def __init__(self, node: Anvil, shop: Shop) -> None:
        self.node, self.shop = node, shop
        self.owner = node.accounts[5]
        self.refunds = Refunds(shop.db, shop.refund_records, shop.payment_methods, {ANVIL_CHAIN_ID: shop.chain})
        self.restart()

    def restart(self) -> None:
        self.payments = RefundPayments(
            self.shop.db,
            self.shop.chain,
            self.shop.refund_records,
            chain_id=ANVIL_CHAIN_ID,
            owners=[Address(self.owner.lower())],
        )

    async def follow(self, blocks: int = CONFIRMATIONS) -> None:
        self.node.mine(blocks)
        await self.shop.process()
        for _ in range(2):  # seen, and then paid
            await self.payments.turn()

    async def paid_session(self) -> SessionResource:
        session = await self.shop.ask()
        pay(self.node, session)
        await self.follow()
        return session

    async def approved(
        self, session: SessionResource, amount: str = "0.5", to: str = PAYER, asset: str | None = None
    ) -> str:
        new = RefundRequest(session["id"], amount, asset=asset)
        made = await self.shop.db.write(self.refunds.create(True, new))
        await self.shop.db.write(self.refunds.approve(True, made["id"], to, DestinationProof.NONE))
        return made["id"]

    async def name(self, refund_id: str, tx_hash: str) -> None:
        await self.shop.db.write(await self.refunds.paid(True, refund_id, tx_hash))

    async def look(self, refund_id: str) -> RefundResource:
        return await self.refunds.get(True, refund_id)

    async def status(self, refund_id: str) -> str:
        return (await self.look(refund_id))["status"]


@asynccontextmanager
async def refunding(node: Anvil, folder: Path, *tokens: Asset, url: str = "") -> AsyncIterator[Refunding]:
    async with open_shop(folder, [url or node.url], xpub=FRESH_XPUB, tokens=tokens) as shop:
        yield Refunding(node, shop)


def token(contract: Contract) -> Asset:
    return Asset(ANVIL_CHAIN_ID, "USDC", 6, Address(contract.address), usd_pegged=True)


async def test_a_named_transaction_pays_a_refund_once_it_is_deep(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with refunding(node, tmp_path) as it:
        session = await it.paid_session()
        refund_id = await it.approved(session)
        tx_hash = node.send(node.accounts[7], PAYER, HALF)
        await it.name(refund_id, tx_hash)
        assert await it.status(refund_id) == "to_pay"
        await it.follow(1)
        assert await it.status(refund_id) == "seen"
        await it.follow()
        refund = await it.look(refund_id)
        assert (refund["status"], refund["txHash"], refund["logIndex"]) == ("paid", tx_hash, None)
        looked = await it.shop.look(session)
        assert (looked["amountRefunded"]["value"], looked["refundable"]["value"]) == ("0.5", "0.5")
        assert looked["status"] == "paid"
        assert (await it.shop.events(session))[-1] == "session.refunded"


async def test_a_hash_pays_one_refund_and_never_one_that_it_doesnt_fit(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with refunding(node, tmp_path) as it:
        session = await it.paid_session()
        first, second = await it.approved(session, "0.3"), await it.approved(session, "0.3")
        other = await it.approved(session, "0.4", OTHER)
        tx_hash = node.send(node.accounts[7], PAYER, ONE_COIN * 3 // 10)
        for refund_id in (first, second, other):
            await it.name(refund_id, tx_hash)  # not in a block yet: nobody knows what it does
        await it.follow(CONFIRMATIONS + 1)
        assert sorted([await it.status(first), await it.status(second)]) == ["paid", "to_pay"]
        assert await it.status(other) == "to_pay"
        unpaid = first if await it.status(first) == "to_pay" else second
        with pytest.raises(InvalidBody, match="pays another refund already"):
            await it.name(unpaid, tx_hash)
        little = node.send(node.accounts[7], PAYER, ONE_COIN * 3 // 10 - 1)
        await it.follow()
        with pytest.raises(InvalidBody, match=r"sends 0\.29"):
            await it.name(unpaid, little)
        with pytest.raises(InvalidBody, match="sends no ETH to"):
            await it.name(other, little)
        more = node.send(node.accounts[7], PAYER, ONE_COIN)
        await it.follow()
        await it.name(unpaid, more)
        await it.follow()
        assert await it.status(unpaid) == "paid"


async def test_without_a_hash_only_the_owners_exact_amount_after_the_approval_counts(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with refunding(node, tmp_path) as it:
        session = await it.paid_session()
        node.send(it.owner, PAYER, HALF)
        await it.follow()
        refund_id = await it.approved(session)
        node.send(node.accounts[7], PAYER, HALF)  # a stranger
        node.send(it.owner, PAYER, HALF + 1)
        node.send(it.owner, OTHER, HALF)
        await it.follow(CONFIRMATIONS + 1)
        assert await it.status(refund_id) == "to_pay"
        tx_hash = node.send(it.owner, PAYER, HALF)
        it.restart()
        await it.follow(CONFIRMATIONS + 1)
        refund = await it.look(refund_id)
        assert (refund["status"], refund["txHash"]) == ("paid", tx_hash)


async def test_what_may_pay_two_refunds_or_was_sent_twice_pays_none_by_itself(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with refunding(node, tmp_path) as it:
        session = await it.paid_session()
        first, second = await it.approved(session, "0.1"), await it.approved(session, "0.1")
        third = await it.approved(session, "0.2")
        tenth = ONE_COIN // 10
        node.send(it.owner, PAYER, tenth)
        for _ in range(2):
            node.send(it.owner, PAYER, 2 * tenth)
        await it.follow(CONFIRMATIONS + 1)
        assert [await it.status(each) for each in (first, second, third)] == ["to_pay"] * 3


async def test_tokens_are_found_by_their_logs_and_a_batch_pays_several(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    usdc, payer = deploy(node, solc, "Token"), deploy(node, solc, "Payer")
    async with refunding(node, tmp_path, token(usdc)) as it:
        session = await it.shop.ask("100.00", asset="USDC")
        usdc.send("transfer(address,uint256)", session["address"], 100 * ONE)
        usdc.send("transfer(address,uint256)", payer.address, 100 * ONE)
        usdc.send("transfer(address,uint256)", it.owner, 100 * ONE)
        await it.follow(CONFIRMATIONS + 1)
        assert (await it.shop.look(session))["status"] == "paid"
        found = await it.approved(session, "10", OTHER)
        node.rpc("eth_sendTransaction", {"from": it.owner, "to": usdc.address, "data": transfer(OTHER, 10 * ONE)})
        await it.follow(CONFIRMATIONS + 1)
        assert await it.status(found) == "paid"
        batch = [await it.approved(session, "20") for _ in range(2)]
        third = await it.approved(session, "20")
        tx_hash = payer.send(
            "sendTokens(address,address[],uint256[])", usdc.address, [PAYER, PAYER, PAYER], [20 * ONE, 20 * ONE, 1]
        )
        await it.follow()
        for refund_id in batch:
            await it.name(refund_id, tx_hash)
            await it.follow()
        with pytest.raises(InvalidBody, match=r"another refund|0\.000001"):
            await it.name(third, tx_hash)
        refunds = [await it.look(refund_id) for refund_id in batch]
        assert [each["status"] for each in refunds] == ["paid", "paid"]
        assert len({each["logIndex"] for each in refunds}) == 2


def transfer(to: str, units: int) -> str:
    return "0xa9059cbb" + to[2:].rjust(64, "0") + f"{units:064x}"


async def test_a_reorg_takes_a_paid_refund_back_and_the_transaction_pays_it_again(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with refunding(node, tmp_path) as it:
        session = await it.paid_session()
        refund_id = await it.approved(session)
        before = node.rpc("evm_snapshot")
        node.send(it.owner, PAYER, HALF)
        await it.follow(CONFIRMATIONS + 1)
        assert await it.status(refund_id) == "paid"
        node.rpc("evm_revert", before)
        node.rpc("evm_increaseTime", 5)  # other blocks than before
        await it.follow(CONFIRMATIONS + 3)
        refund = await it.look(refund_id)
        assert (refund["status"], refund["paidAt"]) == ("to_pay", None)
        assert (await it.shop.look(session))["amountRefunded"]["units"] == "0"
        again = node.send(it.owner, PAYER, HALF)
        await it.follow(CONFIRMATIONS + 1)
        refund = await it.look(refund_id)
        assert (refund["status"], refund["txHash"]) == ("paid", again)


async def test_a_transaction_that_a_wallet_replaced_is_found_too(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with refunding(node, tmp_path) as it:
        session = await it.paid_session()
        refund_id = await it.approved(session)
        await it.name(refund_id, "0x" + "7e" * 32)
        await it.follow()
        assert await it.status(refund_id) == "to_pay"
        replacing = node.send(it.owner, PAYER, HALF)
        await it.follow(CONFIRMATIONS + 1)
        refund = await it.look(refund_id)
        assert (refund["status"], refund["txHash"]) == ("paid", replacing)


async def test_a_payment_that_a_lagging_node_does_not_know_yet_is_found_later(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    lagging: dict[str, Any] = {}
    async with running(forwarding(node.url, lagging)) as url, refunding(node, tmp_path, url=url.url) as it:
        session = await it.paid_session()
        refund_id = await it.approved(session)
        tx_hash = node.send(it.owner, PAYER, HALF)
        node.mine(CONFIRMATIONS)
        await it.shop.process()
        lagging["eth_getTransactionByHash"] = None
        with pytest.raises(ProviderFailed, match="no node knows"):
            await it.payments.turn()
        lagging.clear()
        await it.follow()
        refund = await it.look(refund_id)
        assert (refund["status"], refund["txHash"]) == ("paid", tx_hash)


class Answers(bytearray):
    """A stream that keeps what a node says until it is let through."""

    def write(self, said: bytes) -> None:
        self += said


async def test_a_payment_in_blocks_replaced_during_the_search_is_found(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    asked, may_go_on = asyncio.Semaphore(0), asyncio.Event()
    is_slow = False

    async def slowly(body: Any, writer: Any) -> None:
        said = Answers()
        await forwarding(node.url, {})(body, said)  # type: ignore[arg-type]
        if is_slow and "eth_getTransactionCount" in json.dumps(body) and it.owner.lower() in json.dumps(body).lower():
            asked.release()
            await may_go_on.wait()
        writer.write(bytes(said))

    async with running(slowly) as url, refunding(node, tmp_path, url=url.url) as it:
        session = await it.paid_session()
        refund_id = await it.approved(session)
        before = node.rpc("evm_snapshot")
        node.mine(4)
        await it.shop.process()
        is_slow = True
        searching = asyncio.create_task(it.payments.turn())
        await asked.acquire()
        may_go_on.set()  # the count before these blocks
        may_go_on = asyncio.Event()
        await asked.acquire()  # the count after them
        is_slow = False
        node.rpc("evm_revert", before)
        node.rpc("evm_increaseTime", 5)  # other blocks than before
        tx_hash = node.send(it.owner, PAYER, HALF)
        node.mine(6)
        await it.shop.process()
        may_go_on.set()
        with suppress(RecoverableError):
            await searching
        await it.follow()
        refund = await it.look(refund_id)
        assert (refund["status"], refund["txHash"]) == ("paid", tx_hash)


async def test_a_payment_that_only_a_dead_branch_has_is_not_waited_for(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    remembered: dict[str, Any] = {}
    is_on_dead_branch = False

    async def remembering(body: Any, writer: Any) -> None:
        said = Answers()
        await forwarding(node.url, {})(body, said)  # type: ignore[arg-type]
        answers = json.loads(bytes(said).partition(b"\r\n\r\n")[2])
        calls = {each["id"]: each for each in (body if isinstance(body, list) else [body])}
        for each in answers if isinstance(answers, list) else [answers]:
            call = json.dumps([calls[each["id"]][part] for part in ("method", "params")])
            if each.get("result") is not None:
                remembered[call] = each["result"]
            elif is_on_dead_branch and call in remembered:
                each["result"] = remembered[call]
        writer.write(http(json.dumps(answers)))

    async with running(remembering) as url, refunding(node, tmp_path, url=url.url) as it:
        session = await it.paid_session()
        refund_id = await it.approved(session)
        before = node.rpc("evm_snapshot")
        await it.name(refund_id, node.send(node.accounts[7], PAYER, HALF))
        await it.follow(1)
        assert await it.status(refund_id) == "seen"
        node.rpc("evm_revert", before)
        node.rpc("evm_increaseTime", 5)  # other blocks than before
        node.mine(6)
        await it.shop.process()
        assert await it.status(refund_id) == "to_pay"
        is_on_dead_branch = True
        await it.payments.turn()
        assert await it.status(refund_id) == "seen", "shown by the node in a block that the watcher passed over"
        is_on_dead_branch = False
        await it.payments.turn()
        assert await it.status(refund_id) == "to_pay"


async def test_coins_that_a_contract_sends_pay_a_refund_without_traces_too(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    safe = deploy(node, solc, "Payer", wei=3 * ONE_COIN)
    missing = dict.fromkeys(["debug_traceBlockByHash", "debug_traceTransaction"], Error("not available", -32601))
    async with running(forwarding(node.url, missing)) as url, refunding(node, tmp_path, url=url.url) as it:
        session = await it.paid_session()
        refund_id, other = await it.approved(session, "0.5"), await it.approved(session, "0.5", OTHER)
        tx_hash = safe.send("payAll(address[],uint256[])", [PAYER, OTHER], [HALF, HALF - 1])
        await it.follow(1)
        for each in (refund_id, other):
            await it.name(each, tx_hash)
        await it.follow(1)
        assert [await it.status(each) for each in (refund_id, other)] == ["seen", "to_pay"]
        await it.follow()
        assert [await it.status(each) for each in (refund_id, other)] == ["paid", "to_pay"]


async def test_a_token_that_logs_more_than_arrives_pays_only_what_arrives(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    gross = deploy(node, solc, "GrossToken")
    async with refunding(node, tmp_path, token(gross)) as it:
        session = await it.shop.ask("98.00", asset="USDC")
        gross.send("transfer(address,uint256)", session["address"], 100 * ONE)
        await it.follow(CONFIRMATIONS + 1)
        await it.shop.db.write(lambda unit: note_correction(unit, session["id"]))
        refund_id = await it.approved(session, "50")
        little = gross.send("transfer(address,uint256)", PAYER, 50 * ONE)
        await it.name(refund_id, little)
        await it.follow(CONFIRMATIONS + 1)
        assert await it.status(refund_id) == "to_pay"
        enough = gross.send("transfer(address,uint256)", PAYER, 52 * ONE)
        await it.name(refund_id, enough)
        await it.follow(1)
        await it.follow()
        assert await it.status(refund_id) == "paid"


def note_correction(unit: WriteUnit, session_id: str) -> None:
    """Note what the comparison of token balances finds out beside the watcher's turns."""
    (logged,) = tokens.logged(unit, session_id)
    tokens.correct(unit, logged, 98 * ONE)


async def test_a_refund_can_not_be_canceled_while_its_transaction_may_still_pay_it(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with refunding(node, tmp_path) as it:
        session = await it.paid_session()
        refund_id = await it.approved(session)
        tx_hash = node.send(node.accounts[7], PAYER, HALF)
        await it.name(refund_id, tx_hash)
        with pytest.raises(RefundNotOpen, match="was named as its payment"):
            await it.shop.db.write(await it.refunds.cancel(True, refund_id))
        await it.follow(CONFIRMATIONS + 1)
        with pytest.raises(RefundNotOpen, match="is paid"):
            await it.shop.db.write(await it.refunds.cancel(True, refund_id))


async def test_refunds_that_the_chain_no_longer_covers_are_not_approved(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with refunding(node, tmp_path) as it:
        session = await it.shop.ask()
        await it.follow(1)
        before = node.rpc("evm_snapshot")
        pay(node, session)
        await it.follow()
        made = await it.shop.db.write(it.refunds.create(True, RefundRequest(session["id"], destination=PAYER)))
        node.rpc("evm_revert", before)
        node.rpc("evm_increaseTime", 5)
        await it.follow(CONFIRMATIONS + 3)
        with pytest.raises(RefundNotOpen, match="exceed what is left"):
            await it.shop.db.write(it.refunds.approve(True, made["id"], PAYER, DestinationProof.MERCHANT))


async def test_a_shop_without_refunds_to_pay_asks_the_chain_nothing(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with refunding(node, tmp_path) as it:
        await it.paid_session()
        before = it.shop.chain.health()
        await it.payments.turn()
        assert it.shop.chain.health() == before
