"""Blocks as they are hashed: another library encodes the same transactions, and rollups' own follow their rules."""

from typing import Any

import pytest
import rlp
from eth_account import Account
from hexbytes import HexBytes

from crypto_checkout.chain.evm.proof import encoding
from crypto_checkout.chain.evm.proof.recompute import ordered_root
from crypto_checkout.core.errors import ProviderFailed

ACCOUNT = Account.from_key("0x" + "11" * 32)
RECEIVER = "0x" + "52" * 20
OTHER = "0x" + "07" * 20
WORD = "0x" + "ab" * 32
CHAIN_ID = 42161

COMMON: dict[str, Any] = {"nonce": 0, "gas": 21_000, "to": RECEIVER, "value": 10**18, "data": "0x00ff"}
FEES: dict[str, Any] = {"maxPriorityFeePerGas": 1, "maxFeePerGas": 2 * 10**9, "chainId": CHAIN_ID}
ACCESS = [{"address": OTHER, "storageKeys": [WORD, "0x" + "00" * 32]}, {"address": RECEIVER, "storageKeys": []}]
AUTHORIZATION = ACCOUNT.sign_authorization({"chainId": CHAIN_ID, "address": OTHER, "nonce": 5})

SIGNED: dict[str, dict[str, Any]] = {
    "from before EIP-155": {**COMMON, "gasPrice": 10**9},
    "legacy": {**COMMON, "gasPrice": 10**9, "chainId": CHAIN_ID},
    "a new contract": {**COMMON, "to": "", "gasPrice": 10**9, "chainId": CHAIN_ID},
    "with an access list": {**COMMON, "type": 1, "gasPrice": 10**9, "chainId": CHAIN_ID, "accessList": ACCESS},
    "with a fee cap": {**COMMON, **FEES, "type": 2, "accessList": []},
    "with blobs": {**COMMON, **FEES, "type": 3, "maxFeePerBlobGas": 7, "blobVersionedHashes": ["0x01" + "ab" * 31]},
    "that sets code": {**COMMON, **FEES, "type": 4, "authorizationList": [AUTHORIZATION]},
}


def as_node_shows(wanted: dict[str, Any], signed: Any) -> dict[str, Any]:
    """Write a transaction as nodes do."""
    shown = {name: hex(value) if isinstance(value, int) else value for name, value in wanted.items() if name != "data"}
    shown |= {"input": wanted["data"], "from": ACCOUNT.address, "to": wanted["to"] or None}
    shown |= {"v": hex(signed.v), "r": hex(signed.r), "s": hex(signed.s)}
    if "authorizationList" in wanted:
        parts = AUTHORIZATION.model_dump() if hasattr(AUTHORIZATION, "model_dump") else dict(AUTHORIZATION)
        numbers = {name: hex(parts[place]) for name, place in AUTHORIZATION_PARTS.items()}
        shown["authorizationList"] = [{**numbers, "address": OTHER}]
    return shown


AUTHORIZATION_PARTS = {"chainId": "chain_id", "nonce": "nonce", "yParity": "y_parity", "r": "r", "s": "s"}


@pytest.mark.parametrize("name", SIGNED)
def test_a_signed_transaction_is_encoded_as_eth_account_does_and_its_sender_found(name: str) -> None:
    signed = ACCOUNT.sign_transaction(SIGNED[name])
    shown = as_node_shows(SIGNED[name], signed)
    assert encoding.transaction(shown, CHAIN_ID) == bytes(signed.raw_transaction)
    assert encoding.sender(shown) == ACCOUNT.address.lower()


def test_the_parity_of_a_typed_transaction_goes_by_either_name() -> None:
    signed = ACCOUNT.sign_transaction(SIGNED["with a fee cap"])
    shown = as_node_shows(SIGNED["with a fee cap"], signed)
    shown["yParity"] = shown.pop("v")
    assert encoding.transaction(shown, CHAIN_ID) == bytes(signed.raw_transaction)


