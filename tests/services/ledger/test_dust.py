"""Thousands of transfers to one address: what a session costs doesn't grow with them, and the sums stay exact."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.session import Session, Status, Terms
from crypto_checkout.core.checkout.unassigned_address import UnassignedAddress
from crypto_checkout.core.diagnosis.explanation import Explanation
from crypto_checkout.core.ledger.dust import dust_below
from crypto_checkout.core.ledger.payment import MOST_SHOWN, Payment, Transfer, TransferKind
from crypto_checkout.core.money import Fiat
from crypto_checkout.core.public import render
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.services.diagnosis.explain import Explainer
from crypto_checkout.services.ledger import evidence
from crypto_checkout.services.ledger.evidence import Evidence
from crypto_checkout.services.ledger.judge import Judge
from crypto_checkout.services.ledger.reading.owners import Owner
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.alerts import issues
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.database import WriteUnit
from crypto_checkout.store.ledger import cursors, payments, unmatched
from crypto_checkout.store.ledger.cursors import Cursor
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.paging import Window
from tests.support.factories import NOW, a_session, a_transfer
from tests.support.sums import all_payments, all_unmatched, received, sums

TOKEN = Address("0x" + "70" * 20)
USDC = Asset(1, "USDC", 6, TOKEN, usd_pegged=True)
PRICE = 30_000_000  # 30 USDC for 30 USD
GRACE_UNTIL = NOW + timedelta(minutes=75)
LATE = GRACE_UNTIL + timedelta(days=1)
CENT = 10_000


class Ledger:
    """A database with a session for 30 USDC, and the judge of its chain; `steps` counts what SQLite does."""

    def __init__(self, path: Path) -> None:
        migrate(path)
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("PRAGMA foreign_keys = ON")
        self.connection.execute("BEGIN")
        self.unit = WriteUnit(self.connection, NOW)
        self.judge = self.a_judge()
        self.block = 100
        self.sent = 0
        self.session = self.add(a_session(id="cs_1", address=Address("0x" + "a1" * 20)))

    def a_judge(self, dust_floor: str = "0.01") -> Judge:
        return Judge(Outbox(), chain_id=1, public_url="https://x", dust_floor=Decimal(dust_floor))

    def add(self, session: Session) -> Session:
        added = replace(
            session,
            asset=USDC,
            fiat=Fiat(Decimal("30.00"), "USD"),
            terms=Terms(PRICE, PRICE, PRICE, NOW + timedelta(minutes=15), GRACE_UNTIL, 3),
        )
        sessions.insert(self.unit, added)
        return added

    def transfers(self, count: int, units: int, at: datetime = NOW, **changes: Any) -> list[Transfer]:
        """Return transfers of the next block, all in one transaction."""
        self.sent += 1
        made = {
            "to": self.session.address,
            "units": units,
            "kind": TransferKind.TOKEN,
            "contract": TOKEN,
            "tx_hash": f"0x{self.sent:064x}",
            "block_number": self.block + 1,
            "block_hash": f"0x{self.block + 1:064x}",
            "block_time": at,
        }
        return [a_transfer(log_index=index, **{**made, **changes}) for index in range(count)]

    def arrive(
        self, *transfers: Transfer, others: Sequence[tuple[Owner, Transfer]] = (), at: datetime | None = None
    ) -> None:
        """Process the next block, with these transfers to the session."""
        self.block += 1
        time = at or (transfers[0].block_time if transfers else NOW)
        cursor = Cursor(self.block, f"0x{self.block:064x}", time, None)
        cursors.move(self.unit, 1, cursor)
        found = Evidence(payments=tuple((self.session, each) for each in transfers), unmatched=tuple(others))
        found.store(self.unit, 1)
        self.judge.advance(self.unit, found, cursor.tip)

    def roll_back(self, above: int) -> None:
        self.block = above
        cursor = Cursor(above, f"0x{above:064x}", NOW, None)
        cursors.move(self.unit, 1, cursor)
        evidence.take_back(self.unit, 1, above)
        self.judge.roll_back(self.unit, above, cursor.tip)

    @property
    def stored(self) -> Session:
        found = sessions.get(self.unit, self.session.id)
        assert found is not None
        return found

    def rows(self, table: str = "payments") -> int:
        return int(self.connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])  # noqa: S608 - a table

    def events(self, kind: str) -> list[str]:
        rows = self.connection.execute("SELECT body FROM events WHERE type = ? ORDER BY seq", [kind])
        return [row[0] for row in rows]

    def check_sums(self) -> None:
        """Compare the sums with those of the rows, added up one by one."""
        tip = cursors.tip(self.unit, 1)
        assert tip is not None
        rows = all_payments(self.unit, self.stored)
        assert self.stored.sums == sums(self.stored, rows)
        assert payments.received(self.unit, self.stored, tip) == received(self.stored, rows, tip)

    def shown(self) -> SessionResource:
        tip = cursors.tip(self.unit, 1)
        return render.session(self.stored, payments.shown(self.unit, self.stored, tip), tip, "https://x")

    def explained(self) -> Explanation:
        return Explainer(None, {})._session(self.unit, self.stored)  # type: ignore[arg-type]  # it reads in this unit

    def steps(self, work: Any) -> int:
        """Return how many instructions SQLite's machine runs for some work, in hundreds."""
        counted = 0

        def count() -> int:
            nonlocal counted
            counted += 1
            return 0

        self.connection.set_progress_handler(count, 100)
        try:
            work()
        finally:
            self.connection.set_progress_handler(None, 0)
        return counted


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "checkout.db")
    yield made
    made.connection.close()


