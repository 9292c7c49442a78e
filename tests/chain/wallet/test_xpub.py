"""Deposit addresses: equal to what every other wallet derives, and clear about what can't be used.

Measured, not tested: with coincurve an address takes 0.08 ms, without it 5 ms.
"""

import random
import subprocess
import sys

import base58
import pytest

from crypto_checkout.chain.wallet import xpub as room
from crypto_checkout.chain.wallet.mnemonic import new_wallet
from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey, InvalidChild
from crypto_checkout.core.address import of_public_key
from tests.support.wallets import xpub_of

WORDS = "test test test test test test test test test test test junk"  # anvil's and hardhat's
COUNT = 1000

# Parent, index, child: every step of BIP-32's vectors 1 and 2 that public derivation can make.
STEPS = [
    (
        "xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEjWgP6LHhwBZeNK1VTsfTFUHCdrfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw",
        1,
        "xpub6ASuArnXKPbfEwhqN6e3mwBcDTgzisQN1wXN9BJcM47sSikHjJf3UFHKkNAWbWMiGj7Wf5uMash7SyYq527Hqck2AxYysAA7xmALppuCkwQ",
    ),
    (
        "xpub6D4BDPcP2GT577Vvch3R8wDkScZWzQzMMUm3PWbmWvVJrZwQY4VUNgqFJPMM3No2dFDFGTsxxpG5uJh7n7epu4trkrX7x7DogT5Uv6fcLW5",
        2,
        "xpub6FHa3pjLCk84BayeJxFW2SP4XRrFd1JYnxeLeU8EqN3vDfZmbqBqaGJAyiLjTAwm6ZLRQUMv1ZACTj37sR62cfN7fe5JnJ7dh8zL4fiyLHV",
    ),
    (
        "xpub6FHa3pjLCk84BayeJxFW2SP4XRrFd1JYnxeLeU8EqN3vDfZmbqBqaGJAyiLjTAwm6ZLRQUMv1ZACTj37sR62cfN7fe5JnJ7dh8zL4fiyLHV",
        1000000000,
        "xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSVqNTEcYFgJS2UaFcxupHiYkro49S8yGasTvXEYBVPamhGW6cFJodrTHy",
    ),
    (
        "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY47LJhkJ8UB7WEGuduB",
        0,
        "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH",
    ),
    (
        "xpub6ASAVgeehLbnwdqV6UKMHVzgqAG8Gr6riv3Fxxpj8ksbH9ebxaEyBLZ85ySDhKiLDBrQSARLq1uNRts8RuJiHjaDMBU4Zn9h8LZNnBC5y4a",
        1,
        "xpub6DF8uhdarytz3FWdA8TvFSvvAh8dP3283MY7p2V4SeE2wyWmG5mg5EwVvmdMVCQcoNJxGoWaU9DCWh89LojfZ537wTfunKau47EL2dhHKon",
    ),
    (
        "xpub6ERApfZwUNrhLCkDtcHTcxd75RbzS1ed54G1LkBUHQVHQKqhMkhgbmJbZRkrgZw4koxb5JaHWkY4ALHY2grBGRjaDMzQLcgJvLJuZZvRcEL",
        2,
        "xpub6FnCn6nSzZAw5Tw7cgR9bi15UV96gLZhjDstkXXxvCLsUXBGXPdSnLFbdpq8p9HmGsApME5hQTZ3emM2rnY5agb9rXpVGyy3bdW6EEgAtqt",
    ),
]
MASTER, DEPTH_1, DEPTH_2 = STEPS[3][0], STEPS[0][0], STEPS[0][2]
DEPTH_5 = STEPS[2][2]
# A published private key (vector 1, m/0'/1/2'): its secret is in the BIP for all to read.
PRIVATE = (
    "xprv9z4pot5VBttmtdRTWfWQmoH1taj2axGVzFqSb8C9xaxKymcFzXBDptWmT7FwuEzG3ryjH4ktypQSAewRiNMjANTtpgP4mLTj34bhnZX7UiM"
)


@pytest.fixture(scope="module")
def account() -> ExtendedPublicKey:
    return ExtendedPublicKey.parse(xpub_of(WORDS))


@pytest.mark.parametrize(("parent", "index", "child"), STEPS)
def test_the_published_vectors_of_bip_32_come_out(parent: str, index: int, child: str) -> None:
    assert str(ExtendedPublicKey.decode(parent).child(index)) == child


def test_a_thousand_addresses_are_those_of_the_bip32_package_at_both_levels(account: ExtendedPublicKey) -> None:
    bip32 = pytest.importorskip("bip32")
    coincurve = pytest.importorskip("coincurve")
    oracle = bip32.BIP32.from_xpub(str(account))
    receiving = ExtendedPublicKey.parse(oracle.get_xpub_from_path("m/0"))

    for index in range(COUNT):
        point = coincurve.PublicKey(oracle.get_pubkey_from_path([0, index])).format(compressed=False)[1:]
        address = of_public_key(point)
        assert account.address(index) == receiving.address(index) == address


