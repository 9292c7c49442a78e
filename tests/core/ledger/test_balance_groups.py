"""Expected balances in groups: a fingerprint reveals every change, and an unchanged group costs no reading."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.core.address import Address
from crypto_checkout.core.ledger import balance_groups
from crypto_checkout.core.ledger.balance_groups import BalanceGroups, fingerprint
from crypto_checkout.core.ledger.expected_balances import ExpectedBalances
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.moments import from_unix
from crypto_checkout.services.ledger.watched_addresses import WATCHED_AFTER_GRACE, WatchedAddresses
from crypto_checkout.store.database import Database
from tests.support.api import PRICE, App, made

ADDRESSES = [Address(f"0x{number:040x}") for number in range(12)]
MOST = 3

steps = st.lists(st.tuples(st.sampled_from(ADDRESSES), st.none() | st.integers(-10, 2**255)))


def held_by(made: BalanceGroups, truth: Mapping[Address, int], ledger: ExpectedBalances, number: int) -> bool:
    """Tell whether each group's fingerprint is that of what its addresses hold, and each address is in one."""
    groups = [*made.expected(ledger, number)]
    assert sorted(address for group in groups for address in group.addresses) == sorted(truth)
    return all(group.fingerprint == fingerprint([truth[a] for a in group.addresses]) for group in groups)


@given(
    steps,
    st.dictionaries(st.sampled_from(ADDRESSES), st.integers(0, 5)),
    st.sampled_from(ADDRESSES),
    st.integers(1, 10),
)
def test_whatever_comes_and_goes_the_groups_hold_all_and_tell_every_difference(
    steps: list[tuple[Address, int | None]], together: dict[Address, int], paid: Address, units: int
) -> None:
    balance_groups.MOST_TOGETHER, before = MOST, balance_groups.MOST_TOGETHER
    try:
        made, truth = BalanceGroups(), dict[Address, int]()
        for address, each in steps:
            if each is not None:
                made.set(address, each)
                truth[address] = each
            elif address in truth:
                made.drop(address)
                del truth[address]
            assert held_by(made, truth, ExpectedBalances(made.units), 7)
        new = {address: each for address, each in together.items() if address not in truth}
        made.add(new)
        truth |= new
        assert held_by(made, truth, ExpectedBalances(made.units), 7)
        ledger = ExpectedBalances(made.units)
        ledger.add(paid, 7, units)
        if paid in truth:
            assert not held_by(made, truth, ledger, 7)
            assert held_by(made, truth, ledger, 6)
            assert held_by(made, {**truth, paid: truth[paid] + units}, ledger, 7)
        assert MOST * len([*made.expected(ledger, 7)]) <= 2 * (len(truth) + MOST)
    finally:
        balance_groups.MOST_TOGETHER = before


async def test_what_is_in_memory_goes_on_with_the_cursor_only_and_is_read_again_otherwise(app: App) -> None:
    session = await made(app.api, "/checkout_sessions", PRICE)
    db: Database = app.opened.db
    address, now = Address(session["address"].lower()), from_unix(1_000_000_000)
    blocks = [Header(number, f"0x{number:064x}", f"0x{number - 1:064x}", now) for number in range(4)]
    watched = WatchedAddresses(db, chain_id=1, livemode=False)
    await watched.catch_up(blocks[0])
    assert watched.unread == {address}
    watched.add_balances({address: 5})
    assert [each.units for each in watched.stage(blocks[1], blocks[0], {})] == [5]
    await watched.catch_up(blocks[0])
    assert watched.holdings.units == {address: 5}, "the turn failed: asked again, not read again"
    assert [each.block_number for each in watched.stage(blocks[1], blocks[0], {address: 9})] == [1]
    await watched.catch_up(blocks[1])
    assert watched.holdings.units == {address: 9}
    assert [*watched.stage(blocks[2], blocks[1], {})] == [], "nothing to store twice"
    await watched.catch_up(blocks[3])
    assert (watched.holdings.units, watched.unread) == ({}, {address}), "another branch: read again"
    late = Header(4, "0x" + "04" * 32, blocks[3].hash, from_unix(4_000_000_000) + WATCHED_AFTER_GRACE)
    await watched.catch_up(late)
    assert (watched.holdings.units, watched.unread) == ({}, set())


async def test_sessions_of_the_other_mode_are_nobody(app: App) -> None:
    await made(app.api, "/checkout_sessions", PRICE)
    watched = WatchedAddresses(app.opened.db, chain_id=1, livemode=True)
    await watched.catch_up(Header(0, "0x" + "00" * 32, "0x" + "00" * 32, from_unix(1_000_000_000)))
    assert watched.unread == set()


def test_what_should_be_less_than_nothing_is_like_no_balance() -> None:
    assert fingerprint([-1]) != fingerprint([0])
