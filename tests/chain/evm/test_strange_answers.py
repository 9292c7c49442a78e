"""What chains show that Ethereum does not: refused at first, then skipped, so that no block stops a chain for good."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from crypto_checkout.chain.evm import bloom, decoding, receipts
from crypto_checkout.chain.evm.decoding import TRANSFER_TOPIC
from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.moments import from_unix
from tests.chain.evm.test_chain import OTHER, RECEIVER, chain_at, word
from tests.chain.evm.test_lying_nodes import (
    BLOCK,
    BLOCK_HASH,
    PAYER,
    RECEIPT,
    TOKEN,
    TRANSACTION,
    TX_HASH,
    credited,
    honest,
    lie,
)
from tests.support.nodes import answering, running

HEADER = Header(7, BLOCK_HASH, "0x", from_unix(1_700_000_000))
VAGUE_BLOOM = f"0x{bloom.of_event(TOKEN, TRANSFER_TOPIC) | 2**2000:0512x}"


async def insist(read: Callable[[], Awaitable[Any]]) -> tuple[Any, int]:
    """Repeat a question until it is answered; return the answer, and how often it was refused."""
    for refusals in range(100):
        try:
            return await read(), refusals
        except ProviderFailed:
            continue
    raise AssertionError("refused for good")


# Transactions


@pytest.mark.parametrize("kind", ["0x76", "0x64", "0x7f"])
@pytest.mark.parametrize(("missing", "instead"), [("value", ...), ("from", ...), ("value", "0x"), ("to", "0x")])
async def test_a_transaction_of_a_foreign_type_stops_no_block(kind: str, missing: str, instead: Any) -> None:
    said = lie(f"{TRANSACTION}.{missing}", instead)
    said[BLOCK]["transactions"][0] |= {"type": kind, "calls": [{"to": RECEIVER, "value": "0x5"}]}
    said[BLOCK]["transactions"].append(
        {"hash": "0x" + "5" * 64, "blockHash": BLOCK_HASH, "from": PAYER, "to": RECEIVER, "value": hex(6)}
    )
    async with running(answering(said)) as node, chain_at(node.url, tokens=[TOKEN]) as chain:
        (block,) = await chain.blocks([7])
    assert [transfer.units for transfer in block.transfers] == [6, 8]


@pytest.mark.parametrize(("missing", "instead"), [("value", ...), ("from", ...), ("from", None), ("value", "0x")])
async def test_a_common_transaction_that_no_provider_can_show_whole_is_skipped_in_the_end(
    missing: str, instead: Any
) -> None:
    said = lie(f"{TRANSACTION}.{missing}", instead)
    said[BLOCK]["transactions"][0]["type"] = "0x2"
    async with (
        running(answering(said)) as one,
        running(answering(said)) as other,
        chain_at(one.url, other.url, tokens=[TOKEN]) as chain,
    ):
        (block,), refusals = await insist(lambda: chain.blocks([7]))
        assert [transfer.units for transfer in block.transfers] == [8]
        assert refusals >= 2, "each provider was asked twice"
        assert (await insist(lambda: chain.blocks([7])))[1] == 0


async def test_what_is_no_transaction_at_all_is_refused_for_good() -> None:
    async with (
        running(answering(lie(f"{BLOCK}.transactions", [TX_HASH]))) as node,
        chain_at(node.url, tokens=[TOKEN]) as chain,
    ):
        for _ in range(20):
            with pytest.raises(ProviderFailed, match="no list of transactions"):
                await chain.blocks([7])


async def test_a_payment_whose_transaction_never_gets_a_receipt_is_left_to_the_balances() -> None:
    async with running(answering(lie(RECEIPT, None))) as node, chain_at(node.url, tokens=[TOKEN]) as chain:
        units, refusals = await insist(lambda: credited(chain))
    assert (units, refusals) == ([8], 5)


COSTS: list[tuple[dict[str, Any], dict[str, Any] | None, tuple[int, int] | None]] = [
    ({}, {}, (5, 21_000 * 7)),
    ({}, {"l1Fee": "0x3"}, (5, 21_000 * 7 + 3)),
    ({}, {"status": "0x0"}, (0, 21_000 * 7)),
    ({}, {"status": None}, (0, 21_000 * 7)),
    ({}, {"gasUsed": None}, (5, 0)),
    ({"value": None}, {}, (0, 21_000 * 7)),
    ({}, None, None),
    ({"type": "0x7b", "feeCurrency": TOKEN}, {}, (5, 0)),
    ({"type": "0x7b", "feeCurrency": None}, {}, (5, 21_000 * 7)),
    ({"type": "0x76"}, {"feePayer": OTHER, "feeToken": None}, (5, 0)),
    ({"type": "0x76"}, {"feePayer": PAYER, "feeToken": TOKEN}, (5, 0)),
]


@pytest.mark.parametrize(("transaction", "receipt", "cost"), COSTS)
def test_a_senders_cost_is_what_certainly_left_in_the_coin(
    transaction: dict[str, Any], receipt: dict[str, Any] | None, cost: tuple[int, int] | None
) -> None:
    sent = {"hash": TX_HASH, "from": PAYER, "to": OTHER, "value": "0x5", **transaction}
    usual = {
        "transactionHash": TX_HASH, "blockHash": BLOCK_HASH, "status": "0x1",
        "gasUsed": hex(21_000), "effectiveGasPrice": "0x7",
    }  # fmt: skip
    whole = None if receipt is None else {**usual, **receipt}
    read = receipts.own_transaction(sent, whole, HEADER, Address(PAYER))
    assert (None if read is None else (read.value, read.fee)) == cost


async def test_a_transaction_without_logs_or_value_can_be_explained() -> None:
    said = {
        **honest(),
        "eth_getTransactionByHash": {"hash": TX_HASH, "type": "0x76", "from": PAYER, "to": RECEIVER},
        "eth_getBlockByHash": honest()[BLOCK],
        RECEIPT: {**honest()[RECEIPT], "blockNumber": "0x7", "logs": None},
    }
    async with running(answering(said)) as node, chain_at(node.url) as chain:
        seen = await chain.transaction(TX_HASH)
    assert seen is not None
    assert (seen.has_succeeded, seen.transfers) == (True, ())


# Logs


async def test_two_logs_with_one_index_both_count() -> None:
    said = honest()
    (log,) = said["eth_getLogs"]
    said["eth_getLogs"] = [log, {**log, "transactionHash": "0x" + "5" * 64}, {**log, "data": "0x" + word(9)}]
    async with running(answering(said)) as node, chain_at(node.url, tokens=[TOKEN]) as chain:
        assert await credited(chain) == [5, 8 + 9, 8], "one of two logs, since their transaction and index are the same"


async def test_a_log_that_every_provider_shows_twice_counts_once() -> None:
    async with (
        running(answering(lie("eth_getLogs", honest()["eth_getLogs"] * 2))) as node,
        chain_at(node.url, tokens=[TOKEN]) as chain,
    ):
        units, refusals = await insist(lambda: credited(chain))
    assert (units, refusals) == ([5, 8], 2)


async def test_a_bloom_that_covers_too_much_stops_no_chain() -> None:
    said = lie("eth_getLogs", [])
    said[BLOCK]["logsBloom"] = VAGUE_BLOOM
    async with (
        running(answering(said)) as one,
        running(answering(said)) as other,
        chain_at(one.url, other.url, tokens=[TOKEN]) as chain,
    ):
        units, refusals = await insist(lambda: credited(chain))
        assert (units, refusals) == ([5], 2)
        assert one.methods.count("eth_getLogs") == 6, "some logs and all of them, three times"
        assert other.methods.count("eth_getLogs") == 4


async def test_a_bloom_that_covers_too_much_makes_every_provider_be_asked() -> None:
    said = honest()
    said[BLOCK]["logsBloom"] = VAGUE_BLOOM
    async with (
        running(answering({**said, "eth_getLogs": []})) as lagging,
        running(answering(said)) as node,
        chain_at(lagging.url, node.url, tokens=[TOKEN]) as chain,
    ):
        for _ in range(10):
            assert await credited(chain) == [5, 8]


async def test_where_blooms_are_always_vague_a_second_look_is_enough() -> None:
    logs: list[list[Any]] = []

    def said(number: int) -> dict[str, Any]:
        """Return what is said while the block has this hash: no logs, or those that are laid out for the next calls."""
        block = {**honest()[BLOCK], "hash": "0x" + word(number), "logsBloom": VAGUE_BLOOM, "transactions": []}
        return {**honest(), BLOCK: block, "eth_getLogs": lambda _: logs.pop(0) if logs else []}

    async with running(answering(honest())) as node, chain_at(node.url, tokens=[TOKEN]) as chain:
        refused = []
        for number in range(5):
            node.behave = answering(said(number))
            (block,), refusals = await insist(lambda: chain.blocks([7]))
            assert block.transfers == ()
            refused.append(refusals)
        assert refused == [2, 2, 2, 0, 0]
        node.behave = answering(said(5))
        logs += [[], [], [{**honest()["eth_getLogs"][0], "blockHash": "0x" + word(5)}]]
        with pytest.raises(ProviderFailed, match="not all there"):
            await chain.blocks([7])


async def test_a_bloom_that_covers_too_little_hides_nothing() -> None:
    said = honest()
    said[BLOCK]["logsBloom"] = "0x" + "00" * 255 + "01"
    async with running(answering(said)) as node, chain_at(node.url, tokens=[TOKEN]) as chain:
        assert await credited(chain) == [5, 8]


def test_the_transactions_of_a_sender_are_those_that_name_it() -> None:
    assert decoding.sent_by({"transactions": [{"from": PAYER}, {}, {"from": OTHER}]}, HEADER, {Address(PAYER)}) == [
        (PAYER, {"from": PAYER})
    ]