# What it costs


@pytest.mark.parametrize(("blocks", "each", "units"), [(1, 1_500, CENT), (400, 1, 1)], ids=["payments", "dust"])
def test_another_transfer_and_every_reading_cost_the_same_after_many(
    ledger: Ledger, blocks: int, each: int, units: int
) -> None:
    work = {
        "one more": lambda: ledger.arrive(*ledger.transfers(1, CENT)),
        "an empty block": ledger.arrive,
        "shown": ledger.shown,
        "explained": ledger.explained,
        "first page": lambda: payments.listed(ledger.unit, ledger.stored, window()),
    }
    for _ in range(MOST_SHOWN + 20):
        ledger.arrive(*ledger.transfers(1, CENT))
    for _ in range(20):
        ledger.arrive(*ledger.transfers(1, 1))
    before = {name: ledger.steps(done) for name, done in work.items()}
    for _ in range(blocks):
        ledger.arrive(*ledger.transfers(each, units))
    for _ in range(4):
        ledger.arrive()
    after = {name: ledger.steps(done) for name, done in work.items()}
    assert ledger.rows() > blocks * each
    for name, steps in before.items():
        assert after[name] <= steps + 5, (name, before, after)
    ledger.check_sums()


def test_what_is_shown_is_bounded_and_the_pages_have_the_rest(ledger: Ledger) -> None:
    paid = ledger.transfers(1, PRICE)
    ledger.arrive(*paid)
    for _ in range(MOST_SHOWN + 10):
        ledger.arrive(*ledger.transfers(50, 1, LATE))
    shown = ledger.shown()
    assert len(shown["payments"]) == MOST_SHOWN
    assert shown["payments"][0]["txHash"] == shown["txHash"] == paid[0].tx_hash, "dust hides no payment"
    assert shown["confirmations"] > MOST_SHOWN
    assert len(render.json_text(dict(shown))) < 60_000
    explained = ledger.explained()
    assert len(explained.steps) < 2 * MOST_SHOWN + 20
    assert "Paid: 30 USDC received on time" in explained.headline
    assert any("earlier payments" in step.what for step in explained.steps)
    found: list[Payment] = []
    after = None
    while after != 0:
        page = payments.listed(ledger.unit, ledger.stored, window(after))
        found += page.items
        after = page.last_seq if page.has_more else 0
    assert sum(each.transfer.units for each in found) == PRICE + 50 * (MOST_SHOWN + 10)


