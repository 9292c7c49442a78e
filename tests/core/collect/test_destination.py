"""A cold address is taken only where no slip of the hand can have changed it, and no secret is repeated."""

import pytest

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.collect import contracts
from crypto_checkout.core.collect.destination import parse_destination

GOOD = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"


def test_the_spelling_of_eip_55_is_taken_with_spaces_around_it() -> None:
    assert parse_destination(f" {GOOD}\n") == GOOD.lower()


@pytest.mark.parametrize("text", [GOOD.lower(), GOOD.upper().replace("X", "x"), GOOD.replace("E7", "e7")])
def test_any_other_spelling_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="EIP-55"):
        parse_destination(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (KEY, "private key"),
        (f"0x{KEY}", "private key"),
        (f"xprv{KEY}", "private key"),
        ("test test test junk", "recovery phrase"),
        (f"xpub{KEY}", "extended public key"),
        (GOOD[:-1], "40 digits"),
        ("ada.eth", "40 digits"),
    ],
)
def test_other_things_that_people_paste_are_refused_and_never_repeated(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        parse_destination(text)
    assert text not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["0x" + "00" * 20, "0x" + "00" * 19 + "01", contracts.CREATE2_PROXY, contracts.COLLECTOR.address]
)
def test_addresses_that_nobody_owns_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match="nobody owns"):
        parse_destination(checksum(Address(address)))
