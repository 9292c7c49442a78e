"""What leaves an address, or should have left and didn't: neither makes a payment, nor hides one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.collect.contracts import COLLECTED_TOPIC
from crypto_checkout.core.collect.deposits import Deposits
from crypto_checkout.core.ledger.outflow import FEE, UNSEEN, VALUE
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.store.ledger import outflows
from tests.support.anvil import Anvil
from tests.support.collecting import COLD, collect_sessions, deploy_contracts
from tests.support.nodes import forwarding, running
from tests.support.shop import ANVIL_CHAIN_ID, CONFIRMATIONS, FRESH_XPUB, ONE_COIN, Shop, open_shop, pay
from tests.support.solidity import Compiler, deploy, move_tokens

Nodes = Callable[..., Anvil]


async def follow(node: Anvil, shop: Shop, blocks: int = CONFIRMATIONS) -> None:
    for _ in range(blocks):
        node.mine()
        await shop.process()


def sweep(node: Anvil, session: SessionResource, wei: int) -> None:
    node.rpc("anvil_impersonateAccount", session["address"])
    node.send(session["address"], node.accounts[8], wei)


def sponsor_takes(node: Anvil, session: SessionResource, wei: int) -> None:
    """Move coins away as a sponsor does from an account with code (EIP-7702): without a transaction of its own."""
    node.rpc("anvil_setNonce", session["address"], "0x1")
    node.rpc("anvil_setBalance", session["address"], hex(node.balance(session["address"]) - wei))


async def look(shop: Shop, session: SessionResource) -> tuple[str, int]:
    seen = await shop.look(session)
    return seen["status"], int(seen["amountReceived"]["units"])


async def left(shop: Shop, session: SessionResource) -> list[tuple[str | None, int, int]]:
    """Return the transaction, the place and the amount of each outflow of a session's address."""
    address = Address(session["address"].lower())
    found = await shop.db.read(lambda unit: outflows.at_addresses(unit, ANVIL_CHAIN_ID, [address]))
    return [(each.tx_hash, each.log_index, each.units) for each in found]


