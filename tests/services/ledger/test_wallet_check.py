"""No address is given out twice, also after the database was restored to an older copy."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from crypto_checkout.chain.evm.chain import EvmChain
from crypto_checkout.chain.rpc.providers import Rpc
from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.services.ledger.wallet_check import WINDOW, WalletCheck
from crypto_checkout.store.checkout import wallets
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.migrate import migrate
from tests.support.anvil import Anvil
from tests.support.nodes import no_pause
from tests.support.shop import ANVIL_CHAIN_ID, FRESH_XPUB, ONE_COIN, XPUB, now, open_shop, pay
from tests.support.waiting import WAIT_SECONDS, until

Nodes = Callable[..., Anvil]


async def check(path: Path, node: Anvil, xpub: str) -> int:
    async with await Database.open(path, now) as db:
        chain = EvmChain(Rpc(ANVIL_CHAIN_ID, [node.url]))
        try:
            return await WalletCheck(db, ExtendedPublicKey.parse(xpub), {ANVIL_CHAIN_ID: chain}).check(chain)
        finally:
            await chain.close()


@pytest.mark.sqlite  # puts a file back
async def test_after_a_restore_the_index_moves_past_what_the_chain_shows_as_used(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil()
    (tmp_path / "shop").mkdir()
    path = tmp_path / "shop" / "checkout.db"
    async with open_shop(path.parent, [node.url], xpub=FRESH_XPUB) as shop:
        first = await shop.ask()
    shutil.copy(path, tmp_path / "old.db")
    async with open_shop(path.parent, [node.url], xpub=FRESH_XPUB) as shop:
        lost = [await shop.ask() for _ in range(5)]
        pay(node, lost[3])
    path.unlink()
    for leftover in path.parent.glob("checkout.db-*"):
        leftover.unlink()
    shutil.copy(tmp_path / "old.db", path)

    assert await check(path, node, FRESH_XPUB) == 5
    async with open_shop(path.parent, [node.url], xpub=FRESH_XPUB) as shop:
        next_one = await shop.ask()
    assert next_one["address"] not in {session["address"] for session in [first, *lost[:4]]}
    key = ExtendedPublicKey.parse(FRESH_XPUB)
    assert next_one["address"].lower() == key.address(5)


async def test_the_check_looks_on_after_each_used_address(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil()
    path = tmp_path / "checkout.db"
    migrate(path)
    key = ExtendedPublicKey.parse(FRESH_XPUB)
    for index in (WINDOW - 1, 2 * WINDOW - 2):
        node.send(node.accounts[0], key.address(index), ONE_COIN)
    assert await check(path, node, FRESH_XPUB) == 2 * WINDOW - 1


async def test_addresses_that_only_sent_are_used_too(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil()
    path = tmp_path / "checkout.db"
    migrate(path)
    # The accounts of anvil are the first addresses of this wallet.
    assert await check(path, node, XPUB) == len(node.accounts)


async def test_live_sessions_wait_for_the_check(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil()
    path = tmp_path / "checkout.db"
    migrate(path)
    node.stop()
    async with await Database.open(path, now) as db:
        chain = EvmChain(Rpc(ANVIL_CHAIN_ID, [node.url], sleep=no_pause))
        checking = WalletCheck(db, ExtendedPublicKey.parse(FRESH_XPUB), {ANVIL_CHAIN_ID: chain})
        running = asyncio.create_task(checking.run())
        try:
            await until(lambda: "doesn't answer" in checking.unready[ANVIL_CHAIN_ID], "the outage")
            node.start_again()
            async with asyncio.timeout(WAIT_SECONDS):
                await running
            assert checking.unready == {}
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await chain.close()


async def test_an_index_taken_stays_taken_and_moving_back_is_impossible(tmp_path: Path) -> None:
    path = tmp_path / "checkout.db"
    migrate(path)
    async with await Database.open(path, now) as db:
        assert [await db.write(lambda unit: wallets.take_index(unit, "w")) for _ in range(3)] == [0, 1, 2]
        await db.write(lambda unit: wallets.move_past(unit, "w", 1))
        assert await db.write(lambda unit: wallets.take_index(unit, "w")) == 3
        await db.write(lambda unit: wallets.move_past(unit, "w", 9))
        assert await db.write(lambda unit: wallets.take_index(unit, "w")) == 10


async def test_a_unit_that_fails_takes_no_index(tmp_path: Path) -> None:
    path = tmp_path / "checkout.db"
    migrate(path)

    def fail(unit: WriteUnit) -> None:
        wallets.take_index(unit, "w")
        raise LookupError("no")

    async with await Database.open(path, now) as db:
        with pytest.raises(LookupError):
            await db.write(fail)
        assert await db.write(lambda unit: wallets.take_index(unit, "w")) == 0
