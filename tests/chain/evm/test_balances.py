"""The balances of many addresses in one call: exact, at the block that is meant, or not at all."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.chain.evm.balances import MOST_ADDRESSES
from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ChainMoved, ProviderFailed, StateUnavailable
from crypto_checkout.core.ledger.expected_balances import ExpectedBalances, internal_transfers
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.payment import Transfer, TransferKind
from crypto_checkout.core.moments import from_unix
from tests.chain.evm.test_chain import chain_at, header_at
from tests.support.anvil import Anvil
from tests.support.nodes import Error, forwarding, running

StartAnvil = Callable[..., Anvil]

ADDRESSES = [Address(f"0x{number + 4096:040x}") for number in range(2 * MOST_ADDRESSES + 1)]
HEADER = Header(7, "0x" + "07" * 32, "0x" + "06" * 32, from_unix(1_700_000_000))


async def test_many_addresses_are_read_at_the_block_that_is_meant(anvil: StartAnvil) -> None:
    node = anvil(mining="manual")
    for place in (0, MOST_ADDRESSES - 1, MOST_ADDRESSES, 2 * MOST_ADDRESSES):
        node.send(node.accounts[0], ADDRESSES[place], place + 1)
    node.mine()
    node.send(node.accounts[0], ADDRESSES[0], 5)
    node.mine()
    async with chain_at(node.url) as chain:
        before, after = await chain.headers([1, 2])
        found = await chain.balances(before, ADDRESSES)
        assert {address: units for address, units in found.items() if units} == {
            ADDRESSES[place]: place + 1 for place in (0, MOST_ADDRESSES - 1, MOST_ADDRESSES, 2 * MOST_ADDRESSES)
        }
        assert len(found) == len(ADDRESSES)
        assert (await chain.balances(after, ADDRESSES[:1])) == {ADDRESSES[0]: 6}
        assert await chain.balances(after, []) == {}


@pytest.mark.parametrize("said", ["0x", "0x" + "00" * 31, "0x" + "00" * 33, None, [], 7, "0xzz"])
async def test_an_answer_of_another_length_is_refused(anvil: StartAnvil, said: Any) -> None:
    node = anvil()
    async with running(forwarding(node.url, {"eth_call": said})) as front, chain_at(front.url) as chain:
        with pytest.raises(ProviderFailed):
            await chain.balances(await header_at(chain, 0), ADDRESSES[:1])


async def test_a_node_without_the_state_is_not_blamed_and_the_next_one_is_asked(anvil: StartAnvil) -> None:
    node = anvil()
    async with running(forwarding(node.url, {"eth_call": Error("missing trie node")})) as pruned:
        async with chain_at(pruned.url) as chain:
            with pytest.raises(StateUnavailable, match="missing trie node"):
                await chain.balances(await header_at(chain, 0), ADDRESSES[:1])
            assert chain._rpc.providers[0].failures == 0
        async with chain_at(pruned.url, node.url) as chain:
            assert await chain.balances(await header_at(chain, 0), ADDRESSES[:1]) == {ADDRESSES[0]: 0}


async def test_by_number_a_block_that_is_another_one_by_now_is_noticed(anvil: StartAnvil) -> None:
    node = anvil()
    async with (
        running(forwarding(node.url, {"eth_call": Error("no such form")})) as front,
        chain_at(front.url) as chain,
    ):
        with pytest.raises(ChainMoved):
            await chain.balances(Header(0, "0x" + "ab" * 32, "0x", from_unix(1)), ADDRESSES[:1])


amounts = st.integers(1, 2**100)


def traced(units: int, tx: int, to: Address) -> Transfer:
    tx_hash = f"0x{tx:064x}"
    return Transfer(
        to, ADDRESSES[9], units, TransferKind.INTERNAL, None, tx_hash, None, HEADER.number, HEADER.hash, HEADER.time
    )


@given(
    st.dictionaries(st.sampled_from(ADDRESSES[:3]), amounts, min_size=1),
    st.lists(st.tuples(amounts, st.sampled_from(ADDRESSES[:4]))),
)
def test_whatever_is_traced_the_transfers_are_exactly_what_arrived(
    arrived: dict[Address, int], traces: list[tuple[int, Address]]
) -> None:
    named = [traced(units, number, to) for number, (units, to) in enumerate(traces)]
    found = internal_transfers(HEADER, arrived, named, arrived)
    assert {to: sum(t.units for t in found if t.to == to) for to in arrived} == arrived
    assert {t.to for t in found} == arrived.keys()
    assert all(t.tx_hash is None or t in named for t in found)
    assert all(sum(t.to == to and t.tx_hash is None for t in found) <= 1 for to in arrived)


def test_a_ledger_knows_what_an_address_should_hold_after_each_block() -> None:
    ledger = ExpectedBalances({ADDRESSES[0]: 10})
    ledger.add(ADDRESSES[0], 3, 5)
    ledger.add(ADDRESSES[0], 3, -1)
    ledger.add(ADDRESSES[0], 5, 7)
    ledger.add(ADDRESSES[1], 5, 7)
    assert [ledger.expected(ADDRESSES[0], number) for number in (2, 3, 4, 5)] == [10, 14, 14, 21]
    assert ledger.changes.keys() == {ADDRESSES[0]}