@pytest.mark.parametrize("change", [{"v": "0x7"}, {"r": "0x0"}, {"s": "0x" + "f" * 64}])
def test_a_signature_that_is_none_names_no_sender(change: dict[str, str]) -> None:
    shown = as_node_shows(SIGNED["with a fee cap"], ACCOUNT.sign_transaction(SIGNED["with a fee cap"]))
    with pytest.raises(ProviderFailed):
        encoding.sender({**shown, **change})


# What rollups make by themselves: the JSON as a node shows it, and its fields in the order of their specifications.
FROM = "0x" + "f0" * 20
BASIC = {"from": FROM, "to": RECEIVER, "value": "0x9", "gas": "0x5208", "input": "0xaa", "gasPrice": "0x3"}
ROLLUPS: dict[int, tuple[dict[str, Any], list[Any]]] = {
    0x7E: (
        {**BASIC, "sourceHash": WORD, "mint": "0x8", "isSystemTx": False},
        [WORD, FROM, RECEIVER, 8, 9, 0x5208, b"", "0xaa"],
    ),
    0x64: ({**BASIC, "requestId": WORD}, [CHAIN_ID, WORD, FROM, RECEIVER, 9]),
    0x65: ({**BASIC, "nonce": "0x4"}, [CHAIN_ID, FROM, 4, 3, 0x5208, RECEIVER, 9, "0xaa"]),
    0x66: (
        {**BASIC, "requestId": WORD, "maxFeePerGas": "0x2"},
        [CHAIN_ID, WORD, FROM, 2, 0x5208, RECEIVER, 9, "0xaa"],
    ),
    0x68: (
        {
            **BASIC,
            "nonce": "0x0",
            "maxFeePerGas": "0x2",
            "ticketId": WORD,
            "refundTo": OTHER,
            "maxRefund": "0x6",
            "submissionFeeRefund": "0x7",
        },
        [CHAIN_ID, 0, FROM, 2, 0x5208, RECEIVER, 9, "0xaa", WORD, OTHER, 6, 7],
    ),
    0x69: (
        {
            **BASIC,
            "requestId": WORD,
            "maxFeePerGas": "0x2",
            "l1BaseFee": "0x5",
            "depositValue": "0xb",
            "retryTo": None,
            "retryValue": "0x0",
            "beneficiary": OTHER,
            "maxSubmissionFee": "0xc",
            "refundTo": RECEIVER,
            "retryData": "0xbb",
        },
        [CHAIN_ID, WORD, FROM, 5, 11, 2, 0x5208, "0x", 0, OTHER, 12, RECEIVER, "0xbb"],
    ),
    0x6A: (BASIC, [CHAIN_ID, "0xaa"]),
}


@pytest.mark.parametrize("kind", ROLLUPS)
def test_a_rollups_own_transaction_is_encoded_by_its_specification(kind: int) -> None:
    shown, fields = ROLLUPS[kind]
    items = [HexBytes(each) if isinstance(each, str) else each for each in fields]
    encoded = encoding.transaction({**shown, "type": hex(kind)}, CHAIN_ID)
    assert encoded == bytes([kind]) + rlp.encode(
        [bytes(each) if isinstance(each, HexBytes) else each for each in items]
    )


def test_a_value_counts_only_where_the_encoding_has_it() -> None:
    assert {kind for kind in range(0x80) if encoding.sends_value(kind)} == {
        0,
        1,
        2,
        3,
        4,
        0x64,
        0x65,
        0x66,
        0x68,
        0x7E,
    }


@pytest.mark.parametrize("kind", ["0x5", "0x76", "0x7b", "0x80", "0x100"])
def test_an_unknown_type_is_refused(kind: str) -> None:
    with pytest.raises(ProviderFailed):
        encoding.transaction({**BASIC, "type": kind, "v": "0x0", "r": "0x1", "s": "0x1"}, CHAIN_ID)


def test_another_rollups_type_under_the_number_of_a_deposit_is_refused() -> None:
    with pytest.raises(ProviderFailed, match="0x7e"):
        encoding.transaction({**BASIC, "type": "0x7e", "queueIndex": "0x1"}, CHAIN_ID)


# The layout of receipts


