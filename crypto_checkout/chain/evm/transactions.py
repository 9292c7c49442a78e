"""One transaction's effects as a node shows them, to explain why it counted as a payment, or did not."""

from datetime import UTC, datetime
from typing import Any

from crypto_checkout.chain.evm import decoding, traces
from crypto_checkout.chain.rpc.providers import Ask, Rpc, Unsupported, quantity
from crypto_checkout.core.diagnosis.explain_transaction import ObservedTransaction
from crypto_checkout.core.errors import ChainMoved, ProviderFailed
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.payment import Transfer, TransferKind

# Transfers of a pending transaction are in no block yet.
_NO_BLOCK = Header(0, "", "", datetime.fromtimestamp(0, UTC))
_TRANSFER = "0xa9059cbb"
_TRANSFER_DIGITS = len(_TRANSFER) + 2 * 64


async def look_up(ask: Ask, chain_id: int, tx_hash: str) -> ObservedTransaction | None:
    """Return a transaction's effects; None if the node doesn't know it.

    Raises:
        ProviderFailed: The node's answers make no sense.
        ChainMoved: The transaction moved to another block meanwhile.

    """
    transaction, receipt = await ask(
        [("eth_getTransactionByHash", [tx_hash]), ("eth_getTransactionReceipt", [tx_hash])]
    )
    if transaction is None:
        return None
    if decoding.hash_(decoding.field(transaction, "hash")) != tx_hash:
        raise ProviderFailed(f"asked for transaction {tx_hash}, got another")
    if receipt is None:
        return ObservedTransaction(
            chain_id, None, has_succeeded=False, transfers=_intended(transaction, _NO_BLOCK), is_traced=True
        )
    header = await _header(ask, receipt)
    if quantity(decoding.field(receipt, "status")) != 1:
        return ObservedTransaction(
            chain_id, header, has_succeeded=False, transfers=_intended(transaction, header), is_traced=True
        )
    native = _native(transaction, header)
    tokens = decoding.token_transfers(receipt.get("logs") or [], header, None)
    try:
        inside, is_traced = await traces.of_transaction(ask, header, tx_hash), True
    except Unsupported:
        inside, is_traced = [], False
    return ObservedTransaction(chain_id, header, True, (*([native] if native else []), *tokens, *inside), is_traced)


async def _header(ask: Ask, receipt: Any) -> Header:
    block_hash = decoding.hash_(decoding.field(receipt, "blockHash"))
    number = decoding.block_number(decoding.field(receipt, "blockNumber"))
    (block,) = await ask([("eth_getBlockByHash", [block_hash, False])])
    header = decoding.header(block, number)
    if header.hash != block_hash:
        raise ChainMoved(f"block {number} is another one by now")
    return header


def _native(transaction: Any, header: Header) -> Transfer | None:
    """Return the coins that a transaction moves by its own fields; none if these can't be read."""
    try:
        return decoding.native_transfer(transaction, header)
    except decoding.Strange:
        return None


def _intended(transaction: Any, header: Header) -> tuple[Transfer, ...]:
    """Return the transfers that a transaction intends by its own data: the native coin, or a token by `transfer`."""
    native = _native(transaction, header)
    data = str(transaction.get("input") or "").lower()
    if native is not None or not data.startswith(_TRANSFER) or len(data) != _TRANSFER_DIGITS:
        return () if native is None else (native,)
    transfer = decoding.transfer_in(
        header,
        TransferKind.TOKEN,
        decoding.hash_(transaction["hash"]),
        sender=decoding.address(decoding.field(transaction, "from")),
        to=decoding.address("0x" + data[len(_TRANSFER) + 24 : len(_TRANSFER) + 64]),
        units=int(data[-64:], 16),
        contract=decoding.address(decoding.field(transaction, "to")),
    )
    return (transfer,)


async def first_known(rpc: Rpc, tx_hash: str) -> ObservedTransaction | None:
    """Return a transaction as the first provider shows it that knows it, in a block if one does; None if none does."""
    found = await rpc.survey(lambda ask: look_up(ask, rpc.chain_id, tx_hash))
    known = [each for each in found if each is not None]
    mined = [each for each in known if each.header is not None]
    if found:
        return next(iter(mined or known), None)
    return await rpc.with_failover(lambda ask: look_up(ask, rpc.chain_id, tx_hash))