def window(after: int | None = None) -> Window:
    return Window(50, after=after)


# Dust


def test_the_dust_of_a_block_is_one_row_and_counts_to_the_last_unit(ledger: Ledger) -> None:
    ledger.arrive(*ledger.transfers(700, CENT - 1), *ledger.transfers(2, CENT))
    assert ledger.rows() == 3
    ledger.arrive(*ledger.transfers(300, 7, NOW + timedelta(minutes=20)))
    assert ledger.rows() == 4
    assert ledger.stored.sums.on_time_units == 700 * (CENT - 1) + 2 * CENT
    assert ledger.stored.sums.grace_units == 2100
    many, *_ = [each for each in all_payments(ledger.unit, ledger.stored) if each.dust == 700]
    assert (many.transfer.tx_hash, many.transfer.sender, many.transfer.units) == (None, None, 700 * (CENT - 1))
    dust = ledger.shown()["payments"][0]
    assert (dust["transfers"], dust["txHash"], dust["from"]) == (700, None, None)
    ledger.check_sums()
    for _ in range(5):
        ledger.arrive()
    assert ledger.stored.status == "underpaid"
    ledger.arrive(*ledger.transfers(1, PRICE))
    ledger.arrive()
    ledger.arrive()
    assert ledger.stored.status == "overpaid"
    ledger.check_sums()