async def test_a_fee_that_was_not_taken_from_the_coin_is_no_payment(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")

    def receipt(tx_hash: str) -> Any:
        said = node.rpc("eth_getTransactionReceipt", tx_hash)
        return said and {**said, "effectiveGasPrice": hex(3 * int(said["effectiveGasPrice"], 16))}

    front = forwarding(node.url, {"eth_getTransactionReceipt": receipt})
    async with running(front) as url, open_shop(tmp_path, [url.url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask()
        pay(node, session)
        await follow(node, shop)
        assert await look(shop, session) == ("paid", ONE_COIN)
        sweep(node, session, ONE_COIN // 2)
        await follow(node, shop)
        assert await look(shop, session) == ("paid", ONE_COIN)
        assert len((await shop.look(session))["payments"]) == 1
        # The fee of the record is the one that was taken, and not the one that the receipt says.
        taken = ONE_COIN - node.balance(session["address"])
        assert sum(units for _, _, units in await left(shop, session)) == taken


async def test_more_than_the_fee_is_a_payment_in_the_block_of_a_sweep_too(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask("6000.00")
        pay(node, session)
        await follow(node, shop)
        sweep(node, session, ONE_COIN // 2)
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        await follow(node, shop)
        assert await look(shop, session) == ("paid", 2 * ONE_COIN)


async def test_after_a_sweep_by_a_sponsor_later_payments_by_contracts_are_found(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask("4500.00")
        pay(node, session)
        await follow(node, shop)
        assert await look(shop, session) == ("underpaid", ONE_COIN)
        sponsor_takes(node, session, ONE_COIN * 3 // 4)
        await follow(node, shop, 2)
        assert await left(shop, session) == [(None, UNSEEN, ONE_COIN * 3 // 4)]
        assert await look(shop, session) == ("underpaid", ONE_COIN), "what came has come"
        shop.restart()
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN // 2])
        await follow(node, shop, CONFIRMATIONS + 1)
        assert await look(shop, session) == ("paid", ONE_COIN * 3 // 2)


async def test_a_sweep_that_a_reorg_undoes_makes_no_payment(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask("6000.00")
        pay(node, session)
        await follow(node, shop)
        before = node.rpc("evm_snapshot")
        sponsor_takes(node, session, ONE_COIN // 2)
        await follow(node, shop, 3)
        node.rpc("evm_revert", before)
        node.rpc("evm_increaseTime", 5)  # other blocks than before
        node.mine(5)
        await shop.process()
        await follow(node, shop)
        assert await look(shop, session) == ("underpaid", ONE_COIN)
        assert len((await shop.look(session))["payments"]) == 1


async def test_a_node_that_once_forgets_a_balance_makes_no_payment_of_it(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    is_wrong = False

    def call(transaction: dict[str, str], block: object) -> object:
        answer: str = node.rpc("eth_call", transaction, block)
        # An address that sent something, and whose balance is read a coin lower, at one block only.
        if is_wrong and len(answer) == 66 and int(answer, 16) == ONE_COIN:
            return f"0x{int(answer, 16) - ONE_COIN // 2:064x}"
        return f"0x{'00' * 33}" if is_wrong else answer

    async with (
        running(forwarding(node.url, {"eth_call": call})) as front,
        open_shop(tmp_path, [front.url], xpub=FRESH_XPUB) as shop,
    ):
        session = await shop.ask("6000.00")
        pay(node, session)
        await follow(node, shop)
        node.rpc("anvil_setNonce", session["address"], "0x1")
        is_wrong = True
        await follow(node, shop, 1)
        is_wrong = False
        await follow(node, shop, CONFIRMATIONS + 2)
        assert await look(shop, session) == ("underpaid", ONE_COIN)
        assert len((await shop.look(session))["payments"]) == 1


async def test_an_own_transaction_is_two_outflows_its_value_and_its_fee(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask()
        pay(node, session)
        await follow(node, shop)
        sweep(node, session, ONE_COIN // 2)
        await follow(node, shop, 1)
        value, fee = sorted(await left(shop, session), key=lambda each: each[1], reverse=True)
        assert (value[1], value[2], fee[1]) == (VALUE, ONE_COIN // 2, FEE)
        assert value[2] + fee[2] == ONE_COIN - node.balance(session["address"])


async def test_a_collection_whose_log_comes_late_takes_the_place_of_what_left_unseen(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    deploy_contracts(node)
    payer = deploy(node, solc, "Payer", wei=ONE_COIN)
    hidden = True

    def logs(criteria: dict[str, Any]) -> Any:
        found = node.rpc("eth_getLogs", criteria)
        return [each for each in found if not hidden or each["topics"][0] != COLLECTED_TOPIC]

    behave = forwarding(node.url, {"eth_getLogs": logs})
    async with running(behave) as front, open_shop(tmp_path, [front.url], wallet=Deposits(COLD)) as shop:
        session = await shop.ask("6000.00")
        pay(node, session)
        await follow(node, shop)
        tx_hash = collect_sessions(node, [session])
        await follow(node, shop, 2)
        assert await left(shop, session) == [(None, UNSEEN, ONE_COIN)], "by the balance"
        hidden = False
        await follow(node, shop, 1)
        assert [(each[0], each[2]) for each in await left(shop, session)] == [(tx_hash, ONE_COIN)]
        payer.send("payAll(address[],uint256[])", [session["address"]], [ONE_COIN])
        await follow(node, shop, CONFIRMATIONS + 1)
        assert await look(shop, session) == ("paid", 2 * ONE_COIN)


async def test_a_token_that_an_allowance_moved_is_found_in_the_slow_round(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    usdc = deploy(node, solc, "Token")
    seconds = 0.0
    asset = Asset(ANVIL_CHAIN_ID, "USDC", 6, Address(usdc.address), usd_pegged=True)
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB, tokens=[asset], monotonic=lambda: seconds) as shop:
        session = await shop.ask("100.00", asset="USDC")
        usdc.send("transfer(address,uint256)", session["address"], 100 * 10**6)
        await follow(node, shop)
        move_tokens(usdc, session["address"], node.accounts[8], 60 * 10**6)
        node.mine()
        await shop.process()
        assert await left(shop, session) == []
        seconds += 3600
        await shop.watcher.turn_late()
        assert [units for _, _, units in await left(shop, session)] == [60 * 10**6]
