"""Money at the wallet's addresses that no session has: found, shown with index and path, and taken back by a reorg."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.core.address import Address
from crypto_checkout.core.alerts.issues import IssueKind
from crypto_checkout.core.checkout.unassigned_address import UnassignedAddress
from crypto_checkout.core.diagnosis.explanation import PaymentOutcome, Reason
from crypto_checkout.services.alerts.issues import Issues
from crypto_checkout.services.checkout import unassigned_addresses
from crypto_checkout.services.checkout.payment_methods import AcceptedChain
from crypto_checkout.services.diagnosis.reconcile import ChainComparison, Reconciliation
from crypto_checkout.services.ledger.wallet_check import WalletCheck
from crypto_checkout.store import paging
from crypto_checkout.store.checkout import unassigned, wallets
from crypto_checkout.store.ledger import unmatched
from crypto_checkout.store.ledger.unmatched import UnmatchedPayment
from tests.services.diagnosis.test_explain import explaining
from tests.services.ledger.test_internal_transfers import without
from tests.services.ledger.test_tokens import token
from tests.support.anvil import Anvil
from tests.support.shop import ANVIL_CHAIN_ID, CONFIRMATIONS, ETH, FRESH_XPUB, ONE_COIN, Shop, open_shop
from tests.support.solidity import Compiler, deploy

Nodes = Callable[..., Anvil]
KEY = ExtendedPublicKey.parse(FRESH_XPUB)


async def forget(shop: Shop, indexes: int) -> list[Address]:
    """Have a wallet's next addresses be given out and forgotten, as a restore does."""
    await shop.db.write(lambda unit: wallets.move_past(unit, KEY.wallet_id, indexes - 1))
    await unassigned_addresses.record(shop.db, KEY, livemode=True)
    return [KEY.address(index) for index in range(indexes)]


def foreign(check: WalletCheck) -> int | None:
    return check.foreign


async def listed(shop: Shop) -> list[UnmatchedPayment]:
    page = await shop.db.read(lambda unit: unmatched.listed(unit, True, paging.Window(100)))
    return [*reversed(page.items)]


async def reconciled(shop: Shop) -> ChainComparison:
    accepted = AcceptedChain(ANVIL_CHAIN_ID, "Anvil", "", CONFIRMATIONS, (ETH,))
    (found,) = await Reconciliation(shop.db, [(shop.chain, accepted)], livemode=True, progress=lambda *_: None).run()
    return found


