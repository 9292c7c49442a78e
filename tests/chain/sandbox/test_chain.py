"""The simulated chain: the same blocks after every restart, and a payment is always in a block that is new."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.chain.sandbox.chain import PAYER, SandboxChain
from crypto_checkout.chain.sandbox.draft import Draft
from crypto_checkout.chain.sandbox.state import State
from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ChainMoved, ProviderFailed
from crypto_checkout.core.ledger.follow import Advance, Head, Header, Rollback, common_ancestor, follow
from crypto_checkout.core.ledger.payment import Transfer, TransferKind
from crypto_checkout.core.sandbox import SandboxTransaction
from crypto_checkout.store.migrate import migrate, migrations

GENESIS = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
RECEIVER = Address("0x" + "52" * 20)
OTHER = Address("0x" + "07" * 20)
TOKEN = Address("0x" + "70" * 20)
ENTROPY = bytes(range(32))


class Clock:
    """Stands still until it is moved."""

    def __init__(self, seconds: float = 0) -> None:
        self.seconds = seconds

    def __call__(self) -> datetime:
        return GENESIS + timedelta(seconds=self.seconds)


def chain_at(seconds: float = 0, seed: str = "seed") -> tuple[SandboxChain, Clock]:
    clock = Clock(seconds)
    return SandboxChain(State(seed, GENESIS), clock), clock


def restarted(chain: SandboxChain, clock: Callable[[], datetime]) -> SandboxChain:
    return SandboxChain(State.from_json(chain.state.to_json()), clock, transactions(chain))


def transactions(chain: SandboxChain) -> list[SandboxTransaction]:
    return [each for number in range(chain.state.newest + 1) for each in chain.transactions_in(number)]


def pay(
    chain: SandboxChain,
    to: Address,
    units: int,
    entropy: bytes,
    contract: Address | None = None,
    *,
    internal: bool = False,
) -> SandboxTransaction:
    draft = chain.draft()
    transaction = draft.pay(to, units, "0x" + entropy.hex(), contract, internal=internal)
    chain.apply(draft)
    return transaction


def mine(chain: SandboxChain, blocks: int) -> None:
    change(chain, lambda draft: draft.mine(blocks))


def change(chain: SandboxChain, how: Callable[[Draft], None]) -> None:
    draft = chain.draft()
    how(draft)
    chain.apply(draft)


async def header_at(chain: SandboxChain, number: int) -> Header:
    (header,) = await chain.headers([number])
    return header


async def test_a_block_comes_every_second() -> None:
    chain, clock = chain_at()
    assert await chain.head() == Head(0)
    clock.seconds = 1.999
    assert await chain.head() == Head(1)
    clock.seconds = 3600
    assert await chain.head() == Head(3600)
    assert (await header_at(chain, 3600)).time == GENESIS + timedelta(hours=1)


async def test_its_blocks_link_up_to_a_chain() -> None:
    chain, _ = chain_at(100)
    start = await header_at(chain, 0)
    headers = [block.header for block in await chain.blocks(range(1, 101))]
    assert follow(0, start.hash, headers) == Advance(tuple(headers))
    assert len({header.hash for header in headers}) == 100
    assert all(len(header.hash) == 66 and header.hash == header.hash.lower() for header in headers)


async def test_the_same_seed_gives_the_same_blocks_and_another_gives_others() -> None:
    blocks = [await chain_at(50, seed)[0].blocks(range(51)) for seed in ("one", "one", "other")]
    assert blocks[0] == blocks[1]
    assert not {block.header.hash for block in blocks[0]} & {block.header.hash for block in blocks[2]}


@pytest.mark.parametrize(("first", "last"), [(6, 6), (0, 6), (-1, 3)])
async def test_a_block_that_is_not_mined_fails(first: int, last: int) -> None:
    chain, _ = chain_at(5)
    with pytest.raises(ProviderFailed, match="only blocks 0 to 5"):
        await chain.blocks(range(first, last + 1))
    with pytest.raises(ProviderFailed, match="only blocks 0 to 5"):
        await chain.headers([first, last])


async def test_a_payment_is_in_a_new_block_with_all_that_a_chain_says_of_it() -> None:
    chain, _ = chain_at(5)
    transaction = pay(chain, RECEIVER, 7, ENTROPY)
    assert await chain.head() == Head(6)
    (block,) = await chain.blocks([6])
    assert transaction.hash == "0x" + ENTROPY.hex()
    assert block.transfers == (
        Transfer(
            to=RECEIVER,
            sender=PAYER,
            units=7,
            kind=TransferKind.NATIVE,
            contract=None,
            tx_hash=transaction.hash,
            log_index=None,
            block_number=6,
            block_hash=block.header.hash,
            block_time=block.header.time,
        ),
    )
    assert await chain.succeeded(block.transfers) == list(block.transfers)


async def test_a_token_is_paid_as_a_token() -> None:
    chain, _ = chain_at(5)
    pay(chain, RECEIVER, 7, ENTROPY, TOKEN)
    (transfer,) = (await chain.blocks([6]))[0].transfers
    assert (transfer.kind, transfer.contract, transfer.log_index) == (TransferKind.TOKEN, TOKEN, 0)


async def test_what_a_contract_pays_shows_in_balances_and_in_no_block() -> None:
    chain, _ = chain_at(5)
    pay(chain, RECEIVER, 7, bytes(32))
    transaction = pay(chain, RECEIVER, 5, ENTROPY, internal=True)
    before, after = await chain.blocks(range(6, 8))
    assert after.transfers == ()
    assert await chain.balances(before.header, [RECEIVER, OTHER]) == {RECEIVER: 7, OTHER: 0}
    assert await chain.balances(after.header, [RECEIVER]) == {RECEIVER: 12}
    assert await chain.internal_transfers(before.header, [RECEIVER]) == []
    (named,) = await chain.internal_transfers(after.header, [RECEIVER])
    assert (named.kind, named.units, named.tx_hash) == (TransferKind.INTERNAL, 5, transaction.hash)
    chain.state.branches.append((7, "fork"))
    with pytest.raises(ChainMoved):
        await chain.balances(after.header, [RECEIVER])


async def test_a_range_shows_the_payments_of_its_own_blocks_only() -> None:
    chain, _ = chain_at()
    for number in range(1, 6):
        pay(chain, RECEIVER, number, number.to_bytes(32))
    blocks = await chain.blocks(range(2, 5))
    assert [[transfer.units for transfer in block.transfers] for block in blocks] == [[2], [3], [4]]


async def test_mined_blocks_put_the_chain_ahead_of_the_clock() -> None:
    chain, clock = chain_at(5)
    mine(chain, 10)
    assert await chain.head() == Head(15)
    assert (await header_at(chain, 15)).time == clock() + timedelta(seconds=10)
    clock.seconds += 2
    assert await chain.head() == Head(17)


async def test_who_was_paid_has_been_used() -> None:
    chain, _ = chain_at()
    pay(chain, RECEIVER, 1, ENTROPY)
    assert await chain.used([RECEIVER, OTHER]) == {RECEIVER}
    assert await chain.used([]) == set()


async def test_a_restart_gives_the_same_chain() -> None:
    chain, clock = chain_at(5)
    pay(chain, RECEIVER, 2**255, ENTROPY)
    pay(chain, OTHER, 8, bytes(32), TOKEN)
    mine(chain, 3)
    chain.state.branches.append((7, "fork"))
    again = restarted(chain, clock)
    assert again.state == chain.state
    assert await again.head() == await chain.head()
    assert await again.blocks(range(11)) == await chain.blocks(range(11))
    assert transactions(again)[1].kind is TransferKind.TOKEN


async def test_the_time_that_the_server_was_off_passes_before_one_block() -> None:
    chain, clock = chain_at(100)
    before = await chain.blocks(range(101))
    clock.seconds += 86_400
    chain.state.resume(100, clock())
    assert await chain.head() == Head(101)
    assert chain.time == (await header_at(chain, 101)).time == clock()
    assert await chain.blocks(range(101)) == before
    assert follow(100, before[100].header.hash, await chain.headers([101])) == Advance(
        tuple(await chain.headers([101]))
    )
    clock.seconds += 5
    assert await chain.head() == Head(106)
    assert chain.time == clock()
    again = restarted(chain, clock)
    assert await again.blocks(range(107)) == await chain.blocks(range(107))


async def test_a_short_stop_changes_no_block() -> None:
    chain, clock = chain_at(100)
    clock.seconds += 60
    chain.state.resume(100, clock())
    assert await chain.head() == Head(160)


async def test_no_processed_block_is_mined_again_after_a_stop_with_the_clock_set_back() -> None:
    chain, clock = chain_at(100)
    state = State.from_json(chain.state.to_json())
    clock.seconds -= 50
    state.newest = 40  # as it was last stored
    state.resume(100, clock())
    assert pay(SandboxChain(state, clock), RECEIVER, 1, ENTROPY).block_number == 101


async def test_what_was_mined_ahead_stays_ahead_over_a_stop() -> None:
    chain, clock = chain_at(100)
    mine(chain, 30)
    assert await chain.head() == Head(130)
    clock.seconds += 1000
    chain.state.resume(100, clock())
    assert await chain.head() == Head(131)
    assert chain.time == clock() + timedelta(seconds=30)
    assert pay(chain, RECEIVER, 1, ENTROPY).block_number == 132


async def test_a_branch_replaces_the_blocks_from_its_first_on() -> None:
    chain, _ = chain_at(10)
    before = await chain.headers(range(11))
    chain.state.branches.append((8, "fork"))
    after = await chain.headers(range(11))
    assert [one == other for one, other in zip(before, after, strict=True)] == [True] * 8 + [False] * 3
    assert follow(7, after[7].hash, after[8:]) == Advance(tuple(after[8:]))
    mine(chain, 1)
    assert follow(10, before[10].hash, await chain.headers([11])) == Rollback(above=10)
    kept = {header.number: header.hash for header in before}
    assert common_ancestor(kept, {header.number: header.hash for header in after}) == 7


async def test_a_later_branch_may_begin_lower() -> None:
    chain, _ = chain_at(10)
    seen = []
    for branch in ((8, "one"), (5, "two"), (9, "three")):
        chain.state.branches.append(branch)
        headers = await chain.headers(range(11))
        assert follow(0, headers[0].hash, headers[1:]) == Advance(tuple(headers[1:]))
        seen.append([header.hash for header in headers])
    assert seen[0][:5] == seen[1][:5] == seen[2][:5]
    assert seen[1][:9] == seen[2][:9]
    assert len({hashes[10] for hashes in seen}) == 3


async def test_a_clock_that_is_set_back_takes_no_block_away() -> None:
    chain, clock = chain_at(100)
    assert await chain.head() == Head(100)
    before = await header_at(chain, 100)
    clock.seconds = 40
    assert await chain.head() == Head(100)
    assert await header_at(chain, 100) == before
    assert await restarted(chain, clock).head() == Head(100)


async def test_blocks_that_come_at_once_take_nobody_s_time() -> None:
    chain, clock = chain_at(10)
    before = chain.time
    change(chain, lambda draft: draft.mine_at_once(5))
    assert await chain.head() == Head(15)
    assert chain.time == before == clock()
    headers = await chain.headers(range(16))
    assert follow(0, headers[0].hash, headers[1:]) == Advance(tuple(headers[1:]))
    clock.seconds += 3
    assert await chain.head() == Head(18)
    assert chain.time == clock()
    again = restarted(chain, clock)
    assert await again.blocks(range(19)) == await chain.blocks(range(19))


async def test_a_clock_that_is_put_forward_makes_one_block() -> None:
    chain, clock = chain_at(10)
    change(chain, lambda draft: draft.advance(3600))
    assert await chain.head() == Head(11)
    assert chain.time == clock() + timedelta(hours=1)
    clock.seconds += 2
    assert await chain.head() == Head(13)
    assert chain.time == clock() + timedelta(hours=1)


async def test_a_transaction_that_is_taken_out_can_come_again() -> None:
    chain, _ = chain_at(10)
    paid = pay(chain, RECEIVER, 7, ENTROPY)

    def take_out(draft: Draft) -> None:
        draft.take_back(RECEIVER, "fork")
        draft.mine(1)

    change(chain, take_out)
    assert transactions(chain) == []
    assert await chain.balances(await header_at(chain, 12), [RECEIVER]) == {RECEIVER: 0}

    def put_in(draft: Draft) -> None:
        draft.mine(1)
        draft.transfer(paid.to, paid.units, paid.kind, paid.contract, paid.hash)

    change(chain, put_in)
    assert transactions(chain) == [replace(paid, block_number=13)]
    assert await chain.balances(await header_at(chain, 13), [RECEIVER]) == {RECEIVER: 7}


async def test_during_an_outage_every_look_fails_and_blocks_go_on() -> None:
    chain, clock = chain_at(10)
    header = await header_at(chain, 10)
    change(chain, lambda draft: draft.begin_outage(60))
    clock.seconds += 59
    looks = (chain.head, lambda: chain.headers([1]), lambda: chain.blocks([1]), lambda: chain.balances(header, []))
    for look in looks:
        with pytest.raises(ProviderFailed, match="outage"):
            await look()
    with pytest.raises(ProviderFailed, match="outage"):
        await restarted(chain, clock).head()
    clock.seconds += 1
    assert await chain.head() == Head(70)


async def test_the_state_stays_small_however_much_happens() -> None:
    chain, clock = chain_at(10)
    for _ in range(3_000):
        clock.seconds += 10
        change(chain, lambda draft: draft.mine_at_once(1))
        change(chain, lambda draft: draft.state.fork(draft.number, "fork"))
    assert len(chain.state.to_json()) < 10_000
    assert chain.time == clock()
    times = [header.time for header in await chain.headers(range(chain.number - 1024, chain.number + 1))]
    assert times == sorted(times)


def test_the_transactions_of_an_older_version_are_kept_to_the_last_digit(tmp_path: Path) -> None:
    path = tmp_path / "checkout.db"
    older = [each for each in migrations() if each.number < 4]
    transaction = {"hash": "0x01", "block_number": 7, "to": RECEIVER, "units": 2**255 + 1, "kind": "token"}
    state = {"seed": "seed", "transactions": [{**transaction, "contract": TOKEN}, {**transaction, "contract": None}]}
    state["transactions"][1]["hash"] = "0x02"  # type: ignore[index]  # a list, as written above
    with closing(sqlite3.connect(path)) as connection:
        for each in older:
            connection.executescript(each.sql)
        connection.execute("INSERT INTO sandbox VALUES (1, ?, '')", [json.dumps(state)])
        connection.execute(f"PRAGMA user_version = {older[-1].number}")
        connection.commit()
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT * FROM sandbox_transactions ORDER BY seq").fetchall()
        (kept,) = connection.execute("SELECT state FROM sandbox").fetchone()
    same = (0, 7, RECEIVER, str(2**255 + 1), "token")
    assert rows == [(1, "0x01", *same, TOKEN, None), (2, "0x02", *same, None, None)]
    assert json.loads(kept) == {"seed": "seed"}


steps = st.lists(
    st.tuples(
        st.integers(-30, 30) | st.integers(-5_000, 5_000),
        st.sampled_from(["look", "pay", "mine", "at once", "advance", "fork", "restart", "resume"]),
    ),
    max_size=20,
)


@given(steps)
async def test_whatever_the_clock_does_a_payment_is_above_every_block_that_was_seen(
    steps: list[tuple[int, str]],
) -> None:
    chain, clock = chain_at(10)
    seen, timeless = -1, 0
    for seconds, step in steps:
        clock.seconds += seconds
        if step == "look":
            number = (await chain.head()).number
            assert number >= seen
            seen = number
        elif step == "pay":
            assert pay(chain, RECEIVER, 1, ENTROPY).block_number > seen
        elif step == "mine":
            mine(chain, 2)
            assert chain.number >= seen + 2
        elif step == "at once":
            change(chain, lambda draft: draft.mine_at_once(2))
            timeless += 2
            assert chain.number >= seen + 2
        elif step == "advance":
            before = chain.time
            change(chain, lambda draft: draft.advance(50))
            assert chain.time >= before + timedelta(seconds=50)
        elif step == "fork":
            change(chain, lambda draft: draft.state.fork(draft.number, "fork"))
        else:
            chain = restarted(chain, clock)
            if step == "resume":
                chain.state.resume(max(seen, 0), clock())
    times = [header.time for header in await chain.headers(range(chain.number + 1))]
    assert times == sorted(times)
    assert len(set(times)) >= len(times) - timeless
