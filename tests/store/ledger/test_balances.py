"""The watched addresses are read page by page, each once, also those whose end moves meanwhile; and their balances."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from crypto_checkout.core.address import Address
from crypto_checkout.core.money import CoinUnits
from crypto_checkout.store.database import Database, ReadUnit
from crypto_checkout.store.ledger import balances
from crypto_checkout.store.ledger.balances import Balance
from crypto_checkout.store.migrate import migrate
from scripts.benchmarks.watcher import multiply
from tests.support.anvil import Anvil
from tests.support.shop import ANVIL_CHAIN_ID, FRESH_XPUB, now, open_shop

HOUR = timedelta(hours=1)


@pytest.mark.sqlite
async def test_each_address_is_read_once(
    anvil: Callable[..., Anvil], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balances, "PAGE", 3)
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url], xpub=FRESH_XPUB) as shop:
        session = await shop.ask()
        await multiply(shop, session, 5, long_ago=True)
        await multiply(shop, session, 10)
        since = now() - HOUR

        def read(unit: ReadUnit) -> list[str]:
            return [each.address for each in balances.watched(unit, ANVIL_CHAIN_ID, True, since)]

        found = await shop.db.read(read)
        assert len(found) == len(set(found)) == 11
        after, up_to = await shop.db.read(
            lambda unit: (balances.before_oldest(unit, True, since), balances.newest(unit))
        )
        first, after = await shop.db.read(lambda unit: balances.page(unit, ANVIL_CHAIN_ID, True, since, after, up_to))
        earlier = {each.address for each in first}
        # The owner closes all of them, which brings their end forward.
        end = (now() + timedelta(minutes=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        await shop.db.write(lambda unit: unit.run("UPDATE checkout_sessions SET grace_until = :end", {"end": end}))
        while after != up_to:
            rows, after = await shop.db.read(
                lambda unit, after=after: balances.page(unit, ANVIL_CHAIN_ID, True, since, after, up_to)  # type: ignore[misc]
            )
            assert not earlier & {each.address for each in rows}
            earlier |= {each.address for each in rows}
        assert set(found) <= earlier


@pytest.mark.parametrize("addresses", [1, 3, 200])
async def test_of_balances_stored_together_the_last_one_of_an_address_counts(tmp_path: Path, addresses: int) -> None:
    places = [Address(f"0x{number:040x}") for number in range(addresses)]
    migrate(tmp_path / "checkout.db")
    async with await Database.open(tmp_path / "checkout.db", now) as db:
        await db.write(lambda unit: balances.save_at(unit, 1, 5, dict.fromkeys(places, 2**70)))
        new = [Balance(address, 6, CoinUnits(units)) for address in places[1:] for units in (7, 8)]
        await db.write(lambda unit: balances.save(unit, 1, new))
        stored = [await db.read(lambda unit, each=each: balances.stored(unit, 1, each)) for each in places]  # type: ignore[misc]
        elsewhere = await db.read(lambda unit: balances.stored(unit, 2, places[0]))
    expected = [(5, 2**70), *((6, 8) for _ in places[1:])]
    assert [(each.block_number, each.units) for each in stored if each is not None] == expected
    assert elsewhere is None
