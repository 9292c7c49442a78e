"""Lies of a node: an honest one shows a payment and a token's transfer, and then one thing in its answers changes."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_checkout.chain.evm import bloom, decoding, receipts
from crypto_checkout.chain.evm.chain import EvmChain
from crypto_checkout.chain.evm.decoding import TRANSFER_TOPIC
from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ChainMoved, ProviderFailed
from tests.chain.evm.test_chain import ANVIL_CHAIN_ID, APPROVAL_TOPIC, OTHER, RECEIVER, chain_at, word
from tests.support.nodes import Error, answering, running

BLOCK_HASH, PARENT_HASH, TX_HASH, LOG_TX_HASH = ("0x" + digit * 64 for digit in "abcd")
TOKEN = "0x" + "70" * 20
PAYER = "0x" + "e1" * 20


def honest() -> dict[str, Any]:
    return {
        "eth_chainId": hex(ANVIL_CHAIN_ID),
        "eth_getBlockByNumber": {
            "number": "0x7",
            "hash": BLOCK_HASH,
            "parentHash": PARENT_HASH,
            "timestamp": "0x65000000",
            "logsBloom": "0x" + "00" * 256,
            "transactions": [
                {"hash": TX_HASH, "blockHash": BLOCK_HASH, "from": PAYER, "to": RECEIVER, "value": hex(5)},
                {"hash": "0x" + "9" * 64, "blockHash": BLOCK_HASH, "from": PAYER, "to": None, "value": hex(6)},
            ],
        },
        "eth_getLogs": [
            {
                "address": TOKEN,
                "topics": [TRANSFER_TOPIC, "0x" + word(PAYER), "0x" + word(RECEIVER)],
                "data": "0x" + word(8),
                "blockHash": BLOCK_HASH,
                "transactionHash": LOG_TX_HASH,
                "logIndex": "0x0",
                "removed": False,
            }
        ],
        "eth_getTransactionReceipt": {"transactionHash": TX_HASH, "blockHash": BLOCK_HASH, "status": "0x1"},
    }


async def credited(chain: EvmChain) -> list[int]:
    """Return what a watcher would credit for block 7."""
    (block,) = await chain.blocks([7])
    return [transfer.units for transfer in await chain.succeeded(block.transfers)]


def lie(path: str, value: Any) -> dict[str, Any]:
    """Change what an honest node says at a dotted path; `...` takes it away."""
    results = honest()
    change(results, path, value)
    return results


def change(results: dict[str, Any], path: str, value: Any) -> None:
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = results
    for step in way:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value


BLOCK, LOG, RECEIPT = "eth_getBlockByNumber", "eth_getLogs.0", "eth_getTransactionReceipt"
TRANSACTION = f"{BLOCK}.transactions.0"
NO_HASHES: list[Any] = [None, ..., "", "0x", 5, BLOCK_HASH[:-1], BLOCK_HASH + "a", "0x" + "z" * 64, [BLOCK_HASH]]
NO_NUMBERS: list[Any] = [None, ..., "", "7", 7, "0x", -7, [], "0x" + "f" * 65]
NO_ADDRESSES: list[Any] = ["", "0x", 5, RECEIVER[:-1], RECEIVER + "0", "0x" + "z" * 40, [RECEIVER]]


def lies(path: str, values: Sequence[Any]) -> list[tuple[str, Any]]:
    return [(path, value) for value in values]


LIES: list[tuple[str, Any]] = [
    *lies(BLOCK, (None, [], {}, "0x", 5, [honest()[BLOCK]])),
    *lies(f"{BLOCK}.number", (*NO_NUMBERS, "0x8", "0x6")),
    *lies(f"{BLOCK}.timestamp", (*NO_NUMBERS, "0x" + "f" * 16, "0x" + "f" * 64)),
    *lies(f"{BLOCK}.hash", NO_HASHES),
    *lies(f"{BLOCK}.parentHash", NO_HASHES),
    *lies(f"{BLOCK}.logsBloom", (5, "0xz", "no", [], "0x1")),
    *lies(f"{BLOCK}.transactions", (None, ..., {}, "0x", 5, [TX_HASH], [None], [5], [[]], [{}])),
    (f"{BLOCK}.transactions", [honest()[BLOCK]["transactions"][0]] * 2),
    *lies(f"{TRANSACTION}.hash", NO_HASHES),
    *lies(f"{TRANSACTION}.value", NO_NUMBERS),
    *lies(f"{TRANSACTION}.to", NO_ADDRESSES),
    *lies(f"{TRANSACTION}.from", (None, ..., *NO_ADDRESSES)),
    *lies(f"{TRANSACTION}.blockHash", ("", 5, PARENT_HASH)),
    *lies("eth_getLogs", (None, {}, "0x", 5, [None], [5], ["0x"], [[]], [{}], Error("unknown block"))),
    ("eth_getLogs", honest()["eth_getLogs"] * 2),
    *lies(f"{LOG}.address", (None, ..., *NO_ADDRESSES)),
    *lies(f"{LOG}.topics", (None, ..., {}, "0x", 5, [None], [5], [TRANSFER_TOPIC, "0x", "0x"])),
    *lies(f"{LOG}.data", (None, ..., "", "8", 8, "0x8", "0xzz", [])),
    *lies(f"{LOG}.blockHash", (*NO_HASHES, PARENT_HASH)),
    *lies(f"{LOG}.transactionHash", NO_HASHES),
    *lies(f"{LOG}.logIndex", NO_NUMBERS),
    *lies(f"{LOG}.removed", (True, 1, "0x1")),
    *lies(RECEIPT, (None, [], {}, "0x1", 5, Error("no"))),
    *lies(f"{RECEIPT}.status", (*NO_NUMBERS, "0x2", True)),
    *lies(f"{RECEIPT}.transactionHash", (*NO_HASHES, LOG_TX_HASH)),
    *lies(f"{RECEIPT}.blockHash", NO_HASHES),
]


async def test_the_honest_node_of_these_tests_is_believed() -> None:
    async with running(answering(honest())) as node, chain_at(node.url, tokens=[TOKEN]) as chain:
        assert await credited(chain) == [5, 8]


@pytest.mark.parametrize(("path", "value"), LIES, ids=[f"{path}={str(value)[:30]}" for path, value in LIES])
async def test_a_lie_is_refused_and_the_next_provider_is_believed_instead(path: str, value: Any) -> None:
    async with running(answering(lie(path, value))) as liar, running(answering(honest())) as node:
        async with chain_at(liar.url, tokens=[TOKEN]) as chain:
            with pytest.raises(ProviderFailed):
                await credited(chain)
        async with chain_at(liar.url, node.url, tokens=[TOKEN]) as chain:
            assert await credited(chain) == [5, 8]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**300), 2**300)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.from_regex(r"0x[0-9a-f]{0,70}", fullmatch=True)
    | st.sampled_from([BLOCK_HASH, TX_HASH, RECEIVER, TOKEN, TRANSFER_TOPIC, "0x" + "0" * 512]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["hash", "to", "topics"]), inner, max_size=3)
    ),
    max_leaves=5,
)
NAMES = sorted({path for path, _ in LIES})


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(NAMES), json_values), min_size=1, max_size=3))
def test_whatever_json_comes_it_is_read_or_refused_and_nothing_else(changes: list[tuple[str, Any]]) -> None:
    said = honest()
    for path, value in sorted(changes, key=lambda change: -len(change[0])):
        change(said, path, value)
    logs, block, receipt = said["eth_getLogs"], said[BLOCK], said[RECEIPT]
    with suppress(ProviderFailed, ChainMoved):
        header = decoding.header(block, 7)
        bloom.may_hold(bloom.of_header(block), bloom.of_event(TOKEN, TRANSFER_TOPIC))
        found = decoding.native_transfers(block, header)
        for transfer in (*found, *decoding.token_transfers(logs, header, {Address(TOKEN)})):
            assert transfer.units > 0
            assert transfer.to != transfer.sender
            assert transfer.contract in {None, TOKEN}
        bloom.of_logs(logs)
        for transfer in found:
            receipts.has_succeeded(receipt, transfer)


HARMLESS: list[tuple[str, Any, list[int]]] = [
    (f"{TRANSACTION}.to", None, [8]),
    (f"{TRANSACTION}.to", ..., [8]),
    (f"{TRANSACTION}.to", PAYER, [8]),
    (f"{TRANSACTION}.to", RECEIVER.upper().replace("X", "x"), [5, 8]),
    (f"{TRANSACTION}.blockHash", None, [5, 8]),
    (f"{TRANSACTION}.blockHash", ..., [5, 8]),
    (f"{TRANSACTION}.value", "0x" + "f" * 64, [2**256 - 1, 8]),
    (f"{LOG}.removed", ..., [5, 8]),
    (f"{LOG}.address", OTHER, [5]),
    (f"{LOG}.topics", [APPROVAL_TOPIC, *honest()["eth_getLogs"][0]["topics"][1:]], [5]),
    (f"{LOG}.data", "0x" + "ff" * 32, [5, 2**256 - 1]),
    (f"{RECEIPT}.status", "0x0", [8]),
    (f"{BLOCK}.logsBloom", None, [5, 8]),
    (f"{BLOCK}.logsBloom", ..., [5, 8]),
    ("eth_getLogs", [], [5]),
]


@pytest.mark.parametrize(("path", "value", "units"), HARMLESS)
async def test_what_only_looks_unusual_is_read_as_it_is_meant(path: str, value: Any, units: list[int]) -> None:
    async with running(answering(lie(path, value))) as node, chain_at(node.url, tokens=[TOKEN]) as chain:
        assert await credited(chain) == units


@pytest.mark.parametrize("bloom", ["0x" + "00" * 256, "0x" + "ff" * 256, "0x", None])
async def test_a_chain_without_blooms_is_read_without_them(bloom: str | None) -> None:
    results = lie("eth_getLogs", [])
    results[BLOCK]["logsBloom"] = bloom
    async with running(answering(results)) as node, chain_at(node.url, tokens=[TOKEN]) as chain:
        assert await credited(chain) == [5]


async def test_a_receipt_of_another_block_means_that_the_chain_moved() -> None:
    async with running(answering(lie(f"{RECEIPT}.blockHash", PARENT_HASH))) as node, chain_at(node.url) as chain:
        with pytest.raises(ChainMoved):
            await credited(chain)


@pytest.mark.parametrize("number", [None, ..., [], {}, 5, "", "7", "0x" + "f" * 65])
async def test_a_head_that_is_no_number_is_refused(number: Any) -> None:
    async with running(answering(lie(f"{BLOCK}.number", number))) as node, chain_at(node.url) as chain:
        with pytest.raises(ProviderFailed):
            await chain.head()


@pytest.mark.parametrize("final", [[], {}, "0x7", 7, {"number": None}, {"number": 7}, Error("no")])
async def test_a_final_block_that_is_none_is_refused(final: Any) -> None:
    async with running(answering(lie(BLOCK, final))) as node, chain_at(node.url, finality="safe") as chain:
        with pytest.raises(ProviderFailed):
            await chain.head()
