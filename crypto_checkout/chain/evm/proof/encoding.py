"""Encode a block's header, transactions and receipts as their hashes and tries take them: RLP, from a node's JSON.

The forms are Ethereum's (Yellow Paper, sections 4.3 and 4.4; EIP-155, 1559, 2718, 2930, 4788, 4844, 4895, 7685, 7702,
7843, 7928), the deposits of the OP Stack, Arbitrum's own transactions (Nitro), and the header of Avalanche's C-Chain.
Raises ProviderFailed for whatever doesn't fit.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError
from rlp.codec import encode_raw

from crypto_checkout.chain.evm.decoding import field, hexadecimal
from crypto_checkout.chain.rpc.providers import quantity
from crypto_checkout.core.address import Address, keccak_256, of_public_key
from crypto_checkout.core.errors import ProviderFailed

Item = bytes | Sequence["Item"]
"""What RLP encodes: bytes, or a list of items."""

Field = TypeVar("Field")

LEGACY, ACCESS_LIST, DYNAMIC_FEE, BLOB, SET_CODE = range(5)
DEPOSIT = 0x7E

_ADDRESS_BYTES, _HASH_BYTES, _NONCE_BYTES, _BLOOM_BYTES = 20, 32, 8, 256
_FIRST_PROTECTED_V = 35  # EIP-155: v is 35 and twice the chain ID and the parity; without a chain ID, 27 and the parity
_UNPROTECTED_V = 27
_LAST_TYPE = 0x7F


def encoded(item: Item) -> bytes:
    """Encode in RLP (Yellow Paper, appendix B)."""
    content: bytes = encode_raw(item)
    return content


# --- headers ---------------------------------------------------------------------------------------------------------


def header(block: Any) -> bytes:
    """Encode a header with the fields that the forks so far have added to Ethereum's, or to Avalanche's."""
    first = [
        _bytes(block, "parentHash", _HASH_BYTES),
        _bytes(block, "sha3Uncles", _HASH_BYTES),
        _bytes(block, "miner", _ADDRESS_BYTES),
        _bytes(block, "stateRoot", _HASH_BYTES),
        _bytes(block, "transactionsRoot", _HASH_BYTES),
        _bytes(block, "receiptsRoot", _HASH_BYTES),
        _bytes(block, "logsBloom", _BLOOM_BYTES),
        _number(block, "difficulty"),
        _number(block, "number"),
        _number(block, "gasLimit"),
        _number(block, "gasUsed"),
        _number(block, "timestamp"),
        _bytes(block, "extraData"),
        _bytes(block, "mixHash", _HASH_BYTES),
        _bytes(block, "nonce", _NONCE_BYTES),
    ]
    names = _AVALANCHE_ADDED if "extDataHash" in block else _ETHEREUM_ADDED
    return encoded([*first, *_added(block, names)])


_CANCUN = ("blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot")
_ETHEREUM_ADDED = (
    "baseFeePerGas", "withdrawalsRoot", *_CANCUN, "requestsHash", "blockAccessListHash", "slotNumber",
)  # fmt: skip
_AVALANCHE_ADDED = (
    "extDataHash", "baseFeePerGas", "extDataGasUsed", "blockGasCost", *_CANCUN, "timestampMilliseconds",
    "minDelayExcess",
)  # fmt: skip
_ROOTS = {"extDataHash", "withdrawalsRoot", "parentBeaconBlockRoot", "requestsHash", "blockAccessListHash"}


def _added(block: Any, names: Sequence[str]) -> Iterator[bytes]:
    """Yield the fields that forks have added, up to the first that this block lacks."""
    for name in names:
        if block.get(name) is None:
            return
        yield _bytes(block, name, _HASH_BYTES) if name in _ROOTS else _number(block, name)


# --- receipts --------------------------------------------------------------------------------------------------------


def receipt(answer: Any) -> bytes:
    """Encode a receipt of any type: status, gas and logs. The rest of its JSON is the node's own."""
    kind = type_of(answer)
    # Before Byzantium there was a state root in place of the status (EIP-658).
    outcome = _bytes(answer, "root", _HASH_BYTES) if answer.get("status") is None else _number(answer, "status")
    fields: list[Item] = [
        outcome,
        _number(answer, "cumulativeGasUsed"),
        _bytes(answer, "logsBloom", _BLOOM_BYTES),
        [_log(log) for log in _list(answer, "logs")],
    ]
    if kind == DEPOSIT and answer.get("depositReceiptVersion") is not None:
        fields += [_number(answer, "depositNonce"), _number(answer, "depositReceiptVersion")]
    return _typed(kind, fields)