async def test_every_kind_of_money_at_a_forgotten_address_is_an_unmatched_payment_with_its_place(
    anvil: Nodes, solc: Compiler, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    payer, usdc = deploy(node, solc, "Payer", wei=ONE_COIN), deploy(node, solc, "Token")
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB, tokens=[token(usdc)]) as shop:
        addresses = await forget(shop, 7)
        session = await shop.ask()
        await shop.process()
        tx_hash = node.send(node.accounts[9], addresses[6], ONE_COIN // 4)
        payer.send("payAll(address[],uint256[])", [addresses[3]], [ONE_COIN // 2])
        usdc.send("transfer(address,uint256)", addresses[0], 5)
        node.mine(CONFIRMATIONS)
        await shop.process()
        found = await listed(shop)
        assert {(each.derivation_index, each.path, each.payment.transfer.kind.value) for each in found} == {
            (0, "m/44'/60'/0'/0/0", "token"),
            (3, "m/44'/60'/0'/0/3", "internal"),
            (6, "m/44'/60'/0'/0/6", "native"),
        }
        assert {each.session_id for each in found} == {None}
        assert (await shop.look(session))["status"] == "pending"

        for subject in (addresses[6], tx_hash):
            explained = await explaining(shop).of(subject)
            assert (explained.outcome, explained.reason) == (PaymentOutcome.NOT_COUNTED, Reason.NO_SESSION)
            assert "address number 6 (m/44'/60'/0'/0/6)" in explained.headline
        nothing = await explaining(shop).of(addresses[5])
        assert (nothing.outcome, nothing.reason) == (PaymentOutcome.UNKNOWN, Reason.NO_SESSION)
        beyond = await explaining(shop).of(KEY.address(8))
        assert beyond.reason is Reason.NOT_OURS

        issues = [each for each in (await Issues(shop.db, {}).gather(True)).issues if each.kind is IssueKind.UNMATCHED]
        assert len(issues) == 3
        assert any("address number 6 (m/44'/60'/0'/0/6)" in each.words for each in issues)
        compared = await reconciled(shop)
        assert (compared.addresses, compared.differing) == (8, ())


async def test_what_had_come_before_the_address_was_known_to_be_lost_is_found_too(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB) as shop:
        node.send(node.accounts[9], KEY.address(1), ONE_COIN)
        node.mine()
        await shop.process()
        assert await listed(shop) == []
        await forget(shop, 2)
        assert [each.difference for each in (await reconciled(shop)).differing] == [ONE_COIN]
        for _ in range(2):
            node.mine()
            await shop.process()
        (found,) = await listed(shop)
        assert (found.derivation_index, found.payment.transfer.units) == (1, ONE_COIN)
        assert not found.payment.is_provisional
        assert (await reconciled(shop)).differing == ()
        shop.restart()
        node.mine()
        await shop.process()
        assert await listed(shop) == [found], "once"


@pytest.mark.parametrize("traces", [True, False])
async def test_a_reorg_takes_it_back_and_it_is_found_again(
    anvil: Nodes, solc: Compiler, tmp_path: Path, traces: bool
) -> None:
    node = anvil(mining="manual")
    payer = deploy(node, solc, "Payer", wei=2 * ONE_COIN)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(without(node, *([] if traces else ["debug_traceBlockByHash"])))
        shop = await stack.enter_async_context(open_shop(tmp_path, [url], xpub=FRESH_XPUB))
        addresses = await forget(shop, 2)
        node.mine(2)
        await shop.process()
        payer.send("payAll(address[],uint256[])", [addresses[1]], [ONE_COIN])
        node.send(node.accounts[9], addresses[0], ONE_COIN)
        node.mine(2)
        await shop.process()
        assert [each.payment.transfer.units for each in await listed(shop)] == [ONE_COIN, ONE_COIN]
        node.rpc("anvil_reorg", 2, [])
        await shop.process()
        assert await listed(shop) == []
        payer.send("payAll(address[],uint256[])", [addresses[1]], [ONE_COIN])
        node.mine(2)
        await shop.process()
        assert [each.derivation_index for each in await listed(shop)] == [1]
        assert (await reconciled(shop)).differing == ()


async def test_the_wallets_own_history_is_no_unmatched_payment(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB) as shop:
        node.send(node.accounts[9], KEY.address(1), ONE_COIN)
        node.mine()
        check = WalletCheck(shop.db, KEY, {ANVIL_CHAIN_ID: shop.chain})
        assert await check.check(shop.chain) == 2
        session = await shop.ask()
        assert session["address"].lower() == KEY.address(2)
        for _ in range(2):
            node.mine()
            await shop.process()
        assert await listed(shop) == []
        assert (await reconciled(shop)).differing == ()
        assert "used before" in (await explaining(shop).of(KEY.address(1))).headline
        assert foreign(check) is None


async def test_a_payment_to_an_address_that_another_server_gave_out_is_noticed(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB) as shop:
        check = WalletCheck(shop.db, KEY, {ANVIL_CHAIN_ID: shop.chain})
        await shop.ask()
        assert await check.check(shop.chain) == 1
        await check.check_ahead(shop.chain)
        assert foreign(check) is None
        node.send(node.accounts[9], KEY.address(4), ONE_COIN)
        node.mine()
        await check.check_ahead(shop.chain)
        assert foreign(check) == 4
        for _ in range(3):
            node.mine()
            await shop.process()
        (found,) = await listed(shop)
        assert (found.derivation_index, found.payment.transfer.units) == (4, ONE_COIN)
        assert (await shop.ask())["address"].lower() == KEY.address(5)


async def test_each_index_is_recorded_once_and_never_one_that_a_session_has(anvil: Nodes, tmp_path: Path) -> None:
    async with open_shop(tmp_path, [anvil().url], xpub=FRESH_XPUB) as shop:
        await forget(shop, 3)
        await shop.ask()
        await shop.db.write(lambda unit: wallets.move_past(unit, KEY.wallet_id, 5))
        assert await unassigned_addresses.record(shop.db, KEY, livemode=True) == [4, 5]
        assert await unassigned_addresses.record(shop.db, KEY, livemode=True) == []
        found = await shop.db.read(lambda unit: unassigned.watched(unit, True, 0, 10))
        assert [each.address for each in found] == [
            UnassignedAddress(
                KEY.wallet_id, index, KEY.address(index), livemode=True, address_path=f"{KEY.branch}/{index}"
            )
            for index in (0, 1, 2, 4, 5)
        ]
