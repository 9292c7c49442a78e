import threading
from pathlib import Path

from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.core.address import Address
from crypto_checkout.services.checkout.addresses import AHEAD, Addresses
from crypto_checkout.store.data_folder.given_out import GivenOut
from tests.support.shop import XPUB

KEY = ExtendedPublicKey.parse(XPUB)


class Watched:
    """A wallet that notes which thread derived which index."""

    wallet_id = KEY.wallet_id

    def __init__(self) -> None:
        self.derived: dict[int, str] = {}

    def address(self, index: int) -> Address:
        self.derived[index] = threading.current_thread().name
        return KEY.address(index)


def test_addresses_are_the_wallets_own_in_any_order(tmp_path: Path) -> None:
    addresses = Addresses(KEY, GivenOut(tmp_path))
    try:
        for index in (0, 1, 2, 200, 3, 201, 0, 1000):
            assert addresses.address(index) == KEY.address(index)
    finally:
        addresses.close()


def test_an_address_that_was_prepared_is_not_derived_by_who_takes_it(tmp_path: Path) -> None:
    wallet = Watched()
    addresses = Addresses(wallet, GivenOut(tmp_path))
    addresses.prepare(0)
    assert addresses._deriving is not None
    addresses._deriving.result(timeout=10)
    for index in range(AHEAD // 2):
        addresses.address(index)
    addresses.close()
    assert all(wallet.derived[index].startswith("addresses") for index in range(AHEAD // 2))


def test_what_was_passed_over_is_forgotten(tmp_path: Path) -> None:
    addresses = Addresses(KEY, GivenOut(tmp_path))
    addresses.prepare(0)
    addresses.address(5000)
    addresses.close()
    assert len(addresses._ready) <= 2 * AHEAD


def test_what_was_given_out_is_known_beside_the_database(tmp_path: Path) -> None:
    given_out = GivenOut(tmp_path)
    assert given_out.next_index(KEY.wallet_id) == 0
    addresses = Addresses(KEY, given_out)
    for index in (0, 1, 12):
        addresses.address(index)
    addresses.close()
    given_out.close()
    assert GivenOut(tmp_path).next_index(KEY.wallet_id) == 13
    assert GivenOut(tmp_path).next_index("another") == 0