def test_addresses_are_those_that_a_wallet_with_the_mnemonic_spends_from(account: ExtendedPublicKey) -> None:
    from eth_account.hdaccount import key_from_seed, seed_from_mnemonic
    from eth_keys.datatypes import PrivateKey

    seed = seed_from_mnemonic(WORDS, "")
    base = "m/44'/60'/0'/0/{}".format

    for index in [*range(COUNT), 2**31 - 1]:
        key = PrivateKey(key_from_seed(seed, base(index)))
        assert account.address(index) == key.public_key.to_address()


def test_the_first_address_of_anvils_mnemonic_is_the_one_everybody_knows(account: ExtendedPublicKey) -> None:
    assert account.address(0) == "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"


def test_an_accounts_key_and_its_receiving_chain_share_addresses_and_so_the_wallet_id(
    account: ExtendedPublicKey,
) -> None:
    receiving = ExtendedPublicKey.parse(str(account.child(0)))

    assert receiving.wallet_id == account.wallet_id
    assert [receiving.address(i) for i in range(5)] == [account.address(i) for i in range(5)]


def test_another_wallet_has_another_id(account: ExtendedPublicKey) -> None:
    assert ExtendedPublicKey.parse(xpub_of(WORDS, "a passphrase")).wallet_id != account.wallet_id


def test_the_id_of_a_wallet_never_changes_because_the_database_keys_on_it(account: ExtendedPublicKey) -> None:
    assert account.wallet_id == "7294f375054f2e69"


def test_parsing_and_writing_are_inverse_and_blanks_around_are_ignored(account: ExtendedPublicKey) -> None:
    assert ExtendedPublicKey.parse(f"  {account}\n") == account


def test_the_key_does_not_show_in_a_repr(account: ExtendedPublicKey) -> None:
    assert account.wallet_id in repr(account)
    assert str(account)[10:40] not in repr(account)
    assert account.chain_code.hex() not in repr(account)


@pytest.mark.parametrize("index", [-1, 2**31, 2**32])
def test_an_index_outside_public_derivation_is_refused(account: ExtendedPublicKey, index: int) -> None:
    with pytest.raises(ValueError, match="an index is from 0 to 2147483647"):
        account.address(index)


