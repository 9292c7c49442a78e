"""A real chain: what is found in its blocks is what happened, and what a lying node says of it is refused."""

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from crypto_checkout.chain.evm.balances import NoToken
from crypto_checkout.chain.evm.chain import EvmChain
from crypto_checkout.chain.evm.decoding import TRANSFER_TOPIC
from crypto_checkout.chain.rpc.providers import MOST_CALLS, Rpc
from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ChainMoved, ProviderFailed
from crypto_checkout.core.ledger.follow import Advance, Block, Head, Header, Rollback, common_ancestor, follow
from crypto_checkout.core.ledger.payment import Transfer, TransferKind
from crypto_checkout.core.moments import from_unix
from tests.support import contracts
from tests.support.anvil import Anvil
from tests.support.nodes import Behaviour, Error, answering, forwarding, no_pause, running
from tests.support.solidity import Compiler, deploy

ETHER = 10**18
ANVIL_CHAIN_ID = 31337
RECEIVER = Address("0x" + "52" * 20)
OTHER = Address("0x" + "07" * 20)

StartAnvil = Callable[..., Anvil]


class Clock:
    """Stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def header_at(chain: EvmChain, number: int) -> Header:
    return (await chain.headers([number]))[0]


@asynccontextmanager
async def chain_at(
    *urls: str,
    tokens: Sequence[str] = (),
    finality: str = "depth",
    confirm_with: int = 1,
    clock: Clock | None = None,
) -> AsyncIterator[EvmChain]:
    rpc = Rpc(ANVIL_CHAIN_ID, urls, clock=clock or Clock(), jitter=lambda: 0, sleep=no_pause)
    chain = EvmChain(
        rpc,
        tokens=[Address(token) for token in tokens],
        finality=finality,
        confirm_with=confirm_with,
        clock=clock or itertools.count(0, 60).__next__,
    )
    try:
        yield chain
    finally:
        await chain.close()


def transact(node: Anvil, sender: str, to: str | None, *, value: int = 0, data: str = "0x", **more: str) -> str:
    """Send a transaction that is mined whatever becomes of it: with its own gas, nobody tries it out before."""
    transaction = {"from": sender, "value": hex(value), "data": data, "gas": hex(200_000), **more}
    transaction_hash: str = node.rpc("eth_sendTransaction", {**transaction, "to": to} if to else transaction)
    return transaction_hash


def word(value: int | str) -> str:
    return f"{value:064x}" if isinstance(value, int) else value.removeprefix("0x").rjust(64, "0")


def transfer_call(sender: str, to: str, units: int) -> str:
    return "0x" + word(TRANSFER_TOPIC) + word(sender) + word(to) + word(units)


async def transfers_at(chain: EvmChain, number: int) -> tuple[Transfer, ...]:
    (block,) = await chain.blocks([number])
    return block.transfers


# The native coin


async def test_a_payment_is_found_with_all_that_the_chain_says_of_it(anvil: StartAnvil) -> None:
    node = anvil()
    transaction_hash = node.send(node.accounts[0], RECEIVER, 3 * ETHER)
    shown = node.rpc("eth_getBlockByNumber", "0x1", False)
    async with chain_at(node.url) as chain:
        (block,) = await chain.blocks([1])
    time = from_unix(int(shown["timestamp"], 16))
    assert block == Block(
        Header(1, shown["hash"], shown["parentHash"], time),
        (
            Transfer(
                to=RECEIVER,
                sender=Address(node.accounts[0].lower()),
                units=3 * ETHER,
                kind=TransferKind.NATIVE,
                contract=None,
                tx_hash=transaction_hash,
                log_index=None,
                block_number=1,
                block_hash=shown["hash"],
                block_time=time,
            ),
        ),
        frozenset({Address(node.accounts[0].lower())}),
    )


async def test_a_payment_to_a_contract_that_refuses_it_is_none(anvil: StartAnvil) -> None:
    node = anvil(mining="manual")
    refusing, taking = contracts.deploy(node, contracts.REVERTING), contracts.deploy(node, contracts.PAYABLE)
    failed = transact(node, node.accounts[0], refusing, value=ETHER)
    worked = transact(node, node.accounts[1], taking, value=ETHER)
    number = node.mine()
    assert node.rpc("eth_getTransactionReceipt", failed)["status"] == "0x0"
    async with chain_at(node.url) as chain:
        seen = await transfers_at(chain, number)
        assert {transfer.tx_hash for transfer in seen} == {failed, worked}
        assert [transfer.tx_hash for transfer in await chain.succeeded(seen)] == [worked]


async def test_what_moves_nothing_to_anybody_is_no_transfer(anvil: StartAnvil) -> None:
    node = anvil(mining="manual")
    payer = node.accounts[0]
    creation = contracts.init_code(contracts.PAYABLE)
    sent = [
        transact(node, payer, None, data=creation),
        transact(node, payer, RECEIVER, value=0),
        transact(node, payer, payer, value=ETHER),
    ]
    number = node.mine()
    assert len(node.rpc("eth_getBlockByNumber", hex(number), False)["transactions"]) == len(sent)
    async with chain_at(node.url) as chain:
        assert await transfers_at(chain, number) == ()


async def test_every_transaction_of_a_full_block_is_found_in_order_and_checked(anvil: StartAnvil) -> None:
    node = anvil(mining="manual")
    for units in range(1, 151):
        transact(node, node.accounts[0], RECEIVER, value=units)
    number = node.mine()
    async with chain_at(node.url) as chain:
        seen = await transfers_at(chain, number)
        assert [transfer.units for transfer in seen] == list(range(1, 151))
        assert await chain.succeeded(seen) == list(seen)


async def test_nothing_to_check_asks_nobody() -> None:
    async with chain_at() as chain:
        assert await chain.succeeded([]) == []
        assert await chain.used([]) == set()


# Blocks, heads and reorgs


async def test_a_range_of_blocks_is_a_chain(anvil: StartAnvil) -> None:
    node = anvil(mining="manual")
    node.mine(25)
    async with chain_at(node.url) as chain:
        assert await chain.head() == Head(25)
        start = await header_at(chain, 0)
        blocks = await chain.blocks(range(1, 26))
        headers = [block.header for block in blocks]
        assert follow(0, start.hash, headers) == Advance(tuple(headers))
        assert await chain.headers([7, 3, 25]) == [headers[6], headers[2], headers[24]]


async def test_a_block_that_is_not_there_yet_fails(anvil: StartAnvil) -> None:
    node = anvil(mining="manual")
    node.mine(2)
    async with chain_at(node.url) as chain:
        with pytest.raises(ProviderFailed, match="block 3 is not there yet"):
            await header_at(chain, 3)
        with pytest.raises(ProviderFailed, match="block 3 is not there yet"):
            await chain.blocks(range(1, 4))


async def test_a_reorg_changes_the_hashes_and_its_ancestor_is_found(anvil: StartAnvil) -> None:
    node = anvil(mining="manual")
    node.mine(6)
    node.send(node.accounts[0], RECEIVER, ETHER)
    node.mine(2)
    async with chain_at(node.url) as chain:
        before = [block.header for block in await chain.blocks(range(1, 9))]
        (paid,) = (await chain.blocks([7]))[0].transfers
        node.rpc("anvil_reorg", 3, [])
        node.mine()
        assert follow(8, before[-1].hash, await chain.headers([9])) == Rollback(above=8)
        kept = {header.number: header.hash for header in before}
        now = {header.number: header.hash for header in await chain.headers(range(1, 9))}
        assert common_ancestor(kept, now) == 5
        assert await transfers_at(chain, 7) == ()
        with pytest.raises(ProviderFailed, match=f"no receipt yet for {paid.tx_hash}"):
            await chain.succeeded([paid])


async def test_a_transaction_that_was_mined_again_elsewhere_has_moved(anvil: StartAnvil) -> None:
    node = anvil(mining="manual")
    node.mine()
    snapshot = node.rpc("evm_snapshot")
    price = {"gasPrice": hex(10**10), "nonce": "0x0"}
    first = transact(node, node.accounts[0], RECEIVER, value=ETHER, **price)
    node.mine()
    async with chain_at(node.url) as chain:
        paid = await transfers_at(chain, 2)
        node.rpc("evm_revert", snapshot)
        node.mine()
        assert transact(node, node.accounts[0], RECEIVER, value=ETHER, **price) == first
        node.mine()
        with pytest.raises(ChainMoved, match="moved to another block"):
            await chain.succeeded(paid)
        assert await chain.succeeded(again := await transfers_at(chain, 3)) == list(again)


@pytest.mark.parametrize(("finality", "final"), [("safe", 68), ("finalized", 36)])
async def test_the_final_block_is_the_one_that_the_chain_calls_so(anvil: StartAnvil, finality: str, final: int) -> None:
    node = anvil(mining="manual")
    async with chain_at(node.url, finality=finality) as chain:
        assert await chain.head() == Head(0, final_number=0)
        node.mine(100)
        assert await chain.head() == Head(100, final_number=final)


async def test_before_the_first_final_block_nothing_is_final(anvil: StartAnvil) -> None:
    node = anvil(mining="manual")

    def block(number: str, full: bool) -> Any:
        return None if number == "finalized" else node.rpc("eth_getBlockByNumber", number, full)

    async with (
        running(forwarding(node.url, {"eth_getBlockByNumber": block})) as young,
        chain_at(young.url, finality="finalized") as chain,
    ):
        assert await chain.head() == Head(0, final_number=-1)


async def test_where_providers_have_to_agree_one_alone_calls_nothing_final(anvil: StartAnvil) -> None:
    node = anvil(mining="manual")
    node.mine(100)

    def ahead(number: str, full: bool) -> Any:
        return node.rpc("eth_getBlockByNumber", "latest" if number == "safe" else number, full)

    async with (
        running(forwarding(node.url, {"eth_getBlockByNumber": ahead})) as liar,
        running(forwarding(node.url, {})) as honest,
        chain_at(liar.url, honest.url, finality="safe", confirm_with=2) as chain,
    ):
        assert await chain.head() == Head(100, final_number=68)
        node.mine(10)
        assert await chain.head() == Head(110, final_number=78)
        honest.behave = forwarding(node.url, {"eth_getBlockByNumber": Error("away")})
        node.mine(10)
        assert await chain.head() == Head(120, final_number=78)  # neither the liar's word nor a step back


NO_TAG = {
    "an old geth": "invalid argument 0: hex string without 0x prefix",
    "geth before the merge": "'finalized' tag not supported on pre-merge network",
    "another": "unknown block tag",
}


def without_tag(node: Anvil, words: str) -> Behaviour:
    """Stand before a node, and refuse the block that a tag of finality names."""

    def block(number: str, full: bool) -> Any:
        return Error(words) if number == "finalized" else node.rpc("eth_getBlockByNumber", number, full)

    return forwarding(node.url, {"eth_getBlockByNumber": block})


@pytest.mark.parametrize("words", NO_TAG.values(), ids=NO_TAG)
async def test_where_no_provider_knows_the_tag_depth_decides(anvil: StartAnvil, words: str) -> None:
    node = anvil(mining="manual")
    node.mine(100)
    async with (
        running(without_tag(node, words)) as old,
        running(without_tag(node, words)) as another,
    ):
        async with chain_at(old.url, another.url, finality="finalized") as chain:
            assert await chain.head() == Head(100)
        async with chain_at(old.url, node.url, finality="finalized") as chain:
            assert await chain.head() == Head(100, final_number=36), "one that does is asked instead"


@pytest.mark.parametrize("words", ["finalized block not found", "rate limited", *NO_TAG.values()])
async def test_a_tag_that_is_refused_for_a_while_makes_nothing_new_final(anvil: StartAnvil, words: str) -> None:
    clock = Clock()
    node = anvil(mining="manual")
    node.mine(100)
    async with (
        running(forwarding(node.url, {})) as front,
        chain_at(front.url, finality="finalized", clock=clock) as chain,
    ):
        assert await chain.head() == Head(100, final_number=36)
        front.behave = without_tag(node, words)
        clock.now += 10
        node.mine(100)
        assert await chain.head() == Head(200, final_number=36)
        front.behave = forwarding(node.url, {})
        clock.now += 61
        assert await chain.head() == Head(200, final_number=136)


@pytest.mark.parametrize("words", ["finalized block not found", "rate limited"])
async def test_before_a_tag_was_ever_known_a_busy_node_is_no_old_one(anvil: StartAnvil, words: str) -> None:
    async with (
        running(without_tag(anvil(), words)) as busy,
        chain_at(busy.url, finality="finalized") as chain,
    ):
        with pytest.raises(ProviderFailed, match=words):
            await chain.head()


# Tokens


async def test_a_tokens_transfer_is_found_with_all_that_the_chain_says_of_it(anvil: StartAnvil) -> None:
    node = anvil(mining="manual")
    token = contracts.deploy(node, contracts.emitting(3))
    payer = node.accounts[0].lower()
    transact(node, payer, token, data=transfer_call(OTHER, RECEIVER, 7), nonce="0x0")
    transaction_hash = transact(node, payer, token, data=transfer_call(payer, RECEIVER, 2**255), nonce="0x1")
    number = node.mine()
    async with chain_at(node.url, tokens=[token]) as chain:
        (block,) = await chain.blocks([number])
        assert [transfer.units for transfer in block.transfers] == [7, 2**255]
        assert block.transfers[1] == Transfer(
            to=RECEIVER,
            sender=Address(payer),
            units=2**255,
            kind=TransferKind.TOKEN,
            contract=Address(token),
            tx_hash=transaction_hash,
            log_index=1,
            block_number=number,
            block_hash=block.header.hash,
            block_time=block.header.time,
        )
        assert await chain.succeeded(block.transfers) == list(block.transfers)


async def test_two_tokens_and_the_coin_are_found_in_one_block_and_other_tokens_are_not(anvil: StartAnvil) -> None:
    node = anvil(mining="manual")
    one, two, foreign = [contracts.deploy(node, contracts.emitting(3)) for _ in range(3)]
    payer = node.accounts[0]
    for token, units in [(one, 1), (two, 2), (foreign, 3)]:
        transact(node, payer, token, data=transfer_call(payer, RECEIVER, units))
    transact(node, payer, RECEIVER, value=4)
    number = node.mine()
    async with chain_at(node.url, tokens=[one, two]) as chain:
        seen = await transfers_at(chain, number)
    assert [(t.contract, t.units) for t in seen] == [(None, 4), (one, 1), (two, 2)]
    async with chain_at(node.url) as chain:
        assert [t.units for t in await transfers_at(chain, number)] == [4]


APPROVAL_TOPIC = "0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925"
NO_TRANSFERS = {
    "another event": (3, word(APPROVAL_TOPIC) + word(OTHER) + word(RECEIVER) + word(5)),
    "an ERC-721": (4, word(TRANSFER_TOPIC) + word(OTHER) + word(RECEIVER) + word(5)),
    "an event without indices": (1, word(TRANSFER_TOPIC) + word(OTHER) + word(RECEIVER) + word(5)),
    "an event without topics": (0, word(5)),
    "no units": (3, word(TRANSFER_TOPIC) + word(OTHER) + word(RECEIVER) + word(0)),
    "to itself": (3, word(TRANSFER_TOPIC) + word(RECEIVER) + word(RECEIVER) + word(5)),
    "no data": (3, word(TRANSFER_TOPIC) + word(OTHER) + word(RECEIVER)),
    "half a word of data": (3, word(TRANSFER_TOPIC) + word(OTHER) + word(RECEIVER) + "05" * 16),
    "two words of data": (3, word(TRANSFER_TOPIC) + word(OTHER) + word(RECEIVER) + word(5) + word(5)),
    "a receiver that is no address": (3, word(TRANSFER_TOPIC) + word(OTHER) + "01" + word(RECEIVER)[2:] + word(5)),
}


@pytest.mark.parametrize(("topics", "data"), NO_TRANSFERS.values(), ids=NO_TRANSFERS)
async def test_a_log_of_the_token_that_moves_nothing_is_no_transfer(anvil: StartAnvil, topics: int, data: str) -> None:
    node = anvil(mining="manual")
    token = contracts.deploy(node, contracts.emitting(topics))
    transaction_hash = transact(node, node.accounts[0], token, data="0x" + data)
    number = node.mine()
    assert len(node.rpc("eth_getTransactionReceipt", transaction_hash)["logs"]) == 1
    async with chain_at(node.url, tokens=[token]) as chain:
        assert await transfers_at(chain, number) == ()


async def test_a_node_that_hides_a_tokens_transfers_is_found_out_by_the_blocks_bloom(anvil: StartAnvil) -> None:
    node = anvil(mining="manual")
    token = contracts.deploy(node, contracts.emitting(3))
    transact(node, node.accounts[0], token, data=transfer_call(OTHER, RECEIVER, 7))
    number = node.mine()
    async with running(forwarding(node.url, {"eth_getLogs": []})) as lagging:
        async with chain_at(lagging.url, tokens=[token]) as chain:
            with pytest.raises(ProviderFailed, match=f"the logs of block {number} are not all there"):
                await chain.blocks([number])
            assert await chain.blocks([number - 1]), "where nothing can be hidden nothing is suspected"
        async with chain_at(lagging.url, node.url, tokens=[token]) as chain:
            assert [transfer.units for transfer in await transfers_at(chain, number)] == [7]


async def test_an_empty_answer_is_believed_where_other_logs_explain_the_bloom(anvil: StartAnvil) -> None:
    node = anvil(mining="manual")
    ours, foreign = contracts.deploy(node, contracts.emitting(1)), contracts.deploy(node, contracts.emitting(3))
    transact(node, node.accounts[0], ours, data="0x" + word(5))
    transact(node, node.accounts[0], foreign, data=transfer_call(OTHER, RECEIVER, 7))
    number = node.mine()
    async with (
        running(forwarding(node.url, {})) as watched,
        chain_at(watched.url, tokens=[ours]) as chain,
    ):
        assert await transfers_at(chain, number) == ()
        assert watched.methods.count("eth_getLogs") == 2


# What the chain knows of an address


async def test_an_address_is_used_once_the_chain_has_seen_it(anvil: StartAnvil) -> None:
    node = anvil(mining="manual")
    with_balance, with_nonce, with_token, unused = (Address("0x" + digit * 40) for digit in "1234")
    token = contracts.deploy(node, contracts.balance_of_one(with_token))
    node.rpc("anvil_setBalance", with_balance, "0x1")
    node.rpc("anvil_setNonce", with_nonce, "0x1")
    addresses = [unused, with_balance, with_nonce, with_token]
    async with chain_at(node.url, tokens=[token]) as chain:
        assert await chain.used(addresses) == {with_balance, with_nonce, with_token}
    async with chain_at(node.url, tokens=[node.accounts[5]]) as chain:
        assert await chain.used(addresses) == {with_balance, with_nonce}, "where no token is, nobody has any"


async def test_a_hundred_addresses_are_looked_up_in_two_requests_and_one_for_each_token() -> None:
    results = {"eth_chainId": hex(ANVIL_CHAIN_ID), "eth_getBalance": "0x0", "eth_getTransactionCount": "0x0"}
    results["eth_call"] = "0x" + 100 * word(0)
    addresses = [Address(f"0x{number:040x}") for number in range(100)]
    tokens = ["0x" + "aa" * 20, "0x" + "bb" * 20]
    async with running(answering(results)) as node, chain_at(node.url, tokens=tokens) as chain:
        assert await chain.used(addresses) == set()
        assert node.sizes == [0, MOST_CALLS, MOST_CALLS, 0, 0]
        node.behave = answering({**results, "eth_getBalance": lambda address, _: hex(int(address, 16) % 2)})
        assert await chain.used(addresses) == set(addresses[1::2])


@pytest.mark.parametrize("said", [None, [], {}, 5, "", "5", "0xzz", "balance"])
async def test_an_address_is_never_called_unused_on_a_doubtful_answer(said: Any) -> None:
    results = {"eth_chainId": hex(ANVIL_CHAIN_ID), "eth_getBalance": said, "eth_getTransactionCount": "0x0"}
    async with running(answering(results)) as node, chain_at(node.url) as chain:
        with pytest.raises(ProviderFailed):
            await chain.used([RECEIVER])


async def test_a_contract_answers_bytes(anvil: StartAnvil) -> None:
    node = anvil(mining="manual")
    token = contracts.deploy(node, contracts.balance_of_one(RECEIVER))
    async with chain_at(node.url) as chain:
        assert await chain.read_contract(token, "0x70a08231" + word(RECEIVER)) == (1).to_bytes(32)
        assert await chain.read_contract(OTHER, "0x") == b""
        refusing = contracts.deploy(node, contracts.REVERTING)
        with pytest.raises(ProviderFailed, match="refused"):
            await chain.read_contract(refusing, "0x")


@pytest.mark.parametrize("said", [None, 5, [], "1234", "0x123", "0xzz"])
async def test_what_is_not_bytes_is_no_answer_of_a_contract(said: Any) -> None:
    async with (
        running(answering({"eth_chainId": hex(ANVIL_CHAIN_ID), "eth_call": said})) as node,
        chain_at(node.url) as chain,
    ):
        with pytest.raises(ProviderFailed, match="expected bytes"):
            await chain.read_contract(OTHER, "0x")


# Outages


async def test_while_a_node_is_down_the_next_one_is_read_and_then_the_first_again(anvil: StartAnvil) -> None:
    clock = Clock()
    first, second = anvil(mining="manual"), anvil(mining="manual")
    first.mine(1)
    second.mine(2)
    async with chain_at(first.url, second.url, clock=clock) as chain:
        assert await chain.head() == Head(1)
        first.stop()
        assert await chain.head() == Head(2)
        first.start_again()
        assert await chain.head() == Head(2)
        clock.now += 1
        assert await chain.head() == Head(1)


async def test_a_single_node_that_was_down_is_read_again_with_its_chain(anvil: StartAnvil) -> None:
    node = anvil(mining="manual")
    node.mine(3)
    async with chain_at(node.url) as chain:
        before = await chain.headers(range(4))
        node.stop()
        for _ in range(3):
            with pytest.raises(ProviderFailed, match="can't connect"):
                await chain.head()
        node.start_again()
        assert await chain.head() == Head(3)
        assert await chain.headers(range(4)) == before


async def test_balances_of_a_token_are_read_for_many_addresses_at_once(anvil: StartAnvil, solc: Compiler) -> None:
    node = anvil()
    usdc = deploy(node, solc, "Token")
    some = [Address(f"0x{number:040x}") for number in range(1, 1000)]
    for place in (0, 767, 768, 998):
        usdc.send("transfer(address,uint256)", some[place], 10**6 + place)
    node.mine()
    async with chain_at(node.url) as chain:
        head = await header_at(chain, node.block_number())
        held = await chain.token_balances(head, Address(usdc.address), some)
        assert {some.index(each): units for each, units in held.items() if units} == {
            0: 10**6,
            767: 10**6 + 767,
            768: 10**6 + 768,
            998: 10**6 + 998,
        }
        assert len(held) == len(some)
        before = await header_at(chain, head.number - 5)
        assert set((await chain.token_balances(before, Address(usdc.address), some)).values()) == {0}
        for no_token in (Address("0x" + "5e" * 20), Address(contracts.deploy(node, contracts.REVERTING))):
            with pytest.raises(NoToken):
                await chain.token_balances(head, no_token, some)
