"""More than a hundred addresses in a row that got nothing are an issue: wallet programs look no further."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from crypto_checkout.core.address import Address
from crypto_checkout.core.alerts.issues import IssueKind
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.checkout.unassigned_address import UnassignedAddress
from crypto_checkout.services.alerts.issues import Issues
from crypto_checkout.store.checkout import sessions, unassigned, unused_addresses
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.migrate import migrate
from tests.support.factories import NOW, a_session, a_transfer


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    path = tmp_path / "checkout.db"
    migrate(path)
    async with await Database.open(path, lambda: NOW) as opened:
        yield opened


def address(index: int) -> Address:
    return Address(f"0x{index:040x}")


def session(index: int, **more: object) -> Session:
    return a_session(id=f"cs_{index:026}", derivation_index=index, address=address(index), **more)


async def give_out(db: Database, indexes: Iterable[int], **more: object) -> None:
    def work(unit: WriteUnit) -> None:
        for index in indexes:
            sessions.insert(unit, session(index, **more))

    await db.write(work)


async def pay(db: Database, index: int, *, canonical: bool = True) -> None:
    def work(unit: WriteUnit) -> None:
        transfer = a_transfer(to=address(index), tx_hash=f"0x{index:064x}")
        unit.run(
            """
            INSERT INTO unmatched_payments (
                address, session_id, livemode, chain_id, tx_hash, kind, units, block_number, block_hash, block_time,
                canonical, recorded_at
            )
            VALUES (:to, NULL, 1, 1, :tx_hash, 'native', '1', 10, :block_hash, :now, :canonical, :now)
            """,
            {
                "to": transfer.to,
                "tx_hash": transfer.tx_hash,
                "block_hash": transfer.block_hash,
                "now": unit.now_text,
                "canonical": int(canonical),
            },
        )

    await db.write(work)


async def found(db: Database) -> list[tuple[str, str]]:
    gathered = (await Issues(db, {}).gather(True)).issues
    return [(each.cause, each.words) for each in gathered if each.kind is IssueKind.UNUSED_ADDRESSES]


async def test_a_hundred_unused_addresses_are_no_issue_and_one_more_is(db: Database) -> None:
    await give_out(db, range(100))
    assert await found(db) == []
    await give_out(db, [100])
    ((cause, words),) = await found(db)
    assert (cause, words.partition(",")[0]) == ("unused_addresses:w:0", "101 addresses of your wallet in a row")
    assert (await Issues(db, {}).gather(False)).issues == (), "test mode's wallet is nobody's"


async def test_what_is_paid_parts_the_row_and_what_the_chain_took_back_does_not(db: Database) -> None:
    await give_out(db, range(150))
    await pay(db, 59, canonical=False)
    assert len(await found(db)) == 1
    await pay(db, 60)
    assert await found(db) == []
    await give_out(db, range(150, 200))
    ((cause, _),) = await found(db)
    assert cause == "unused_addresses:w:61"
    await pay(db, 199)  # a wallet that looks only so far doesn't see this one
    assert [cause for cause, _ in await found(db)] == ["unused_addresses:w:61"]


async def test_what_a_restore_forgot_counts_where_it_was_paid(db: Database) -> None:
    await give_out(db, [*range(30), *range(140, 170)])
    assert len(await found(db)) == 1
    forgotten = UnassignedAddress("w", 80, address(80), livemode=True)
    await db.write(lambda unit: unassigned.insert(unit, [forgotten]))
    await pay(db, 80)
    assert await found(db) == []


async def test_a_row_without_end_is_one_issue_and_can_be_put_aside(db: Database) -> None:
    await give_out(db, range(unused_addresses.NEWEST))
    causes = {cause for cause, _ in await found(db)}
    for index in range(unused_addresses.NEWEST, unused_addresses.NEWEST + 5):
        await give_out(db, [index])
        causes |= {cause for cause, _ in await found(db)}
    assert causes == {"unused_addresses:w:many"}
    ((_, words),) = await found(db)
    assert words.startswith(f"More than {unused_addresses.NEWEST} addresses")
    await db.write(Issues(db, {}).dismiss("unused_addresses:w:many"))
    assert await found(db) == []