def _log(log: Any) -> Item:
    topics = [_of_length(hexadecimal(topic), _HASH_BYTES) for topic in _list(log, "topics")]
    return [_bytes(log, "address", _ADDRESS_BYTES), topics, _bytes(log, "data")]


# --- transactions ----------------------------------------------------------------------------------------------------


def transaction(answer: Any, chain_id: int) -> bytes:
    """Encode a transaction, signature included."""
    kind = type_of(answer)
    if kind > SET_CODE:
        return _typed(kind, _of_rollup(kind, answer, chain_id))
    signature = [integer(_v(answer, kind)), _number(answer, "r"), _number(answer, "s")]
    return _typed(kind, [*_signed(kind, answer), *signature])


def sender(answer: Any) -> Address:
    """Return the address that signed a transaction, or that a rollup names as its sender."""
    kind = type_of(answer)
    if kind > SET_CODE:  # without a signature: the sender is in what is encoded
        return Address("0x" + _bytes(answer, "from", _ADDRESS_BYTES).hex())
    fields, v = _signed(kind, answer), _v(answer, kind)
    parity = v
    if kind == LEGACY and v < _FIRST_PROTECTED_V:
        parity = v - _UNPROTECTED_V
    elif kind == LEGACY:
        chain_id, parity = divmod(v - _FIRST_PROTECTED_V, 2)
        fields = [*fields, integer(chain_id), b"", b""]
    try:
        signature = Signature(vrs=(parity, quantity(field(answer, "r")), quantity(field(answer, "s"))))
        key = signature.recover_public_key_from_msg_hash(keccak_256(_typed(kind, fields)))
    except (BadSignature, ValidationError) as error:
        raise ProviderFailed("a transaction's signature is not valid") from error
    return of_public_key(key.to_bytes())


def type_of(answer: Any) -> int:
    """Return the type of a transaction or receipt (EIP-2718); 0 for those from before there were types."""
    if not isinstance(answer, dict):
        raise ProviderFailed("a transaction or receipt is no object")
    kind = quantity(answer.get("type") or "0x0")
    if kind > _LAST_TYPE:
        raise ProviderFailed(f"{kind:#x} is no type of a transaction")
    return kind


def sends_value(kind: int) -> bool:
    """Tell whether a type's encoding has a receiver and a value; in the rest of its JSON a node can write anything."""
    return kind <= SET_CODE or {"to", "value"} <= {*_ROLLUP_FIELDS.get(kind, ())}


def _v(answer: Any, kind: int) -> int:
    """Return the part of a signature that isn't r or s: the parity, with the chain's ID in a legacy transaction."""
    has_parity = kind != LEGACY and answer.get("yParity") is not None
    return quantity(answer["yParity"] if has_parity else field(answer, "v"))


def _signed(kind: int, answer: Any) -> list[Item]:
    """Return the fields that a signature covers."""
    receiver, value, data = _receiver(answer), _number(answer, "value"), _bytes(answer, "input")
    nonce, gas = _number(answer, "nonce"), _number(answer, "gas")
    if kind == LEGACY:
        return [nonce, _number(answer, "gasPrice"), gas, receiver, value, data]
    fees = [_number(answer, "gasPrice")] if kind == ACCESS_LIST else _fees(answer)
    fields: list[Item] = [_number(answer, "chainId"), nonce, *fees, gas, receiver, value, data, _access_list(answer)]
    if kind == BLOB:
        blobs = [_of_length(hexadecimal(each), _HASH_BYTES) for each in _list(answer, "blobVersionedHashes")]
        fields += [_number(answer, "maxFeePerBlobGas"), blobs]
    if kind == SET_CODE:
        fields.append([_authorization(each) for each in _list(answer, "authorizationList")])
    return fields


def _fees(answer: Any) -> list[bytes]:
    return [_number(answer, "maxPriorityFeePerGas"), _number(answer, "maxFeePerGas")]