def test_the_child_that_does_not_exist_is_an_error_of_its_own(
    account: ExtendedPublicKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No such index can be found by search (2^127 hashes), so the curve is made to answer as it would.
    monkeypatch.setattr(room, "add_to_point", lambda _point, _scalar: None)

    with pytest.raises(InvalidChild, match="no child number 7"):
        account.address(7)


# --- two ways of adding on the curve ---------------------------------------------------------------------------------

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.mark.skipif(not room.HAS_COINCURVE, reason="coincurve has no wheel here")
def test_pure_python_adds_as_coincurve_does(account: ExtendedPublicKey) -> None:
    dice = random.Random(32)
    scalars = [0, 1, 2, ORDER - 1, ORDER, ORDER + 1, 2**256 - 1, *(dice.getrandbits(256) for _ in range(60))]

    for scalar in scalars:
        for point in (account.point, account.child(scalar % 1000).point):
            data = scalar.to_bytes(32, "big")
            assert room._add_in_python(point, data) == room._add_with_coincurve(point, data), scalar


@pytest.mark.parametrize("way", [room._add_in_python, room.add_to_point])
def test_a_sum_that_is_no_point_is_none(way: room.AddToPoint) -> None:
    generator = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")

    assert way(generator, (ORDER - 1).to_bytes(32, "big")) is None  # the point at infinity
    assert way(generator, ORDER.to_bytes(32, "big")) is None  # not below the order


def test_without_coincurve_the_same_addresses_come_out_and_web3_is_not_imported(account: ExtendedPublicKey) -> None:
    program = (
        "import sys; sys.modules['coincurve'] = None\n"
        "from crypto_checkout.chain.wallet.xpub import HAS_COINCURVE, ExtendedPublicKey\n"
        "key = ExtendedPublicKey.parse(sys.argv[1])\n"
        "assert not HAS_COINCURVE and 'web3' not in sys.modules\n"
        "print(*(key.address(i) for i in range(20)), key.wallet_id)\n"
    )

    answer = subprocess.run(
        [sys.executable, "-c", program, str(account)], capture_output=True, text=True, check=True, timeout=60
    )

    assert answer.stdout.split() == [*(account.address(i) for i in range(20)), account.wallet_id]


# --- what people paste instead ---------------------------------------------------------------------------------------


def _made(
    version: str = "0488b21e", depth: int = 3, number: int = 2**31, point: bytes | None = None, more: bytes = b""
) -> str:
    good = ExtendedPublicKey.decode(MASTER)
    head = bytes.fromhex(version) + bytes((depth,)) + bytes(4) + number.to_bytes(4, "big")
    return base58.b58encode_check(head + good.chain_code + (point or good.point) + more).decode()


WRONG = {
    "nothing": ("", "it is empty"),
    "a private key": (PRIVATE, "this is a private key; never put it on a server"),
    "a damaged private key": (PRIVATE[:-3], "this is a private key; never put it on a server"),
    "a private key of a test network": (_made("04358394"), "this is a private key"),
    "a private key of segwit": (_made("04b2430c"), "this is a private key"),
    "a recovery phrase": (WORDS, "this looks like a recovery phrase; never put it on a server"),
    "a raw private key": ("0x" + "4f" * 32, "this looks like a private key; never put it on a server"),
    "a raw private key without 0x": ("4f" * 32, "this looks like a private key"),
    "an address": ("0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266", "this is a single address"),
    "a raw public key": ("02" + "4f" * 32, "this is hexadecimal text"),
    "a key of a test network": (_made("043587cf"), "tpub…, the key of a test network"),
    "a key of nested segwit": (_made("049d7cb2"), "ypub…, the key of a Bitcoin SegWit account"),
    "a key of segwit": (_made("04b24746"), "zpub…, the key of a Bitcoin SegWit account"),
    "an unknown version": (_made("0488b21f"), "not an extended public key"),
    "a changed letter": (_made()[:50] + ("A" if _made()[50] != "A" else "B") + _made()[51:], "the checksum"),
    "a lost letter": (_made()[:-1], "the checksum"),
    "a letter that base58 has not": (_made()[:-1] + "0", "the checksum"),
    "another text": ("hello", "this is not an extended public key"),
    "letters that are no letters here": ("xpub…", "the checksum"),
    "a longer key": (_made(more=b"\x00"), "not an extended public key"),
    "a point off the curve": (_made(point=b"\x02" + bytes(31) + b"\x05"), "no point of the curve"),
    "a point beyond the field": (_made(point=b"\x02" + b"\xff" * 32), "no point of the curve"),
    "a point with another prefix": (_made(point=b"\x04" + bytes(31) + b"\x01"), "no point of the curve"),
    "the private half under a public version": (_made(point=b"\x00" + bytes(31) + b"\x01"), "no point of the curve"),
    "the master key": (MASTER, "this is the wallet's master key"),
    "depth 1": (DEPTH_1, "depth 1, above the account"),
    "depth 2": (DEPTH_2, "depth 2, above the account"),
    "depth 5": (DEPTH_5, "the key of a single address"),
    "depth 6": (_made(depth=6), "a key of depth 6"),
    "depth 3 that is no account": (_made(number=0), "is no account"),
    "depth 4 behind a hardened step": (_made(depth=4), "hardened step"),
}


@pytest.mark.parametrize(("text", "why"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_account_key_is_refused_with_its_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        ExtendedPublicKey.parse(text)

    assert "xpub" in str(caught.value) or "curve" in str(caught.value)


@pytest.mark.parametrize("text", [PRIVATE, WORDS, "0x" + "4f" * 32, PRIVATE.replace("xprv", "xpub")])
def test_no_message_repeats_a_secret(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - what it says is tested above
        ExtendedPublicKey.parse(text)

    shown = f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__suppress_context__}"
    assert "junk" not in shown
    assert text[10:30] not in shown


def test_both_levels_of_the_contract_are_taken() -> None:
    assert ExtendedPublicKey.parse(_made(depth=3)).depth == 3
    assert ExtendedPublicKey.parse(_made(depth=4, number=0)).depth == 4


# --- the mnemonic ----------------------------------------------------------------------------------------------------


def test_a_new_wallet_has_the_words_of_bip_39_and_the_xpub_of_its_account() -> None:
    wallet = new_wallet(bytes(16))  # vector 1 of BIP-39

    assert wallet.mnemonic == "abandon " * 11 + "about"
    assert wallet.xpub == xpub_of(wallet.mnemonic)


def test_the_xpub_is_the_one_other_wallets_export() -> None:
    bip32 = pytest.importorskip("bip32")
    from eth_account.hdaccount import seed_from_mnemonic

    for passphrase in ("", "TREZOR", "pass phräse"):
        oracle = bip32.BIP32.from_seed(seed_from_mnemonic(WORDS, passphrase))
        assert xpub_of(WORDS, passphrase) == oracle.get_xpub_from_path("m/44'/60'/0'")


def test_every_entropy_gives_a_phrase_that_leads_back_to_its_xpub() -> None:
    dice = random.Random(39)

    for _ in range(5):
        wallet = new_wallet(dice.randbytes(16))
        assert len(wallet.mnemonic.split()) == 12
        assert xpub_of(wallet.mnemonic) == wallet.xpub


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_a_wallet_takes_sixteen_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="takes 16 bytes"):
        new_wallet(bytes(size))


def test_the_words_are_in_no_repr() -> None:
    wallet = new_wallet(bytes(16))

    assert "abandon" not in repr(wallet)
