"""Addresses: one form inside, EIP-55 outside."""

import pytest

from crypto_checkout.core.address import Address, checksum, keccak_256, of_public_key, parse

# The vectors of EIP-55, https://eips.ethereum.org/EIPS/eip-55: all caps, all lower, then normal.
PUBLISHED = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]


@pytest.mark.parametrize("text", PUBLISHED)
def test_the_published_vectors_of_eip_55_come_out(text: str) -> None:
    assert checksum(Address(text.lower())) == text


@pytest.mark.parametrize("text", PUBLISHED)
def test_lower_upper_and_checksummed_text_are_the_same_address(text: str) -> None:
    upper = "0x" + text[2:].upper()

    assert parse(text) == parse(text.lower()) == parse(upper) == parse(text.upper()) == text.lower()


@pytest.mark.parametrize("position", range(2, 42))
def test_one_letter_in_the_wrong_case_is_refused(position: int) -> None:
    text = PUBLISHED[4]
    if not text[position].isalpha():
        return
    wrong = text[:position] + text[position].swapcase() + text[position + 1 :]

    with pytest.raises(ValueError, match="checksum"):
        parse(wrong)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "begins with 0x"),
        ("52908400098527886E0F7030069857D2E4169EE7", "begins with 0x"),
        ("0x", "has 0 characters"),
        ("0x52908400098527886E0F7030069857D2E4169EE", "has 39 characters"),
        ("0x52908400098527886E0F7030069857D2E4169EE7\n", "has 41 characters"),
        ("0x52908400098527886E0F7030069857D2E4169EEg", "no hexadecimal digits"),
        ("0x٣2908400098527886E0F7030069857D2E4169EE7", "no hexadecimal digits"),
        ("vitalik.eth", "begins with 0x"),
    ],
)
def test_what_is_no_address_is_refused_with_its_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(text)


def test_an_address_is_the_end_of_its_public_keys_hash() -> None:
    # The key of private key 1: the curve's generator. Its address is known from every tool.
    generator = bytes.fromhex(
        "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
        "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
    )

    assert checksum(of_public_key(generator)) == "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"


def test_the_hash_is_keccak_and_not_sha3() -> None:
    assert keccak_256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
