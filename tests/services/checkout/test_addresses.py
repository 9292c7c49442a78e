import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ResourceNotFound
from crypto_checkout.services.checkout.addresses import AHEAD, Addresses
from crypto_checkout.store import group_commit
from crypto_checkout.store.checkout import wallets
from crypto_checkout.store.data_folder.given_out import GivenOut, GivenOutNote, notes
from crypto_checkout.store.database import WriteUnit
from crypto_checkout.store.units import EngineConnection
from tests.support.api import open_app
from tests.support.shop import XPUB
from tests.support.waiting import WAIT_SECONDS

KEY = ExtendedPublicKey.parse(XPUB)


class Watched:
    """A wallet that notes which thread derived which index."""

    wallet_id = KEY.wallet_id
    branch = KEY.branch

    def __init__(self, *, is_quick: bool = True) -> None:
        self.is_quick = is_quick
        self.derived: dict[int, str] = {}

    def address(self, index: int) -> Address:
        self.derived[index] = threading.current_thread().name
        return KEY.address(index)


async def test_addresses_are_the_wallets_own_in_any_order(tmp_path: Path) -> None:
    addresses = Addresses(KEY, GivenOut(tmp_path, "life"))
    try:
        for index in (0, 1, 2, 200, 3, 201, 0, 1000):
            assert addresses.address(index) == KEY.address(index)
    finally:
        addresses.close()


@pytest.mark.parametrize("is_quick", [True, False], ids=["on the loop", "on a thread"])
async def test_an_address_that_was_prepared_is_not_derived_by_who_takes_it(tmp_path: Path, is_quick: bool) -> None:
    wallet = Watched(is_quick=is_quick)
    addresses = Addresses(wallet, GivenOut(tmp_path, "life"))
    addresses.prepare(0)
    assert not is_quick or not wallet.derived  # nothing is held up
    await _derived(addresses)
    assert [*wallet.derived] == [*range(AHEAD)]
    where = threading.current_thread().name if is_quick else "addresses_0"
    assert {*wallet.derived.values()} == {where}
    wallet.derived.clear()
    for index in range(AHEAD // 2):
        addresses.address(index)
    addresses.close()
    assert all(index >= AHEAD for index in wallet.derived)


async def test_the_next_addresses_are_derived_when_half_of_them_are_taken_on_any_thread(tmp_path: Path) -> None:
    wallet = Watched()
    addresses = Addresses(wallet, GivenOut(tmp_path, "life"))
    addresses.prepare(0)
    await _derived(addresses)
    for index in range(AHEAD // 2 + 1):
        await asyncio.to_thread(addresses.address, index)
    await _derived(addresses)
    assert max(wallet.derived) >= AHEAD + AHEAD // 2
    assert {*wallet.derived.values()} == {threading.current_thread().name}
    addresses.close()


async def test_what_was_passed_over_is_forgotten(tmp_path: Path) -> None:
    addresses = Addresses(KEY, GivenOut(tmp_path, "life"))
    addresses.prepare(0)
    await _derived(addresses)
    addresses.address(5000)
    await _derived(addresses)
    addresses.close()
    assert 0 < len(addresses._ready) <= AHEAD


async def test_what_was_given_out_is_known_beside_the_database(tmp_path: Path) -> None:
    given_out = GivenOut(tmp_path, "life")
    assert notes(tmp_path) == {}
    addresses = Addresses(KEY, given_out)
    for index in (0, 1, 12):
        addresses.address(index)
    addresses.close()
    given_out.write()
    given_out.close()
    assert notes(tmp_path) == {KEY.wallet_id: GivenOutNote(13, "life")}


def take_and_fail(unit: WriteUnit) -> None:
    wallets.take_index(unit, "of nobody")
    raise ResourceNotFound("it has changed something, so that each unit of its group needs a savepoint")


async def test_what_is_given_out_together_is_recorded_once_and_before_it_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[bool] = []
    written: list[str] = []
    finish, write_line = group_commit.Group.finish, GivenOut._write_line

    def finish_watched(group: Any, connection: Any, commit: Any = group_commit._commit) -> None:
        def commit_watched(connection: EngineConnection, outcomes: Any) -> None:
            stored = {row[0]: row[1] for row in connection.execute("SELECT wallet_id, next_index FROM wallets")}
            noted = {wallet_id: note.next_index for wallet_id, note in notes(tmp_path).items()}
            recorded.append(stored.items() == noted.items())
            commit(connection, outcomes)

        finish(group, connection, commit_watched)

    def write_noting(self: GivenOut, wallet_id: str, next_index: int) -> int:
        written.append(wallet_id)
        return write_line(self, wallet_id, next_index)

    async with open_app(tmp_path) as app:
        price = {"amount": {"value": "10.00", "currency": "USD"}}
        await app.api.post("/checkout_sessions", json=price)
        monkeypatch.setattr(group_commit.Group, "finish", finish_watched)
        monkeypatch.setattr(GivenOut, "_write_line", write_noting)
        for number in (1, 2, 20):
            failing = [app.opened.db.write(take_and_fail, quick=True)] if number == 2 else []
            posts = [app.api.post("/checkout_sessions", json=price) for _ in range(number)]
            await asyncio.gather(*posts, *failing, return_exceptions=True)
    assert all(recorded)
    assert len(written) <= len(recorded) < 23


def test_the_record_of_an_earlier_version_is_read_and_its_writes_keep_the_life(tmp_path: Path) -> None:
    path = tmp_path / "given-out-w"
    path.write_text("000000000007\n", "ascii")
    assert notes(tmp_path) == {"w": GivenOutNote(7, None)}
    given_out = GivenOut(tmp_path, "life")
    given_out.note("w", 7)
    given_out.write()
    given_out.close()
    with path.open("r+b") as file:
        file.write(b"000000000009\n")
    assert notes(tmp_path) == {"w": GivenOutNote(9, "life")}


async def _derived(addresses: Addresses) -> None:
    """Wait until no address is being derived."""
    async with asyncio.timeout(WAIT_SECONDS):
        while addresses._is_deriving:
            await asyncio.sleep(0)
