"""Recompute a block's hash and the roots of its transactions and receipts, and read the transfers below them.

See section 4.3 of the Yellow Paper.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from crypto_checkout.chain.evm import decoding
from crypto_checkout.chain.evm.proof import encoding
from crypto_checkout.chain.evm.proof.encoding import Item
from crypto_checkout.chain.rpc.providers import Disproven, quantity
from crypto_checkout.core.address import Address, keccak_256
from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.ledger.payment import Transfer

_LONG_REFERENCE = 32
_SUCCEEDED = 1


class NotProven(Disproven):
    """A block's hash or roots don't follow from its content, or the content is of an unknown form."""


def proven_transfers(
    block: Any, receipts: Any, *, number: int, block_hash: str, chain_id: int, receivers: Collection[Address]
) -> frozenset[Transfer]:
    """Return the transfers to `receivers` in a block: of the coin, of every ERC-20 token, and what was collected.

    `block` has its transactions whole; `receipts` are theirs, in their order. For hundreds of them that takes tens of
    milliseconds: not for the event loop.

    Raises:
        NotProven: The hash of the block, or a root, is not that of the content.

    """
    try:
        header = replace(decoding.header(block, number), hash=block_hash)
        hashes = _check_roots(block, receipts, block_hash, chain_id)
        found: list[Transfer] = []
        logs_before = 0
        for transaction, receipt, tx_hash in zip(block["transactions"], receipts, hashes, strict=True):
            # What the tries don't cover is not taken from the node: hashes, places, the sender.
            place = {"blockHash": header.hash, "transactionHash": tx_hash}
            logs = [{**log, **place, "logIndex": hex(logs_before + i)} for i, log in enumerate(receipt["logs"])]
            logs_before += len(logs)
            found += [*decoding.token_transfers(logs, header, None), *decoding.collected(logs, header)]
            if _paid(transaction, receipt) in receivers:
                own = {**transaction, "hash": tx_hash, "blockHash": header.hash, "from": encoding.sender(transaction)}
                native = decoding.native_transfer(own, header)
                found += [] if native is None else [native]
    except NotProven:
        raise
    except ProviderFailed as error:
        raise NotProven(f"block {number} can't be recomputed: {error}") from error
    return frozenset(transfer for transfer in found if transfer.to in receivers)


def _paid(transaction: Any, receipt: Any) -> str:
    """Return the receiver of a transaction that succeeded; empty if it failed, or made a contract."""
    has_succeeded = receipt.get("status") is not None and quantity(receipt["status"]) == _SUCCEEDED
    is_paying = has_succeeded and encoding.sends_value(encoding.type_of(transaction))
    return str(transaction.get("to") or "").lower() if is_paying else ""


def _check_roots(block: Any, receipts: Any, block_hash: str, chain_id: int) -> list[str]:
    """Recompute the hash and both roots; return the hashes of the transactions. Raises NotProven, ProviderFailed."""
    number = quantity(decoding.field(block, "number"))
    transactions = decoding.field(block, "transactions")
    if not isinstance(transactions, list) or not isinstance(receipts, list) or len(transactions) != len(receipts):
        raise NotProven(f"block {number} has not one receipt for each of its transactions")
    _check(keccak_256(encoding.header(block)), block_hash, f"the hash of block {number}")
    encoded = [encoding.transaction(each, chain_id) for each in transactions]
    _check(
        ordered_root(encoded), decoding.field(block, "transactionsRoot"), f"the transactions' root of block {number}"
    )
    root = ordered_root([encoding.receipt(each) for each in receipts])
    _check(root, decoding.field(block, "receiptsRoot"), f"the receipts' root of block {number}")
    return ["0x" + keccak_256(each).hex() for each in encoded]


def _check(computed: bytes, stated: Any, subject: str) -> None:
    if "0x" + computed.hex() != decoding.hash_(stated):
        raise NotProven(f"{subject} doesn't follow from its content")


# --- tries -----------------------------------------------------------------------------------------------------------


def ordered_root(values: Sequence[bytes]) -> bytes:
    """Return the root of the trie of a list, keyed by place (Yellow Paper, section 4.3 and appendix D).

    Here rather than from a library, because the trie is built once and never changed: libraries insert value by value,
    at ten times the cost.
    """
    leaves = sorted((encoding.encoded(encoding.integer(place)).hex(), value) for place, value in enumerate(values))
    return keccak_256(encoding.encoded(_node(leaves, 0) if leaves else b""))


def _node(leaves: Sequence[tuple[str, bytes]], depth: int) -> Item:
    """Return the node above leaves, whose keys are sorted hexadecimal digits, from a depth on.

    No key begins with another one, so a branch has no value of its own.
    """
    first, value = leaves[0]
    if len(leaves) == 1:
        return [_packed(first[depth:], is_leaf=True), value]
    last = leaves[-1][0]
    fork = depth
    while first[fork] == last[fork]:
        fork += 1
    if fork > depth:
        return [_packed(first[depth:fork], is_leaf=False), _reference(_node(leaves, fork))]
    children: list[Item] = [b""] * 17
    for digit, below in groupby(leaves, key=lambda leaf: leaf[0][depth]):
        children[int(digit, 16)] = _reference(_node([*below], depth + 1))
    return children


def _reference(node: Item) -> Item:
    content = encoding.encoded(node)
    return node if len(content) < _LONG_REFERENCE else keccak_256(content)


def _packed(digits: str, *, is_leaf: bool) -> bytes:
    """Pack a path of hexadecimal digits, with its kind and parity in front (Yellow Paper, appendix C)."""
    flag = 2 * is_leaf + len(digits) % 2
    return bytes.fromhex(f"{flag:x}{digits}" if len(digits) % 2 else f"{flag:x}0{digits}")
