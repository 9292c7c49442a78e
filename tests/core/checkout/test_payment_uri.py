"""Payment links, read back by the grammar of EIP-681: https://eips.ethereum.org/EIPS/eip-681."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.payment_uri import payment_uri, transaction_request

# The published vector of EIP-55, and USDC on Ethereum.
TO = Address("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")
CHECKED_TO = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
USDC = Address("0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48")
CHECKED_USDC = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"

GRAMMAR = re.compile(r"ethereum:(0x[0-9a-fA-F]{40})@([0-9]+)(?:/([a-z]+))?\?([a-z0-9=&A-Zx]+)")

addresses = st.binary(min_size=20, max_size=20).map(lambda raw: Address("0x" + raw.hex()))
units_of_a_word = st.integers(1, 2**256 - 1)


@pytest.mark.parametrize("chain_id", [1, 1337, 8453])
def test_a_coin_is_asked_for_by_its_value_in_wei(chain_id: int) -> None:
    uri = payment_uri(Asset(chain_id, "ETH", 18), TO, 3_333_340_000_000_000)
    assert uri == f"ethereum:{CHECKED_TO}@{chain_id}?value=3333340000000000"


def test_a_token_is_asked_for_by_a_call_of_its_transfer() -> None:
    uri = payment_uri(Asset(1, "USDC", 6, USDC, usd_pegged=True), TO, 10_000_000)
    assert uri == f"ethereum:{CHECKED_USDC}@1/transfer?address={CHECKED_TO}&uint256=10000000"


@given(st.integers(1, 2**53), addresses, addresses, units_of_a_word)
def test_a_wallet_reads_what_was_meant(chain_id: int, to: Address, contract: Address, units: int) -> None:
    coin = GRAMMAR.fullmatch(payment_uri(Asset(chain_id, "ETH", 18), to, units))
    assert coin is not None
    assert coin.groups() == (checksum(to), str(chain_id), None, f"value={units}")
    token = GRAMMAR.fullmatch(payment_uri(Asset(chain_id, "TOK", 6, contract), to, units))
    assert token is not None
    assert token[3] == "transfer"
    assert dict(pair.split("=") for pair in token[4].split("&")) == {"address": checksum(to), "uint256": str(units)}
    assert (token[1], token[2]) == (checksum(contract), str(chain_id))


@given(st.integers(1, 2**53), addresses, addresses, units_of_a_word)
def test_the_transaction_is_what_the_uri_says(chain_id: int, to: Address, contract: Address, units: int) -> None:
    coin = transaction_request(payment_uri(Asset(chain_id, "ETH", 18), to, units))
    assert (coin.chain_id, coin.to, int(coin.value, 16), coin.data) == (chain_id, checksum(to), units, "0x")
    token = transaction_request(payment_uri(Asset(chain_id, "TOK", 6, contract), to, units))
    assert (token.chain_id, token.to, token.value) == (chain_id, checksum(contract), "0x0")
    assert token.data == "0xa9059cbb" + to[2:].rjust(64, "0") + f"{units:064x}"


@pytest.mark.parametrize("uri", ["", "bitcoin:x", f"ethereum:{CHECKED_TO}", f"ethereum:{CHECKED_TO}@1?value=1&gas=2"])
def test_no_transaction_is_made_of_another_uri(uri: str) -> None:
    with pytest.raises(ValueError, match="not a payment URI of ours"):
        transaction_request(uri)
