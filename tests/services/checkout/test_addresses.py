import threading
from pathlib import Path

from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.core.address import Address
from crypto_checkout.services.checkout.addresses import AHEAD, Addresses
from crypto_checkout.store.data_folder.given_out import GivenOut, GivenOutNote, notes
from tests.support.shop import XPUB
from tests.support.waiting import WAIT_SECONDS

KEY = ExtendedPublicKey.parse(XPUB)


class Watched:
    """A wallet that notes which thread derived which index."""

    wallet_id = KEY.wallet_id
    branch = KEY.branch

    def __init__(self) -> None:
        self.derived: dict[int, str] = {}

    def address(self, index: int) -> Address:
        self.derived[index] = threading.current_thread().name
        return KEY.address(index)


def test_addresses_are_the_wallets_own_in_any_order(tmp_path: Path) -> None:
    addresses = Addresses(KEY, GivenOut(tmp_path, "life"))
    try:
        for index in (0, 1, 2, 200, 3, 201, 0, 1000):
            assert addresses.address(index) == KEY.address(index)
    finally:
        addresses.close()


def test_an_address_that_was_prepared_is_not_derived_by_who_takes_it(tmp_path: Path) -> None:
    wallet = Watched()
    addresses = Addresses(wallet, GivenOut(tmp_path, "life"))
    addresses.prepare(0)
    assert addresses._deriving is not None
    addresses._deriving.result(timeout=WAIT_SECONDS)
    for index in range(AHEAD // 2):
        addresses.address(index)
    addresses.close()
    assert all(wallet.derived[index].startswith("addresses") for index in range(AHEAD // 2))


def test_what_was_passed_over_is_forgotten(tmp_path: Path) -> None:
    addresses = Addresses(KEY, GivenOut(tmp_path, "life"))
    addresses.prepare(0)
    addresses.address(5000)
    addresses.close()
    assert len(addresses._ready) <= 2 * AHEAD


def test_what_was_given_out_is_known_beside_the_database(tmp_path: Path) -> None:
    given_out = GivenOut(tmp_path, "life")
    assert notes(tmp_path) == {}
    addresses = Addresses(KEY, given_out)
    for index in (0, 1, 12):
        addresses.address(index)
    addresses.close()
    given_out.close()
    assert notes(tmp_path) == {KEY.wallet_id: GivenOutNote(13, "life")}


def test_the_record_of_an_earlier_version_is_read_and_its_writes_keep_the_life(tmp_path: Path) -> None:
    path = tmp_path / "given-out-w"
    path.write_text("000000000007\n", "ascii")
    assert notes(tmp_path) == {"w": GivenOutNote(7, None)}
    given_out = GivenOut(tmp_path, "life")
    given_out.note("w", 7)
    given_out.close()
    with path.open("r+b") as file:
        file.write(b"000000000009\n")
    assert notes(tmp_path) == {"w": GivenOutNote(9, "life")}
