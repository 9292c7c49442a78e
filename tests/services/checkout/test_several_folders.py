"""The records of given-out addresses where several processes, each with a folder, serve one database on a server."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crypto_checkout.services.checkout import wallet_start
from crypto_checkout.services.checkout.addresses import Addresses, AddressGivenOut
from crypto_checkout.services.checkout.wallet_start import RecordKeeper, Records
from crypto_checkout.store.checkout import wallets
from crypto_checkout.store.data_folder.given_out import GivenOutNote, notes
from crypto_checkout.store.data_folder.skipping import LEAST_SKIPPED, Skip
from crypto_checkout.store.database import Database, WriteUnit
from tests.services.checkout.test_addresses import KEY
from tests.support.postgresql import PostgresqlServer
from tests.support.waiting import WAIT_SECONDS, until

WALLET = KEY.wallet_id


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def db(postgresql_server: PostgresqlServer, tmp_path: Path) -> AsyncIterator[Database]:
    server = postgresql_server.new_database(tmp_path)
    async with await Database.open(server, now) as opened:
        yield opened
    postgresql_server.drop(server)


@asynccontextmanager
async def process(db: Database, folder: Path, *, is_led: bool) -> AsyncIterator[tuple[Records, Addresses]]:
    """Start what a process knows of a wallet, in a folder of its own."""
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240 - of a test
    skip = Skip(now(), lambda _: 0)
    records = await wallet_start.apply_shared_records(db, folder, skip, folder.name, is_led=is_led, is_current=True)
    records.given_out.begin(WALLET, await next_index(db))
    addresses = Addresses(KEY, records.given_out)
    try:
        yield records, addresses
    finally:
        addresses.close()
        records.given_out.close()


async def next_index(db: Database) -> int:
    return await db.read(lambda unit: wallets.next_index(unit, WALLET))


async def give_out(db: Database, addresses: Addresses, number: int) -> list[int]:
    """Give out addresses as sessions do, and return their indexes."""

    def take(unit: WriteUnit) -> int:
        while True:
            index = wallets.take_index(unit, WALLET)
            try:
                addresses.address(index)
            except ValueError:
                continue
            return index

    return [await db.write(take) for _ in range(number)]


async def restore(db: Database, next_index: int) -> None:
    """Have the database forget, as an earlier state of it does."""
    await db.write(
        lambda unit: unit.run("UPDATE wallets SET next_index = :next_index", {"next_index": next_index}),
    )


async def test_a_new_folder_joins_a_led_database_and_nothing_is_passed_over(db: Database, tmp_path: Path) -> None:
    async with process(db, tmp_path / "one", is_led=False) as (_, first):
        assert await give_out(db, first, 5) == [0, 1, 2, 3, 4]
        async with process(db, tmp_path / "two", is_led=True) as (_, second):
            assert await give_out(db, second, 2) == [5, 6]
            assert await give_out(db, first, 1) == [7]
    async with process(db, tmp_path / "one", is_led=False), process(db, tmp_path / "two", is_led=True):
        assert await next_index(db) == 8, "both folders are known from now on"


async def test_a_folder_without_a_record_passes_many_over_where_nobody_leads(db: Database, tmp_path: Path) -> None:
    async with process(db, tmp_path / "one", is_led=False) as (_, first):
        await give_out(db, first, 5)
    async with process(db, tmp_path / "elsewhere", is_led=False):
        assert await next_index(db) == 5 + LEAST_SKIPPED
    async with process(db, tmp_path / "one", is_led=False):
        assert await next_index(db) == 5 + LEAST_SKIPPED, "its own record is as good as before"


async def test_each_folder_knows_what_the_others_gave_out(db: Database, tmp_path: Path) -> None:
    async with process(db, tmp_path / "one", is_led=False) as (records, first):
        async with process(db, tmp_path / "two", is_led=True) as (_, second):
            await give_out(db, first, 2)
            await give_out(db, second, 40)
        await RecordKeeper(db, records).turn()
    (life,) = {each.life for each in notes(tmp_path / "one").values()}
    assert notes(tmp_path / "one")[WALLET] == GivenOutNote(42, life, 42)
    await restore(db, 2)
    async with process(db, tmp_path / "one", is_led=False) as (_, first):
        assert await give_out(db, first, 1) == [42 + LEAST_SKIPPED], "past what anybody gave out meanwhile, too"
    async with process(db, tmp_path / "two", is_led=True) as (_, second):
        assert await give_out(db, second, 1) == [42 + LEAST_SKIPPED + 1]


async def test_an_index_taken_in_vain_is_no_sign_of_an_earlier_state(db: Database, tmp_path: Path) -> None:
    async with process(db, tmp_path / "one", is_led=False) as (records, first):
        await give_out(db, first, 3)
        await RecordKeeper(db, records).turn()

        def fail(unit: WriteUnit) -> None:
            first.address(wallets.take_index(unit, WALLET))
            raise LookupError

        with pytest.raises(LookupError):
            await db.write(fail)
    assert notes(tmp_path / "one")[WALLET].next_index == 4
    async with process(db, tmp_path / "one", is_led=False) as (_, first):
        assert await give_out(db, first, 1) == [4]


async def test_a_running_process_gives_nothing_out_again_after_the_database_went_back(
    db: Database, tmp_path: Path
) -> None:
    async with process(db, tmp_path / "one", is_led=False) as (records, first):
        await give_out(db, first, 10)
        await RecordKeeper(db, records).turn()
        await give_out(db, first, 2)
        await restore(db, 3)
        with pytest.raises(AddressGivenOut):
            first.address(3)
        assert await give_out(db, first, 2) == [12, 13], "nor those of the last moment"


async def test_an_index_that_went_back_is_moved_up_again_for_processes_that_know_of_nothing(
    db: Database, tmp_path: Path
) -> None:
    async with process(db, tmp_path / "one", is_led=False) as (records, first):
        await give_out(db, first, 7)
        keeper = RecordKeeper(db, records, [(KEY, False)])
        await keeper.turn()
        await give_out(db, first, 3)
        await restore(db, 3)
        await keeper.turn()
        assert await next_index(db) == 10
        await keeper.turn()
        rows = await db.read(lambda unit: unit.all("SELECT derivation_index FROM unassigned_addresses"))
        assert [row[0] for row in rows] == [*range(10)], "no session has them here, so they are watched"
        async with process(db, tmp_path / "two", is_led=True) as (_, second):
            assert await give_out(db, second, 1) == [10]


@pytest.mark.parametrize("lacks_some", [False, True])
async def test_what_was_given_out_in_the_last_moment_is_not_given_out_again_in_another_life_of_the_server(
    db: Database, tmp_path: Path, *, lacks_some: bool
) -> None:
    async with process(db, tmp_path / "one", is_led=False) as (records, first):
        await give_out(db, first, 5)
        keeper = RecordKeeper(db, records)
        await keeper.turn()
        await give_out(db, first, 3)
        await restore(db, 6)
        await db.write(lambda unit: keeper.before_writing(unit, lacks_some=lacks_some))
        assert await give_out(db, first, 1) == [8 + (LEAST_SKIPPED if lacks_some else 0)]


@pytest.mark.parametrize("stored", [6, 8])
async def test_what_is_passed_over_before_it_is_committed_is_no_restore_and_is_recorded_once_it_is(
    db: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str], stored: int
) -> None:
    """The keeper takes its turn between the two, and reads the database as of before."""
    async with process(db, tmp_path / "one", is_led=False) as (records, first):
        await give_out(db, first, 8)
        keeper = RecordKeeper(db, records, [(KEY, False)])
        await keeper.turn()
        await restore(db, stored)
        passes, may_commit = threading.Event(), threading.Event()

        def pass_over(unit: WriteUnit) -> None:
            keeper.before_writing(unit, lacks_some=True)
            passes.set()
            assert may_commit.wait(WAIT_SECONDS)

        passing = asyncio.create_task(db.write(pass_over))
        await asyncio.to_thread(passes.wait, WAIT_SECONDS)
        turn = asyncio.create_task(keeper.turn())
        await until(lambda: turn.done() or db._queue, "the turn to end, or to wait for the commit")
        may_commit.set()
        await asyncio.gather(passing, turn)
        assert "it was restored to an earlier state" not in capsys.readouterr().out
        await keeper.turn()
        rows = await db.read(lambda unit: unit.all("SELECT derivation_index FROM unassigned_addresses"))
        assert [row[0] for row in rows] == [*range(8 + LEAST_SKIPPED)]


async def test_a_folder_that_others_went_on_without_passes_many_over_where_nobody_leads(
    db: Database, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        async with process(db, tmp_path / name, is_led=name == "two") as (_, addresses):
            await give_out(db, addresses, 4)
    skip = Skip(now(), lambda _: 0)
    for is_current, expected in ((True, 8), (False, 8 + LEAST_SKIPPED)):
        records = await wallet_start.apply_shared_records(
            db, tmp_path / "one", skip, "", is_led=False, is_current=is_current
        )
        records.given_out.close()
        assert await next_index(db) == expected


@pytest.mark.parametrize("is_current", [True, False])
async def test_a_wallet_that_a_restored_database_has_never_used_is_moved_past_what_others_gave_out(
    db: Database, tmp_path: Path, *, is_current: bool
) -> None:
    async with process(db, tmp_path / "one", is_led=False) as (records, first):
        await give_out(db, first, 4)
        await RecordKeeper(db, records).turn()
    async with process(db, tmp_path / "two", is_led=True) as (_, second):
        await give_out(db, second, 40)
    await db.write(lambda unit: unit.run("DELETE FROM wallets"))
    skip = Skip(now(), lambda _: 0)
    records = await wallet_start.apply_shared_records(
        db, tmp_path / "one", skip, "", is_led=False, is_current=is_current
    )
    records.given_out.close()
    assert await next_index(db) == 4 + LEAST_SKIPPED, "the folder doesn't know of the other one's forty"


@pytest.mark.parametrize("lacks_some", [None, False, True])
async def test_a_wallet_that_a_database_lacks_is_moved_past_what_running_processes_gave_out(
    db: Database, tmp_path: Path, *, lacks_some: bool | None
) -> None:
    """It was restored to a moment before the wallet's first address, under the server; None: its session lived on."""
    async with process(db, tmp_path / "one", is_led=False) as (records, first):
        await give_out(db, first, 4)
        keeper = RecordKeeper(db, records, [(KEY, False)])
        await keeper.turn()
        await db.write(lambda unit: unit.run("DELETE FROM wallets"))
        if lacks_some is not None:
            await db.write(lambda unit: keeper.before_writing(unit, lacks_some=lacks_some))
        await keeper.turn()
        async with process(db, tmp_path / "two", is_led=True) as (_, second):
            assert await give_out(db, second, 1) == [4 + (LEAST_SKIPPED if lacks_some else 0)]