def _access_list(answer: Any) -> Item:
    return [
        [
            _bytes(each, "address", _ADDRESS_BYTES),
            [_of_length(hexadecimal(key), _HASH_BYTES) for key in _list(each, "storageKeys")],
        ]
        for each in ([] if answer.get("accessList") is None else _list(answer, "accessList"))
    ]


def _authorization(answer: Any) -> Item:
    first = [_number(answer, "chainId"), _bytes(answer, "address", _ADDRESS_BYTES), _number(answer, "nonce")]
    return [*first, *(_number(answer, name) for name in ("yParity", "r", "s"))]


def _of_rollup(kind: int, answer: Any, chain_id: int) -> list[Item]:
    """Return the fields of a transaction that a rollup makes by itself; nobody signs them.

    See the OP Stack's specification of deposits, and `core/types/arb_types.go` in Arbitrum's geth.
    """
    if kind not in _ROLLUP_FIELDS or (kind == DEPOSIT and "sourceHash" not in answer):
        raise ProviderFailed(f"transactions of type {kind:#x} can't be encoded here")
    return [_rollup_field(answer, name, chain_id) for name in _ROLLUP_FIELDS[kind]]


_ROLLUP_FIELDS = {
    DEPOSIT: ("sourceHash", "from", "to", "mint", "value", "gas", "isSystemTx", "input"),
    0x64: ("chainId", "requestId", "from", "to", "value"),
    0x65: ("chainId", "from", "nonce", "gasFeeCap", "gas", "to", "value", "input"),
    0x66: ("chainId", "requestId", "from", "gasFeeCap", "gas", "to", "value", "input"),
    0x68: (
        "chainId", "nonce", "from", "gasFeeCap", "gas", "to", "value", "input", "ticketId", "refundTo", "maxRefund",
        "submissionFeeRefund",
    ),
    0x69: (
        "chainId", "requestId", "from", "l1BaseFee", "depositValue", "gasFeeCap", "gas", "retryTo", "retryValue",
        "beneficiary", "maxSubmissionFee", "refundTo", "retryData",
    ),
    0x6A: ("chainId", "input"),
}  # fmt: skip
_HASHES = {"sourceHash", "requestId", "ticketId"}
_ADDRESSES = {"from", "refundTo", "beneficiary"}
_RECEIVERS = {"to", "retryTo"}
_DATA = {"input", "retryData"}


def _rollup_field(answer: Any, name: str, chain_id: int) -> bytes:
    if name == "chainId":
        return integer(chain_id)
    if name in _RECEIVERS:
        return _receiver(answer, name)
    if name in _DATA:
        return _bytes(answer, name)
    if name in _HASHES or name in _ADDRESSES:
        return _bytes(answer, name, _HASH_BYTES if name in _HASHES else _ADDRESS_BYTES)
    if name == "isSystemTx":
        return b"\x01" if answer.get(name) in (True, "0x1") else b""
    if name == "gasFeeCap":
        name = "maxFeePerGas" if answer.get("maxFeePerGas") is not None else "gasPrice"
    return integer(quantity(answer.get(name) or "0x0"))


# --- fields ----------------------------------------------------------------------------------------------------------


def _typed(kind: int, fields: Sequence[Item]) -> bytes:
    content = encoded(fields)
    return content if kind == LEGACY else bytes([kind]) + content


def _number(answer: Any, name: str) -> bytes:
    return integer(quantity(field(answer, name)))


def integer(number: int) -> bytes:
    """Return a number as RLP takes it: big-endian, without leading zeros, empty for 0."""
    return number.to_bytes((number.bit_length() + 7) // 8)


def _receiver(answer: Any, name: str = "to") -> bytes:
    return b"" if answer.get(name) is None else _bytes(answer, name, _ADDRESS_BYTES)


def _bytes(answer: Any, name: str, length: int | None = None) -> bytes:
    return _of_length(hexadecimal(field(answer, name)), length)


def _of_length(content: bytes, length: int | None) -> bytes:
    if length is not None and len(content) != length:
        raise ProviderFailed(f"expected {length} bytes, got {len(content)}")
    return content


def _list(answer: Any, name: str) -> list[Any]:
    found = field(answer, name)
    if not isinstance(found, list):
        raise ProviderFailed(f"{name} is no list")
    return found
