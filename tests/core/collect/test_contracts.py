"""Addresses of the collecting contracts, as the source compiles and as the ABI says."""

import json
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

import crypto_checkout.core.collect
from crypto_checkout.core.address import Address, checksum, keccak_256, parse
from crypto_checkout.core.collect import bytecode, calls, contracts
from crypto_checkout.core.collect.contracts import COLLECTOR, FORWARDER
from crypto_checkout.core.collect.deposits import Deposits, code, init_code, salt
from crypto_checkout.http.docs.contents import guide_text
from tests.support import solidity

SOURCE = Path(crypto_checkout.core.collect.__file__).with_name("Collect.sol")
SETTINGS = {
    "optimizer": {"enabled": True, "runs": 200},
    "evmVersion": "paris",
    "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
}
ONES = Address("0x" + "11" * 20)
ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda each: Address("0x" + each.hex()))
WORDS = st.binary(min_size=32, max_size=32)


@pytest.fixture(scope="module")
def compiled(solc: solidity.Compiler) -> dict[str, Any]:
    return solidity.compile_source(solc, SOURCE, json.dumps(SETTINGS))


def test_the_bytes_in_the_package_are_what_the_source_compiles_to(compiled: dict[str, Any]) -> None:
    assert {name: compiled[name]["bytecode"]["object"] for name in ("Forwarder", "Collector", "Delegate")} == {
        "Forwarder": bytecode.FORWARDER.hex(),
        "Collector": bytecode.COLLECTOR.hex(),
        "Delegate": bytecode.DELEGATE.hex(),
    }


def test_the_hashes_are_those_of_the_compiled_code_with_its_immutables(compiled: dict[str, Any]) -> None:
    arguments = {
        contracts.FORWARDER: b"",
        contracts.COLLECTOR: contracts.word(contracts.FORWARDER.address),
        contracts.delegate(ONES): contracts.word(ONES),
    }
    for contract, word in arguments.items():
        made = compiled[contract.name]["deployedBytecode"]
        runtime = bytearray.fromhex(made["object"])
        for places in made["immutableReferences"].values():
            for place in places:
                runtime[place["start"] : place["start"] + place["length"]] = word

        assert contract.code_hash == "0x" + keccak_256(bytes(runtime)).hex(), contract.name


def test_the_addresses_are_the_published_ones() -> None:
    assert contracts.FORWARDER.address == parse("0x21C85a04732cb67113dA1816491E35d27eE66863")
    assert contracts.COLLECTOR.address == parse("0x78dB5f3D2cefdA94F311665f28EA9a3D466365B1")
    assert Deposits(ONES).address(0) == parse("0x767D59368272520bf685A63b48ADA9ac896Da9F5")


def test_a_topic_is_the_hash_of_its_event() -> None:
    assert "0x" + keccak_256(b"Collected(address,address,uint256)").hex() == contracts.COLLECTED_TOPIC


def test_a_deposit_returns_its_code_and_ends_with_the_destination() -> None:
    assert len(code(ONES)) == 71
    assert init_code(ONES)[10:] == code(ONES)
    assert code(ONES)[51:] == bytes.fromhex("11" * 20)


def test_a_label_gives_other_addresses_and_none_is_the_plain_index() -> None:
    assert salt(7) == (7).to_bytes(32)
    assert salt(7, "shop") == keccak_256(keccak_256(b"shop") + (7).to_bytes(32))
    assert len({Deposits(ONES, label).address(7) for label in ("", "a", "b")}) == 3


def test_money_for_the_zero_address_has_no_delegate() -> None:
    with pytest.raises(ValueError, match="zero address"):
        contracts.delegate(calls.COIN)


@given(ADDRESSES, st.dictionaries(ADDRESSES, st.lists(WORDS, max_size=4), max_size=4))
def test_a_collection_is_encoded_as_the_abi_says(destination: Address, salts: dict[Address, list[bytes]]) -> None:
    arguments = encode(["address", "(address,bytes32[])[]"], [destination, list(salts.items())])

    assert calls.collect(destination, salts)[4:] == arguments


@given(st.dictionaries(ADDRESSES, st.lists(ADDRESSES, max_size=4), max_size=4))
def test_a_collection_from_accounts_is_encoded_as_the_abi_says(accounts: dict[Address, list[Address]]) -> None:
    assert calls.collect_from(accounts)[4:] == encode(["(address,address[])[]"], [list(accounts.items())])


def test_the_guide_names_the_contracts_and_the_hashes_of_their_code() -> None:
    text = guide_text("cold-address", "")
    proxy = (contracts.CREATE2_PROXY, contracts.CREATE2_PROXY_CODE_HASH)
    for address, code_hash in (proxy, *((each.address, each.code_hash) for each in (FORWARDER, COLLECTOR))):
        assert f"`{checksum(address)}` | `{code_hash}`" in text
