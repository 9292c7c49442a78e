"""What one transaction did, as a node shows it: for those who ask why it counted, or why it did not."""

from datetime import UTC, datetime
from typing import Any

from crypto_checkout.chain.evm import answers, traces
from crypto_checkout.chain.rpc.providers import Ask, Unable, quantity
from crypto_checkout.core.address import Address
from crypto_checkout.core.diagnosis.explain_transaction import ObservedTransaction
from crypto_checkout.core.errors import ChainMoved, ProviderFailed
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.payment import Transfer, TransferKind

# What a transaction without a block would move stands in none.
_NO_BLOCK = Header(0, "", "", datetime.fromtimestamp(0, UTC))
_TRANSFER = "0xa9059cbb"
_TRANSFER_DIGITS = len(_TRANSFER) + 2 * 64


async def look_up(ask: Ask, chain_id: int, tx_hash: str) -> ObservedTransaction | None:
    """Return what a transaction did; None where the node doesn't know it.

    Raises:
        ProviderFailed: Its answers make no sense.
        ChainMoved: The transaction went to another block meanwhile.

    """
    transaction, receipt = await ask(
        [("eth_getTransactionByHash", [tx_hash]), ("eth_getTransactionReceipt", [tx_hash])]
    )
    if transaction is None:
        return None
    if answers.hash_(answers.field(transaction, "hash")) != tx_hash:
        raise ProviderFailed(f"asked for transaction {tx_hash}, got another")
    if receipt is None:
        return ObservedTransaction(
            chain_id, None, has_succeeded=False, transfers=_intended(transaction, _NO_BLOCK), is_traced=True
        )
    header = await _header(ask, receipt)
    if quantity(answers.field(receipt, "status")) != 1:
        return ObservedTransaction(
            chain_id, header, has_succeeded=False, transfers=_intended(transaction, header), is_traced=True
        )
    native = answers.native_transfer(transaction, header)
    tokens = answers.token_transfers(answers.field(receipt, "logs"), header, None)
    try:
        inside, is_traced = await traces.of_transaction(ask, header, tx_hash), True
    except Unable:
        inside, is_traced = [], False
    return ObservedTransaction(chain_id, header, True, (*([native] if native else []), *tokens, *inside), is_traced)


async def _header(ask: Ask, receipt: Any) -> Header:
    block_hash = answers.hash_(answers.field(receipt, "blockHash"))
    number = answers.block_number(answers.field(receipt, "blockNumber"))
    (block,) = await ask([("eth_getBlockByHash", [block_hash, False])])
    header = answers.header(block, number)
    if header.hash != block_hash:
        raise ChainMoved(f"block {number} is another one by now")
    return header


def _intended(transaction: Any, header: Header) -> tuple[Transfer, ...]:
    """Return what a transaction would move by its own words: the native coin, or a token by `transfer`."""
    native = answers.native_transfer(transaction, header)
    data = str(transaction.get("input") or "").lower()
    if native is not None or not data.startswith(_TRANSFER) or len(data) != _TRANSFER_DIGITS:
        return () if native is None else (native,)
    return (
        Transfer(
            to=answers.address("0x" + data[len(_TRANSFER) + 24 : len(_TRANSFER) + 64]),
            sender=answers.address(answers.field(transaction, "from")),
            units=int(data[-64:], 16),
            kind=TransferKind.TOKEN,
            contract=Address(answers.address(answers.field(transaction, "to"))),
            tx_hash=answers.hash_(transaction["hash"]),
            log_index=None,
            block_number=header.number,
            block_hash=header.hash,
            block_time=header.time,
        ),
    )
