"""Read receipts: whether a transaction succeeded, and what it cost its sender."""

from collections.abc import Sequence
from typing import Any

from crypto_checkout.chain.evm import decoding
from crypto_checkout.chain.evm.decoding import Strange
from crypto_checkout.chain.evm.doubts import Doubts
from crypto_checkout.chain.rpc.providers import Ask, quantity
from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ChainMoved, ProviderFailed
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.outflow import OwnTransaction
from crypto_checkout.core.ledger.payment import Transfer, TransferKind

_TIMES = 5  # near the head, receipts can be late


def own_transaction(transaction: Any, receipt: Any, header: Header, sender: Address) -> OwnTransaction | None:
    """Return the cost of a transaction to its sender, at least as far as its fields and its receipt show it.

    A field that can't be read counts as 0: a balance that is lower for it is believed of a sender, while one that is
    higher than expected would seem to be a payment.
    """
    tx_hash = decoding.hash_(decoding.field(transaction, "hash"))
    if receipt is None:
        return None
    if (
        decoding.hash_(decoding.field(receipt, "transactionHash")) != tx_hash
        or decoding.hash_(decoding.field(receipt, "blockHash")) != header.hash
    ):
        raise ProviderFailed(f"asked for the receipt of {tx_hash}, got another")
    has_moved = _number(receipt, "status") == 1 and transaction.get("to") != transaction.get("from")
    value = _number(transaction, "value") if has_moved else 0
    return OwnTransaction(sender, tx_hash, _receiver(transaction), value, _fee(transaction, receipt))


def _receiver(transaction: dict[str, Any]) -> Address | None:
    try:
        return decoding.address(transaction.get("to"))
    except ProviderFailed:
        return None


def _fee(transaction: dict[str, Any], receipt: dict[str, Any]) -> int:
    sender = transaction.get("from")
    if transaction.get("feeCurrency") or receipt.get("feeToken") or receipt.get("feePayer") not in {None, sender}:
        return 0  # Celo's CIP-64 and Tempo take it in a token, or from another account
    fee = _number(receipt, "gasUsed") * _number(receipt, "effectiveGasPrice")
    # Rollups add the cost of their data on L1; blobs have a price of their own (EIP-4844).
    return fee + _number(receipt, "l1Fee") + _number(receipt, "blobGasUsed") * _number(receipt, "blobGasPrice")


def _number(value: dict[str, Any], name: str) -> int:
    try:
        return quantity(value.get(name))
    except ProviderFailed:
        return 0


def has_succeeded(receipt: Any, transfer: Transfer) -> bool:
    """Return True if the receipt of a transfer's transaction reports success.

    Raises:
        ChainMoved: The transaction is in another block by now.
        Strange: There is no receipt.
        ProviderFailed: It belongs to another transaction, or makes no sense.

    """
    if receipt is None:
        raise Strange(f"no receipt yet for {transfer.tx_hash}", "a transaction without a receipt")
    if decoding.hash_(decoding.field(receipt, "transactionHash")) != transfer.tx_hash:
        raise ProviderFailed(f"asked for the receipt of {transfer.tx_hash}, got another")
    if decoding.hash_(decoding.field(receipt, "blockHash")) != transfer.block_hash:
        raise ChainMoved(f"{transfer.tx_hash} moved to another block")
    status = quantity(decoding.field(receipt, "status"))
    if status not in {0, 1}:
        raise ProviderFailed(f"the receipt of {transfer.tx_hash} has status {status}")
    return status == 1


async def fee(ask: Ask, tx_hash: str) -> int | None:
    """Return the fee of a transaction in the chain's coin, 0 if it was paid otherwise; None if it isn't in a block."""
    transaction, receipt = await ask(
        [("eth_getTransactionByHash", [tx_hash]), ("eth_getTransactionReceipt", [tx_hash])]
    )
    if transaction is None or receipt is None:
        return None
    if decoding.hash_(decoding.field(receipt, "transactionHash")) != tx_hash:
        raise ProviderFailed(f"asked for the receipt of {tx_hash}, got another")
    return _fee(transaction, receipt)


async def succeeded(ask: Ask, transfers: Sequence[Transfer], doubts: Doubts) -> list[Transfer]:
    """Drop the transfers whose transaction reverted. Only native ones can: a reverted transaction leaves no logs.

    Some chains have transactions in their blocks that were never executed, and have no receipt.
    """
    natives = {t.tx_hash: t for t in transfers if t.kind is TransferKind.NATIVE and t.tx_hash is not None}
    found = await ask([("eth_getTransactionReceipt", [tx_hash]) for tx_hash in natives])
    kept = set()
    for receipt, transfer in zip(found, natives.values(), strict=True):
        try:
            kept |= {transfer.tx_hash} if has_succeeded(receipt, transfer) else set()
        except Strange as error:
            block = Header(transfer.block_number, transfer.block_hash, "", transfer.block_time)
            doubts.raise_unless_settled({block: [error]}, times=_TIMES)
    return [t for t in transfers if t.kind is not TransferKind.NATIVE or t.tx_hash in kept]