def test_dust_pays_a_price_too(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.arrive(*ledger.transfers(1001, CENT - 1))
    ledger.arrive()
    ledger.arrive()
    assert (ledger.stored.status, ledger.rows()) == (Status.OVERPAID, 3)
    assert ledger.shown()["amountReceived"]["units"] == str(3 * 1001 * (CENT - 1))


def test_transfers_that_are_shown_again_are_added_once(ledger: Ledger) -> None:
    first, second = ledger.transfers(100, 5), ledger.transfers(100, 6)
    ledger.arrive(*first[:60])
    ledger.block -= 1
    ledger.arrive(*first, *second[:1])
    ledger.block -= 1
    ledger.arrive(*second, *first)
    ledger.block -= 1
    ledger.arrive(*first)
    assert (ledger.rows(), ledger.stored.sums.on_time_units) == (1, 100 * 5 + 100 * 6)
    ledger.check_sums()


@pytest.mark.parametrize(("before", "after"), [("0.01", "0"), ("0", "0.01")])
def test_another_floor_adds_no_transfer_twice(ledger: Ledger, before: str, after: str) -> None:
    shown = ledger.transfers(40, 5)
    ledger.judge = ledger.a_judge(before)
    ledger.arrive(*shown)
    ledger.judge = ledger.a_judge(after)
    ledger.block -= 1
    ledger.arrive(*shown)
    assert ledger.stored.sums.on_time_units == 200
    ledger.check_sums()


def test_a_reorg_takes_back_dust_to_the_last_unit_and_it_comes_again(ledger: Ledger) -> None:
    ledger.arrive(*ledger.transfers(10, 5))
    first = ledger.transfers(200, 5)
    ledger.arrive(*first)
    assert ledger.stored.sums.counted_units == 1050
    ledger.roll_back(101)
    assert ledger.stored.sums.counted_units == 50
    ledger.check_sums()
    again = [replace(each, block_hash="0x" + "ee" * 32) for each in first[:150]]
    ledger.arrive(*again)
    assert ledger.stored.sums.counted_units == 50 + 750
    ledger.roll_back(101)
    ledger.arrive(*first)
    assert (ledger.stored.sums.counted_units, ledger.shown()["payments"][-1]["transfers"]) == (1050, 200)
    ledger.check_sums()


def test_a_payment_of_a_small_price_is_no_dust(ledger: Ledger) -> None:
    small = replace(
        ledger.session, fiat=Fiat(Decimal("0.02"), "USD"), terms=replace(ledger.session.terms, amount_units=20_000)
    )
    assert dust_below(small, Decimal("0.01")) == 2_000
    assert dust_below(ledger.session, Decimal("0.01")) == CENT
    assert dust_below(ledger.session, Decimal(0)) == 0


def test_unmatched_dust_is_one_row_for_each_token_of_a_block_and_alarms_nobody(ledger: Ledger) -> None:
    other = Address("0x" + "71" * 20)
    nobody = UnassignedAddress("w", 7, Address("0x" + "b2" * 20), livemode=True, used_before=False)
    ledger.add(a_session(id="cs_2", address=Address("0x" + "a2" * 20), derivation_index=1))
    unpriced = [(ledger.session, each) for each in ledger.transfers(3, 5, contract=other)]
    elsewhere = [(nobody, each) for each in ledger.transfers(500, 5, to=nobody.address)]
    large = [(nobody, each) for each in ledger.transfers(1, CENT, to=nobody.address)]
    for _ in range(2):
        ledger.arrive(others=[*unpriced, *elsewhere, *large])
        ledger.block -= 1
    assert ledger.rows("unmatched_payments") == 3 + 1 + 1, "without a price nothing is dust"
    assert len(all_unmatched(ledger.unit, "cs_1")) == 3
    of_nobody = unmatched.recorded_at(ledger.unit, nobody.address)
    assert sorted((each.payment.transfer.units, each.payment.dust) for each in of_nobody) == [(2500, 500), (CENT, None)]
    ledger.connection.execute(
        "INSERT INTO unassigned_addresses (wallet_id, derivation_index, address, livemode, used_before, created_at)"
        " VALUES ('w', 7, ?, 1, 0, '')",
        [nobody.address],
    )
    assert len(issues.unmatched(ledger.unit, True, 10)) == 4
    ledger.roll_back(100)
    assert not unmatched.listed(ledger.unit, True, window()).items


# Late payments


def test_late_payments_are_told_of_once_an_hour_and_none_is_lost(ledger: Ledger) -> None:
    for number in range(20):
        ledger.arrive(*ledger.transfers(50, CENT, LATE + timedelta(seconds=12 * number)))
    (body,) = ledger.events("session.late_payment")
    assert len(body) < 50_000
    assert ledger.stored.sums.late_units == 1000 * CENT
    ledger.arrive(at=LATE + timedelta(minutes=59))
    assert len(ledger.events("session.late_payment")) == 1
    ledger.arrive(at=LATE + timedelta(minutes=60))
    assert len(ledger.events("session.late_payment")) == 2, "the others are told of when the hour is over"
    ledger.arrive(at=LATE + timedelta(hours=5))
    assert len(ledger.events("session.late_payment")) == 2
    ledger.arrive(*ledger.transfers(1, CENT, LATE + timedelta(hours=6)))
    assert len(ledger.events("session.late_payment")) == 3
    (found,) = issues.late(ledger.unit, True, 10)
    assert found.transfer.block_number == ledger.block, "an issue for the session, not for each payment"
    issues.dismiss(ledger.unit, f"late_payment:{found.seq}")
    assert issues.late(ledger.unit, True, 10) == []
    ledger.arrive(*ledger.transfers(1, CENT, LATE + timedelta(hours=7)))
    assert len(issues.late(ledger.unit, True, 10)) == 1


def test_late_dust_is_no_event_and_no_issue(ledger: Ledger) -> None:
    for number in range(5):
        ledger.arrive(*ledger.transfers(200, 5, LATE + timedelta(hours=2 * number)))
    assert ledger.events("session.late_payment") == []
    assert issues.late(ledger.unit, True, 10) == []
    assert ledger.stored.sums.late_units == 5000
    assert [each["transfers"] for each in ledger.shown()["payments"]] == [200] * 5
    ledger.arrive(*ledger.transfers(1, CENT, LATE + timedelta(hours=20)))
    assert len(issues.late(ledger.unit, True, 10)) == len(ledger.events("session.late_payment")) == 1
