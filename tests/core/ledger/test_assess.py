"""The statuses of a session: the stories of the contract, properties of any chain, and chains that grow and shrink."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.session import (
    ACCEPTED,
    CLOSED,
    PAYMENT_REORGED,
    SETTLED,
    STATUSES,
    Session,
    Status,
    Terms,
)
from crypto_checkout.core.ledger.assess import Assessment, Tip, counts
from crypto_checkout.core.ledger.payment import Payment, TransferKind
from tests.support.factories import a_payment, a_session
from tests.support.sums import assess

START = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ADDRESS = Address("0x" + "52" * 20)
OTHER = Address("0x" + "07" * 20)
TOKEN = Address("0x" + "70" * 20)
ETH = Asset(1, "ETH", 18)
USDC = Asset(1, "USDC", 6, TOKEN, usd_pegged=True)

AMOUNT, MINIMUM, MAXIMUM = 10_000, 9_990, 10_500
CONFIRMATIONS = 3
EXPIRES = START + timedelta(seconds=900)
GRACE = EXPIRES + timedelta(seconds=3600)
TERMS = Terms(AMOUNT, MINIMUM, MAXIMUM, EXPIRES, GRACE, CONFIRMATIONS)

BLOCK = 100
DEEP = BLOCK + CONFIRMATIONS - 1
"""The tip at which block 100 is deep enough."""


def session(
    status: Status = Status.PENDING,
    reason: str | None = None,
    *,
    paid_at: datetime | None = None,
    accepted: int | None = None,
    asset: Asset = ETH,
    terms: Terms = TERMS,
) -> Session:
    return a_session(
        status=status,
        status_reason=reason,
        address=ADDRESS,
        asset=asset,
        terms=terms,
        created_at=START,
        updated_at=START,
        paid_at=paid_at or (START if status in SETTLED or status is Status.FAILED else None),
        accepted_units=accepted,
    )


def payment(
    units: int,
    block: int = BLOCK,
    *,
    at: datetime = START,
    canonical: bool = True,
    to: Address = ADDRESS,
    contract: Address | None = None,
    kind: TransferKind = TransferKind.NATIVE,
) -> Payment:
    return a_payment(
        canonical=canonical,
        to=to,
        sender=OTHER,
        units=units,
        kind=kind,
        contract=contract,
        block_number=block,
        block_time=at,
    )


def tip(number: int = DEEP, *, at: datetime = START, final: int | None = None) -> Tip:
    return Tip(number, at, final)


NOW_DEEP = tip()


def judged(*payments: Payment, tip: Tip = NOW_DEEP, of: Session | None = None) -> Assessment:
    return assess(of or session(), payments, tip)


def status_of(*payments: Payment, tip: Tip = NOW_DEEP, of: Session | None = None) -> Status:
    return judged(*payments, tip=tip, of=of).status


# Nothing received


def test_a_session_without_payments_is_pending() -> None:
    assert judged() == Assessment(Status.PENDING, None, 0, 0, awaits_depth=False)


def test_a_session_expires_only_by_a_processed_block_later_than_its_time() -> None:
    assert status_of(tip=tip(at=EXPIRES)) is Status.PENDING
    assert status_of(tip=tip(at=EXPIRES + SECOND)) is Status.EXPIRED


def test_what_has_expired_stays_so_when_a_reorg_turns_the_time_back() -> None:
    assert status_of(tip=tip(at=START), of=session(Status.EXPIRED)) is Status.EXPIRED


def test_money_in_a_block_that_is_not_deep_keeps_a_session_from_expiring() -> None:
    assert status_of(payment(1), tip=tip(BLOCK, at=GRACE + SECOND)) is Status.PENDING


# Too little


def test_too_little_and_not_deep_is_pending_and_says_what_was_received() -> None:
    assert judged(payment(MINIMUM - 1), tip=tip(DEEP - 1)) == Assessment(
        Status.PENDING, None, MINIMUM - 1, 0, awaits_depth=True
    )


def test_too_little_and_deep_is_underpaid() -> None:
    assert judged(payment(MINIMUM - 1)) == Assessment(
        Status.UNDERPAID, None, MINIMUM - 1, MINIMUM - 1, awaits_depth=False
    )


def test_an_underpaid_session_stays_so_after_its_time() -> None:
    assert status_of(payment(1), tip=tip(at=GRACE + SECOND), of=session(Status.UNDERPAID)) is Status.UNDERPAID


def test_too_little_that_comes_in_grace_makes_an_expired_session_underpaid_once_deep() -> None:
    late = payment(5, at=EXPIRES + SECOND)
    assert status_of(late, tip=tip(DEEP - 1, at=GRACE), of=session(Status.EXPIRED)) is Status.EXPIRED
    assert status_of(late, tip=tip(DEEP, at=GRACE), of=session(Status.EXPIRED)) is Status.UNDERPAID


def test_a_top_up_brings_an_underpaid_session_to_paid() -> None:
    underpaid, first, second = session(Status.UNDERPAID), payment(4_000), payment(6_000, BLOCK + 5)
    assert status_of(first, second, tip=tip(BLOCK + 5), of=underpaid) is Status.DETECTED
    assert status_of(first, second, tip=tip(DEEP + 5), of=underpaid) is Status.PAID


def test_many_small_payments_pay() -> None:
    assert status_of(*[payment(1, BLOCK - number) for number in range(AMOUNT)]) is Status.PAID


# Enough


@pytest.mark.parametrize(
    ("units", "status"),
    [
        (MINIMUM - 1, Status.UNDERPAID),
        (MINIMUM, Status.PAID),
        (AMOUNT, Status.PAID),
        (MAXIMUM, Status.PAID),
        (MAXIMUM + 1, Status.OVERPAID),
        (2**256 - 1, Status.OVERPAID),
    ],
)
def test_the_tolerances_are_exact_to_the_unit(units: int, status: Status) -> None:
    assert status_of(payment(units)) is status
    assert status_of(payment(1), payment(units - 1)) is status


def test_without_tolerances_only_the_amount_itself_pays() -> None:
    exact = session(terms=replace(TERMS, minimum_units=AMOUNT, maximum_units=AMOUNT))
    assert status_of(payment(AMOUNT - 1), of=exact) is Status.UNDERPAID
    assert status_of(payment(AMOUNT), of=exact) is Status.PAID
    assert status_of(payment(AMOUNT + 1), of=exact) is Status.OVERPAID


@pytest.mark.parametrize("units", [MINIMUM, AMOUNT, MAXIMUM + 1])
def test_enough_is_detected_until_it_is_deep(units: int) -> None:
    for number in range(BLOCK, DEEP):
        assert judged(payment(units), tip=tip(number)) == Assessment(Status.DETECTED, None, units, 0, awaits_depth=True)
    assert judged(payment(units), tip=tip(DEEP)).confirmed_units == units


def test_only_what_is_deep_settles() -> None:
    assert judged(payment(MINIMUM - 1), payment(1, BLOCK + 1)) == Assessment(
        Status.DETECTED, None, MINIMUM, MINIMUM - 1, awaits_depth=True
    )


def test_an_overpayment_is_one_once_the_excess_is_deep() -> None:
    assert status_of(payment(AMOUNT), payment(AMOUNT, BLOCK + 1), tip=tip(DEEP)) is Status.PAID
    assert status_of(payment(AMOUNT), payment(AMOUNT, BLOCK + 1), tip=tip(DEEP + 1)) is Status.OVERPAID


def test_one_confirmation_is_the_block_itself() -> None:
    one = session(terms=replace(TERMS, required_confirmations=1))
    assert status_of(payment(AMOUNT), tip=tip(BLOCK - 1), of=one) is Status.DETECTED
    assert status_of(payment(AMOUNT), tip=tip(BLOCK), of=one) is Status.PAID


def test_no_confirmations_still_want_the_block_to_be_processed() -> None:
    none = session(terms=replace(TERMS, required_confirmations=0))
    assert status_of(payment(AMOUNT), tip=tip(BLOCK - 1), of=none) is Status.DETECTED
    assert status_of(payment(AMOUNT), tip=tip(BLOCK), of=none) is Status.PAID


# On time, in grace, and after


@pytest.mark.parametrize(
    ("at", "status"),
    [
        (EXPIRES - SECOND, Status.PAID),
        (EXPIRES, Status.PAID),
        (EXPIRES + SECOND, Status.PAID_LATE),
        (GRACE, Status.PAID_LATE),
        (GRACE + SECOND, Status.EXPIRED),
    ],
)
def test_the_time_of_the_block_decides_whatever_the_time_is_now(at: datetime, status: Status) -> None:
    for now in (at, GRACE + timedelta(days=30)):
        for before in (session(), session(Status.EXPIRED)):
            assert status_of(payment(AMOUNT, at=at), tip=tip(at=now), of=before) is status


def test_some_in_grace_is_late_only_when_it_was_needed() -> None:
    in_grace = EXPIRES + SECOND
    after = tip(DEEP, at=in_grace)
    assert status_of(payment(MINIMUM - 1), payment(1, at=in_grace), tip=after) is Status.PAID_LATE
    assert status_of(payment(MINIMUM), payment(1, at=in_grace), tip=after) is Status.PAID
    assert status_of(payment(MAXIMUM), payment(1, at=in_grace), tip=after) is Status.OVERPAID


def test_money_after_the_window_changes_nothing() -> None:
    too_late = payment(AMOUNT, at=GRACE + SECOND)
    assert not counts(too_late, session())
    for before in (Status.EXPIRED, Status.UNDERPAID, Status.PAID):
        with_it = judged(payment(5), too_late, tip=tip(at=GRACE + SECOND), of=session(before))
        assert with_it == judged(payment(5), tip=tip(at=GRACE + SECOND), of=session(before))


def test_without_grace_the_window_ends_with_the_session() -> None:
    strict = session(terms=replace(TERMS, grace_until=EXPIRES))
    assert status_of(payment(AMOUNT, at=EXPIRES), of=strict) is Status.PAID
    assert status_of(payment(AMOUNT, at=EXPIRES + SECOND), tip=tip(at=EXPIRES + SECOND), of=strict) is Status.EXPIRED


# Whose money it is


@pytest.mark.parametrize(
    "foreign",
    [
        payment(AMOUNT, to=OTHER),
        payment(AMOUNT, contract=TOKEN, kind=TransferKind.TOKEN),
        payment(AMOUNT, contract=OTHER, kind=TransferKind.TOKEN),
        payment(AMOUNT, canonical=False),
    ],
)
def test_money_of_another_asset_or_for_another_address_or_of_an_orphaned_block_never_counts(foreign: Payment) -> None:
    assert judged(foreign) == judged()


def test_a_session_in_a_token_is_paid_by_that_token_only() -> None:
    assert status_of(payment(AMOUNT), of=session(asset=USDC)) is Status.PENDING
    assert status_of(payment(AMOUNT, contract=OTHER, kind=TransferKind.TOKEN), of=session(asset=USDC)) is Status.PENDING
    assert status_of(payment(AMOUNT, contract=TOKEN, kind=TransferKind.TOKEN), of=session(asset=USDC)) is Status.PAID


def test_what_a_contract_sent_pays_like_any_coin() -> None:
    assert status_of(payment(AMOUNT, kind=TransferKind.INTERNAL)) is Status.PAID


# Reorgs


@pytest.mark.parametrize("settled", sorted(SETTLED))
def test_a_settled_session_whose_money_is_gone_has_failed(settled: Status) -> None:
    gone = payment(AMOUNT, canonical=False)
    assert judged(gone, of=session(settled)) == Assessment(Status.FAILED, PAYMENT_REORGED, 0, 0, awaits_depth=False)
    assert status_of(gone, payment(MINIMUM - 1), of=session(settled)) is Status.FAILED


def test_a_failed_session_is_paid_again_when_the_payment_comes_back() -> None:
    failed = session(Status.FAILED, PAYMENT_REORGED)
    back = payment(AMOUNT, BLOCK + 1)
    assert judged(back, tip=tip(BLOCK + 1), of=failed) == Assessment(
        Status.DETECTED, None, AMOUNT, 0, awaits_depth=True
    )
    assert judged(back, tip=tip(DEEP + 1), of=failed).status is Status.PAID


def test_a_failed_session_that_only_gets_a_part_back_stays_failed() -> None:
    failed = session(Status.FAILED, PAYMENT_REORGED)
    assert judged(payment(MINIMUM - 1), of=failed).status is Status.FAILED
    assert judged(tip=tip(at=GRACE), of=failed).status_reason == PAYMENT_REORGED


def test_a_session_that_was_paid_once_fails_when_what_came_back_goes_again() -> None:
    detected_again = session(Status.DETECTED, paid_at=START)
    assert status_of(payment(AMOUNT, canonical=False), of=detected_again) is Status.FAILED


def test_what_was_only_detected_waits_again_or_has_expired_meanwhile() -> None:
    gone = payment(AMOUNT, canonical=False)
    assert status_of(gone, of=session(Status.DETECTED)) is Status.PENDING
    assert status_of(gone, tip=tip(at=EXPIRES + SECOND), of=session(Status.DETECTED)) is Status.EXPIRED
    assert status_of(gone, payment(1), of=session(Status.DETECTED)) is Status.UNDERPAID


@pytest.mark.parametrize("settled", sorted(SETTLED))
def test_a_reorg_above_the_payment_leaves_a_settled_session_alone(settled: Status) -> None:
    assert judged(payment(AMOUNT), tip=tip(BLOCK), of=session(settled)) == Assessment(
        settled, None, AMOUNT, 0, awaits_depth=True
    )


def test_an_excess_that_is_taken_back_leaves_a_paid_session() -> None:
    excess = payment(AMOUNT, BLOCK + 1, canonical=False)
    assert status_of(payment(AMOUNT), excess, of=session(Status.OVERPAID)) is Status.PAID


def test_a_payment_that_a_reorg_moved_into_the_grace_is_late() -> None:
    moved = payment(AMOUNT, BLOCK + 1, at=EXPIRES + SECOND)
    assert status_of(moved, tip=tip(DEEP + 1), of=session(Status.PAID)) is Status.PAID_LATE


# Final blocks


def test_where_the_chain_says_what_is_final_depth_says_nothing() -> None:
    deep = BLOCK + 1000
    assert status_of(payment(AMOUNT), tip=tip(deep, final=BLOCK - 1)) is Status.DETECTED
    assert status_of(payment(AMOUNT), tip=tip(deep, final=BLOCK)) is Status.PAID
    assert status_of(payment(AMOUNT), tip=tip(BLOCK, final=BLOCK)) is Status.PAID


def test_before_the_first_final_block_nothing_is_settled() -> None:
    assert status_of(payment(AMOUNT, 0), tip=tip(1000, final=-1)) is Status.DETECTED


def test_a_final_block_that_is_not_processed_yet_does_not_count() -> None:
    assert status_of(payment(AMOUNT, BLOCK + 1), tip=tip(BLOCK, final=BLOCK + 500)) is Status.DETECTED


def test_confirmations_count_the_block_itself() -> None:
    assert [tip(number).confirmations(BLOCK) for number in range(BLOCK - 2, BLOCK + 3)] == [0, 0, 1, 2, 3]


# What the merchant decided


@pytest.mark.parametrize(
    "payments",
    [
        (payment(5),),
        (payment(5, DEEP),),
        (payment(MAXIMUM * 2),),
        (payment(AMOUNT, at=GRACE + SECOND),),
        (payment(5), payment(AMOUNT)),
        (payment(2), payment(3, at=GRACE + SECOND), payment(7, canonical=False)),
    ],
)
def test_what_the_merchant_accepted_stays_paid(payments: Sequence[Payment]) -> None:
    verdict = judged(*payments, tip=tip(at=GRACE + SECOND), of=session(Status.PAID, ACCEPTED, accepted=5))
    assert (verdict.status, verdict.status_reason) == (Status.PAID, ACCEPTED)


def test_what_the_merchant_accepted_has_failed_once_any_of_its_money_is_gone_and_is_paid_when_it_returns() -> None:
    accepted = session(Status.PAID, ACCEPTED, accepted=12)
    verdict = judged(payment(5, canonical=False), payment(7), of=accepted)
    assert (verdict.status, verdict.status_reason) == (Status.FAILED, PAYMENT_REORGED)
    again = judged(payment(5), payment(7), of=session(Status.FAILED, PAYMENT_REORGED, accepted=12))
    assert (again.status, again.status_reason) == (Status.PAID, ACCEPTED)


def test_what_the_merchant_closed_stays_closed_with_too_little() -> None:
    closed = replace(session(Status.EXPIRED, CLOSED), closed_at=START)
    for payments in ((), (payment(5),), (payment(5), payment(MINIMUM - 6, DEEP))):
        verdict = judged(*payments, of=closed)
        assert (verdict.status, verdict.status_reason) == (Status.EXPIRED, CLOSED)


def test_what_the_merchant_closed_is_paid_all_the_same_when_all_the_money_comes() -> None:
    closed = replace(session(Status.EXPIRED, CLOSED), closed_at=START)
    assert judged(payment(5), payment(AMOUNT, DEEP), of=closed).status is Status.DETECTED
    verdict = judged(payment(AMOUNT), of=closed)
    assert (verdict.status, verdict.status_reason) == (Status.PAID, None)


def test_what_the_merchant_closed_is_closed_again_when_the_money_that_came_is_taken_back() -> None:
    closed = replace(session(Status.DETECTED), closed_at=START)
    verdict = judged(payment(AMOUNT, canonical=False), tip=tip(at=START), of=closed)
    assert (verdict.status, verdict.status_reason) == (Status.EXPIRED, CLOSED)
    paid = replace(session(Status.PAID), closed_at=START)
    verdict = judged(payment(AMOUNT, canonical=False), of=paid)
    assert (verdict.status, verdict.status_reason) == (Status.FAILED, PAYMENT_REORGED)


# The table


def test_every_status_can_be_reached_and_none_moves_to_itself() -> None:
    assert set().union(*(info.may_become for info in STATUSES.values())) == set(Status)
    assert all(status not in info.may_become for status, info in STATUSES.items())


def test_what_was_settled_never_merely_waits_again() -> None:
    for settled in SETTLED:
        assert STATUSES[settled].may_become <= SETTLED | {Status.FAILED}


# What holds for every evidence

times = st.sampled_from(
    [START, EXPIRES - SECOND, EXPIRES, EXPIRES + SECOND, GRACE, GRACE + SECOND, GRACE + timedelta(days=9)]
)
amounts = st.sampled_from([1, 10, MINIMUM - 1, MINIMUM, AMOUNT, MAXIMUM, MAXIMUM + 1]) | st.integers(1, 2 * AMOUNT)
payments_of_any_kind = st.lists(
    st.builds(
        payment,
        amounts,
        st.integers(BLOCK - 5, BLOCK + 5),
        at=times,
        canonical=st.booleans(),
        to=st.sampled_from([ADDRESS, ADDRESS, ADDRESS, OTHER]),
        contract=st.sampled_from([None, None, None, TOKEN]),
    ),
    max_size=6,
)
tips = st.builds(tip, st.integers(BLOCK - 5, BLOCK + 10), at=times, final=st.none() | st.integers(-1, BLOCK + 10))
decided = [(Status.EXPIRED, CLOSED), (Status.FAILED, PAYMENT_REORGED)]
sessions = (
    st.sampled_from([session(status) for status in Status] + [session(*each) for each in decided])
    | st.builds(lambda units: session(Status.PAID, ACCEPTED, accepted=units), st.sampled_from([1, MINIMUM - 1, AMOUNT]))
    | st.just(session(Status.DETECTED, paid_at=START))
)


def moved(before: Session, verdict: Assessment) -> Session:
    """Store a verdict as a watcher does."""
    if verdict.status is before.status:
        return before
    is_first = verdict.status in SETTLED and before.paid_at is None
    return replace(
        before,
        status=verdict.status,
        status_reason=verdict.status_reason,
        paid_at=START if is_first else before.paid_at,
    )


@given(sessions, payments_of_any_kind, tips)
def test_judging_twice_changes_nothing(before: Session, payments: list[Payment], tip: Tip) -> None:
    verdict = assess(before, payments, tip)
    assert assess(moved(before, verdict), payments, tip) == verdict


@given(sessions, payments_of_any_kind, tips)
def test_a_session_moves_by_the_table_only(before: Session, payments: list[Payment], tip: Tip) -> None:
    after = assess(before, payments, tip).status
    assert after is before.status or after in STATUSES[before.status].may_become


@given(sessions, payments_of_any_kind, tips, st.randoms(use_true_random=False))
def test_the_order_of_payments_does_not_matter(
    before: Session, payments: list[Payment], tip: Tip, random: Random
) -> None:
    shuffled = list(payments)
    random.shuffle(shuffled)
    assert assess(before, shuffled, tip) == assess(before, payments, tip)


@given(sessions, payments_of_any_kind, tips)
def test_with_every_payment_orphaned_nothing_is_settled(before: Session, payments: list[Payment], tip: Tip) -> None:
    verdict = assess(before, [replace(each, canonical=False) for each in payments], tip)
    assert (verdict.received_units, verdict.confirmed_units) == (0, 0)
    assert verdict.status not in SETTLED
    assert (verdict.status is Status.FAILED) == (before.paid_at is not None)


@given(sessions, payments_of_any_kind, tips)
def test_nothing_becomes_settled_by_less_than_the_minimum_in_deep_blocks(
    before: Session, payments: list[Payment], tip: Tip
) -> None:
    verdict = assess(before, payments, tip)
    assert 0 <= verdict.confirmed_units <= verdict.received_units
    if before.accepted_units is not None:
        return
    if verdict.status in SETTLED and before.status not in SETTLED:
        assert verdict.confirmed_units >= MINIMUM
    if verdict.status in SETTLED and verdict.status_reason != ACCEPTED:
        assert verdict.received_units >= MINIMUM
    if verdict.confirmed_units >= MINIMUM:
        assert verdict.status in SETTLED


@given(sessions, payments_of_any_kind, tips, amounts)
def test_money_that_does_not_count_changes_nothing(
    before: Session, payments: list[Payment], tip: Tip, units: int
) -> None:
    foreign = [payment(units, to=OTHER), payment(units, contract=TOKEN), payment(units, canonical=False)]
    assert assess(before, [*payments, *foreign], tip) == assess(before, payments, tip)


@given(sessions, payments_of_any_kind, tips)
def test_another_block_can_only_change_what_waits_for_it_or_has_to_expire(
    before: Session, payments: list[Payment], tip: Tip
) -> None:
    """`store.checkout.sessions.to_judge` relies on this: it skips all other sessions."""
    verdict = assess(before, payments, tip)
    now = moved(before, verdict)
    later = replace(tip, number=tip.number + 1, time=max(tip.time, EXPIRES) + SECOND)
    if not verdict.awaits_depth and now.status is not Status.PENDING:
        assert assess(now, payments, later) == verdict


# A chain that grows and is reorganised, judged after each change


@dataclass(frozen=True)
class MinedPayment:
    name: int
    units: int


class GrowingChain(RuleBasedStateMachine):
    """Compares with what can be read off the chain itself: the blocks that there are, and what they hold."""

    @initialize(final=st.booleans())
    def begin(self, final: bool) -> None:
        self.has_final = final
        self.blocks: list[tuple[datetime, list[MinedPayment]]] = [(START, [])]
        self.final = -1
        self.recorded: dict[int, Payment] = {}
        self.waiting: list[MinedPayment] = []
        self.session = session()
        self.was_settled = False
        self.has_passed_the_end = False
        self.seen: list[Status] = [Status.PENDING]

    @rule(
        seconds=st.sampled_from([0, 12, 12, 12, 300, 900, 3600]),
        units=st.sampled_from([[], [], [], [1], [500], [4_990], [5_000], [5_000, 4_990], [AMOUNT]]),
        comes_back=st.booleans(),
        finalises=st.integers(0, 3),
    )
    def grow(self, seconds: int, units: list[int], comes_back: bool, finalises: int) -> None:
        mined = [MinedPayment(len(self.recorded) + place, each) for place, each in enumerate(units)]
        if comes_back:
            mined += self.waiting
            self.waiting = []
        self.blocks.append((self.blocks[-1][0] + timedelta(seconds=seconds), mined))
        self.final = min(self.final + finalises, len(self.blocks) - 1)
        for each in mined:
            self.recorded[each.name] = payment(each.units, len(self.blocks) - 1, at=self.blocks[-1][0])
        self.judge()

    @rule(depth=st.integers(1, 6))
    def reorganise(self, depth: int) -> None:
        first = max(1, len(self.blocks) - depth)
        for _, orphaned in self.blocks[first:]:
            self.waiting += orphaned
            for each in orphaned:
                self.recorded[each.name] = replace(self.recorded[each.name], canonical=False)
        del self.blocks[first:]
        self.final = min(self.final, len(self.blocks) - 1)
        self.judge()

    def judge(self) -> None:
        time = self.blocks[-1][0]
        tip = Tip(len(self.blocks) - 1, time, self.final if self.has_final else None)
        self.has_passed_the_end |= time > EXPIRES
        self.verdict = assess(self.session, list(self.recorded.values()), tip)
        before, self.session = self.session.status, moved(self.session, self.verdict)
        if self.session.status is not before:
            assert self.session.status in STATUSES[before].may_become
            self.seen.append(self.session.status)
        assert self.verdict.status is self.expected(before)
        assert assess(self.session, list(self.recorded.values()), tip) == self.verdict
        event(self.session.status)
        self.was_settled |= self.session.status in SETTLED

    def expected(self, before: Status) -> Status:
        window = [
            (time, each.units, self.is_deep(number))
            for number, (time, mined) in enumerate(self.blocks)
            for each in mined
            if time <= GRACE
        ]
        received = sum(units for _, units, _ in window)
        deep = sum(units for _, units, is_deep in window if is_deep)
        deep_on_time = sum(units for time, units, is_deep in window if is_deep and time <= EXPIRES)
        assert (self.verdict.received_units, self.verdict.confirmed_units) == (received, deep)
        assert self.verdict.awaits_depth == any(not is_deep for _, _, is_deep in window)
        if deep >= MINIMUM:
            if deep > MAXIMUM:
                return Status.OVERPAID
            return Status.PAID if deep_on_time >= MINIMUM else Status.PAID_LATE
        if received >= MINIMUM:
            return before if before in SETTLED else Status.DETECTED
        return self.expected_of_too_little(before, received, deep)

    def expected_of_too_little(self, before: Status, received: int, deep: int) -> Status:
        if self.was_settled:
            return Status.FAILED
        if deep:
            return Status.UNDERPAID
        if before is Status.EXPIRED or (not received and self.blocks[-1][0] > EXPIRES):
            return Status.EXPIRED
        return Status.PENDING

    def is_deep(self, number: int) -> bool:
        if self.has_final:
            return number <= self.final
        return len(self.blocks) - number >= CONFIRMATIONS

    @invariant()
    def nothing_expires_before_its_time(self) -> None:
        if Status.EXPIRED in self.seen:
            assert self.has_passed_the_end

    @invariant()
    def what_was_settled_is_settled_failed_or_on_its_way_back(self) -> None:
        if self.was_settled:
            assert self.session.status in SETTLED | {Status.FAILED, Status.DETECTED}
            assert self.session.paid_at is not None
        else:
            assert Status.FAILED not in self.seen


TestGrowingChain = GrowingChain.TestCase
TestGrowingChain.settings = settings(max_examples=120, stateful_step_count=25)


def test_an_accepted_session_that_failed_waits_for_depth_like_any_other() -> None:
    failed = session(Status.FAILED, PAYMENT_REORGED, accepted=60)
    shallow = judged(payment(60, canonical=False), payment(60, DEEP), of=failed)
    assert (shallow.status, shallow.status_reason) == (Status.DETECTED, None)
    again = judged(payment(60), of=session(Status.DETECTED, paid_at=START, accepted=60))
    assert (again.status, again.status_reason) == (Status.PAID, ACCEPTED)
    gone = judged(payment(60, canonical=False), of=session(Status.DETECTED, paid_at=START, accepted=60))
    assert gone.status is Status.FAILED


def test_nothing_expires_beyond_the_last_block_whose_balances_were_compared() -> None:
    session = a_session()
    over = session.terms.expires_at + SECOND
    assert assess(session, [], Tip(10, over)).status is Status.EXPIRED, "where none are ever compared"
    assert assess(session, [], Tip(10, over, compared_time=session.terms.expires_at)).status is Status.PENDING
    assert assess(session, [], Tip(11, over + SECOND, compared_time=over)).status is Status.EXPIRED
    assert assess(session, [], Tip(9, session.terms.expires_at, compared_time=over)).status is Status.PENDING