def a_receipt(**changes: Any) -> dict[str, Any]:
    log = {"address": OTHER, "topics": [WORD], "data": "0x01"}
    return {"status": "0x1", "cumulativeGasUsed": "0x5208", "logsBloom": "0x" + "00" * 256, "logs": [log], **changes}


LOGS = [[HexBytes(OTHER), [HexBytes(WORD)], b"\x01"]]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (a_receipt(), rlp.encode([1, 0x5208, bytes(256), LOGS])),
        (a_receipt(type="0x0", status="0x0"), rlp.encode([0, 0x5208, bytes(256), LOGS])),
        (a_receipt(status=None, root=WORD, logs=[]), rlp.encode([HexBytes(WORD), 0x5208, bytes(256), []])),
        (a_receipt(type="0x2"), b"\x02" + rlp.encode([1, 0x5208, bytes(256), LOGS])),
        (a_receipt(type="0x6a", gasUsedForL1="0x1"), b"\x6a" + rlp.encode([1, 0x5208, bytes(256), LOGS])),
        (a_receipt(type="0x7e", depositNonce="0x3"), b"\x7e" + rlp.encode([1, 0x5208, bytes(256), LOGS])),
        (
            a_receipt(type="0x7e", depositNonce="0x3", depositReceiptVersion="0x1"),
            b"\x7e" + rlp.encode([1, 0x5208, bytes(256), LOGS, 3, 1]),
        ),
    ],
)
def test_a_receipt_has_its_status_gas_and_logs(shown: dict[str, Any], expected: bytes) -> None:
    assert encoding.receipt(shown) == expected


# Headers that no node here makes


def a_header(**changes: Any) -> tuple[dict[str, Any], list[Any]]:
    """Return a header as JSON, and the items of its first fifteen fields."""
    hashes = {name: "0x" + f"{place:02x}" * 32 for place, name in enumerate(("parentHash", "sha3Uncles", "stateRoot"))}
    roots = {"transactionsRoot": "0x" + "04" * 32, "receiptsRoot": "0x" + "05" * 32, "mixHash": "0x" + "06" * 32}
    numbers = {"difficulty": "0x0", "number": "0x7", "gasLimit": "0x8", "gasUsed": "0x0", "timestamp": "0x9"}
    rest = {"miner": OTHER, "logsBloom": "0x" + "00" * 256, "extraData": "0x", "nonce": "0x" + "00" * 8}
    order = (
        *("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom"),
        *("difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce"),
    )
    shown = {**hashes, **roots, **numbers, **rest}
    items = [int(shown[name], 16) if name in numbers else HexBytes(shown[name]) for name in order]
    return {**shown, **changes}, items


def test_the_header_of_a_fork_to_come_has_its_two_fields() -> None:
    fields = ("withdrawalsRoot", "parentBeaconBlockRoot", "requestsHash", "blockAccessListHash")
    added = dict.fromkeys(fields, WORD) | {"baseFeePerGas": "0x7", "blobGasUsed": "0x0", "excessBlobGas": "0x1"}
    shown, items = a_header(**added, slotNumber="0x2")
    word = HexBytes(WORD)
    assert encoding.header(shown) == rlp.encode([*items, 7, word, 0, 1, word, word, word, 2])


def test_avalanches_header_has_the_hash_of_its_extra_data_before_the_base_fee() -> None:
    shown, items = a_header(extDataHash=WORD, baseFeePerGas="0x7", extDataGasUsed="0x0", blockGasCost="0x5")
    assert encoding.header(shown) == rlp.encode([*items, HexBytes(WORD), 7, 0, 5])


# The roots of lists


def test_the_roots_of_no_and_of_one_item_are_the_known_ones() -> None:
    assert ordered_root([]).hex() == "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"


@pytest.mark.parametrize("answer", [None, [], "0x", 5, {}])
def test_what_is_no_block_is_refused(answer: Any) -> None:
    for encode in (
        encoding.header,
        encoding.receipt,
        encoding.sender,
        lambda shown: encoding.transaction(shown, CHAIN_ID),
    ):
        with pytest.raises(ProviderFailed):
            encode(answer)
