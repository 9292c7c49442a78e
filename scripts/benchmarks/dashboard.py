"""The dashboard with a million sessions: lists, searches, customers, totals, issues, and an export.

The sessions are copies of one, spread over a year, by a tenth as many customers. `--keep FILE` keeps the
database, and reuses it if it exists.

    scripts/bench dashboard --sessions 1000000
"""

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from crypto_checkout.core import ids
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.quotes import Rate
from crypto_checkout.core.checkout.session import Session, Status, Terms
from crypto_checkout.core.money import Fiat
from crypto_checkout.services.alerts.issues import Issues
from crypto_checkout.services.checkout.customers import Customers
from crypto_checkout.services.checkout.session_reader import SessionReader
from crypto_checkout.services.reporting.exports import Exports, Format, Layout, Period
from crypto_checkout.services.reporting.totals import Totals
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.checkout import sessions as store
from crypto_checkout.store.checkout.customers import CustomerOrder
from crypto_checkout.store.checkout.sessions import SessionFilter
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.migrate import migrate
from crypto_checkout.store.paging import Window

from ._figures import print_machine, spread

LIST_MS = 100
TOTALS_MS = 50
ROUNDS = 9
_SESSIONS_OF_ONE = 10
"""The number of sessions of each customer."""
START = datetime(2026, 1, 1, tzinfo=UTC)
_TOKEN = Address("0x" + "c" * 40)


def main() -> None:
    """Seed the database, then measure each query several times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, metavar="FILE")
    given = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        path: Path = given.keep or Path(folder, "checkout.db")
        asyncio.run(measure(path, given.sessions, is_seeded=path.exists()))


async def measure(path: Path, count: int, *, is_seeded: bool) -> None:
    """Open the database, and print the duration of each query."""
    migrate(path)
    async with await Database.open(path, lambda: START + timedelta(days=400)) as db:
        if not is_seeded:
            started = time.perf_counter()
            await seed(db, count)
            print(f"seeding {count:,} sessions with their payments: {time.perf_counter() - started:,.0f} s")
        sessions = SessionReader(db, public_url="http://127.0.0.1:4020")
        totals = Totals(db, lambda: START)
        first, last = START.date(), (START + timedelta(days=364)).date()
        await lists(sessions, count)
        await customers(Customers(db, Outbox(lambda _: None)))
        await timed("totals of a year", lambda: totals.overview(True, first, last), TOTALS_MS)
        await timed("issues", lambda: Issues(db, {}).gather(True, 20), LIST_MS)
        await timed("issues by kind", lambda: Issues(db, {}).groups(True), LIST_MS)
        await timed("the overview's money", lambda: overview(totals, last), TOTALS_MS)
        await export(db)


async def overview(totals: Totals, last: date) -> Any:
    """Ask for what the overview shows of 30 days, and of those before."""
    return await totals.overview(True, last - timedelta(days=29), last, since=last - timedelta(days=59))


async def lists(sessions: SessionReader, count: int) -> None:
    """Measure the list of payments, plain, filtered and searched."""
    window = Window(25)
    middle = START + timedelta(days=180)
    some = (await sessions.listed(True, SessionFilter(), window)).items[0]
    paged = (await sessions.listed(True, SessionFilter(), window)).last_seq
    queries: dict[str, tuple[SessionFilter, Window, str]] = {
        "the newest": (SessionFilter(), window, ""),
        "the next page": (SessionFilter(), Window(25, after=paged), ""),
        "half way down": (SessionFilter(), Window(25, after=count // 2), ""),
        "paid": (SessionFilter(status=Status.PAID), window, ""),
        "expired before summer": (SessionFilter(status=Status.EXPIRED, created_before=middle), window, ""),
        "of one day": (SessionFilter(created_after=middle, created_before=middle + timedelta(days=1)), window, ""),
        "of an email": (SessionFilter(), window, "payer7@example.com"),
        "an id": (SessionFilter(), window, some["id"]),
        "an address": (SessionFilter(), window, some["address"]),
        "a transaction": (SessionFilter(), window, str(some["payments"][0]["txHash"])),
        "metadata order=777": (SessionFilter(), window, "order=777"),
        "metadata of a third": (SessionFilter(), window, "plan=pro"),
        "metadata, nothing": (SessionFilter(), window, "no such thing"),
    }
    for name, (chosen, part, text) in queries.items():

        async def ask(chosen: SessionFilter = chosen, part: Window = part, text: str = text) -> Any:
            page = await sessions.listed(True, chosen, part, text=text)
            return page, await sessions.count(True, chosen, text=text)

        await timed(f"list: {name}", ask, LIST_MS)


async def customers(customers: Customers) -> None:
    """Measure the list of customers, plain, sorted and searched by parts."""
    searches = {
        "the newest": ("", CustomerOrder.NEWEST, 1),
        "page 2,000": ("", CustomerOrder.NEWEST, 2_000),
        "the last payment": ("", CustomerOrder.LAST_PAID, 1),
        "part of an email": ("payer4711", CustomerOrder.NEWEST, 1),
        "part of a name": ("lovelace 99", CustomerOrder.LAST_PAID, 1),
        "part of all": ("@example", CustomerOrder.LAST_PAID, 1),
        "nothing": ("no such thing", CustomerOrder.NEWEST, 1),
    }
    for name, (text, order, number) in searches.items():

        async def ask(text: str = text, order: CustomerOrder = order, number: int = number) -> Any:
            return await customers.search(True, text, order, number, 25)

        await timed(f"customers: {name}", ask, LIST_MS)


async def timed(name: str, ask: Callable[[], Awaitable[Any]], most_ms: float) -> None:
    """Print the duration of a query."""
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        await ask()
        seconds.append(1000 * (time.perf_counter() - started))
    missed = "" if sorted(seconds)[ROUNDS // 2] <= most_ms else f"   MISSED: more than {most_ms} ms"
    print(f"{name:<28} {spread(seconds, 1, 'ms')}{missed}")


async def export(db: Database) -> None:
    """Print the duration of a full export, and the memory that it adds."""
    exports = Exports(db, {}, [])
    for each in Format:
        before, started, cpu, size = peak_mib(), time.perf_counter(), time.process_time(), 0
        async for part in exports.payments(True, Period(), Layout(each)):
            size += len(part)
        print(
            f"export of everything, {each.value:<4} {time.perf_counter() - started:>10,.1f} s "
            f"({time.process_time() - cpu:,.1f} s of one CPU), {size / 1e6:,.0f} MB; "
            f"{peak_mib() - before:.0f} MiB more memory"
        )


def peak_mib() -> float:
    """Return the peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# --- seeding ---------------------------------------------------------------------------------------------------------

_NUMBERS = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count) "
_TIME = "strftime('%Y-%m-%dT%H:%M:%S.000Z', '2026-01-01', (n * 31536000 / :count) || ' seconds')"
_STATUS = (
    "CASE WHEN n % 1000 = 1 THEN 'underpaid' WHEN n % 1000 = 2 THEN 'overpaid' WHEN n % 5000 = 3 THEN 'failed' "
    "WHEN n % 10 < 4 THEN 'expired' ELSE 'paid' END"
)


async def seed(db: Database, count: int) -> None:
    """Fill the tables: 6 of 10 sessions are paid, one in a thousand is underpaid, a third has a plan."""
    await db.write(lambda unit: store.insert(unit, _template()))
    for statements in (_sessions, _payments, _daily, _metadata, _customers):
        await db.write(lambda unit, run=statements: run(unit, count))  # type: ignore[misc]


def _sessions(unit: WriteUnit, count: int) -> None:
    names = [row["name"] for row in unit.all("SELECT name FROM pragma_table_info('checkout_sessions')")]
    others = {
        "seq": "NULL",
        "id": "'cs_' || printf('%026d', n)",
        "derivation_index": "n",
        "address": "printf('0x%040x', n)",
        "status": _STATUS,
        "on_time_units": "CASE WHEN n % 2000 <> 9 THEN '30000000' ELSE '0' END",
        "late_units": "CASE WHEN n % 2000 <> 9 THEN '0' ELSE '30000000' END",
        "payment_count": "1",
        "counted_as_paid": f"({_STATUS}) IN ('paid', 'overpaid')",
        "created_at": _TIME,
        "updated_at": _TIME,
        "customer_email": f"'payer' || (n % {count // _SESSIONS_OF_ONE}) || '@example.com'",
        "customer_email_key": f"'payer' || (n % {count // _SESSIONS_OF_ONE}) || '@example.com'",
        "metadata": "'{\"order\": \"' || n || '\"}'",
    }
    unit.run(
        f"{_NUMBERS} INSERT INTO checkout_sessions ({', '.join(names)}) "  # noqa: S608
        f"SELECT {', '.join(others.get(name, name) for name in names)} FROM numbers, checkout_sessions WHERE seq = 1",
        {"count": count},
    )


def _payments(unit: WriteUnit, count: int) -> None:
    unit.run(
        f"""
        {_NUMBERS}
        INSERT INTO payments (
            session_id, livemode, chain_id, tx_hash, log_index, kind, sender, contract, units, block_number, block_hash,
            block_time, canonical, recorded_at, counted, counted_day, counted_units, counted_minor, tally, tallied
        )
        SELECT 'cs_' || printf('%026d', n), 1, 1, printf('0x%064x', n), 0, 'token', printf('0x%040x', n), :contract,
            '30000000', n, printf('0x%064x', n), {_TIME}, 1, {_TIME}, n % 2000 <> 9,
            SUBSTR({_TIME}, 1, 10), '30000000',
            CASE WHEN n % 2000 <> 9 THEN '3000' END, CASE WHEN n % 2000 <> 9 THEN 'on_time' ELSE 'late' END, 1
        FROM numbers
        """,  # noqa: S608
        {"count": count, "contract": _TOKEN},
    )


def _daily(unit: WriteUnit, _: int) -> None:
    unit.run("DELETE FROM daily_sessions")
    unit.run(
        """
        INSERT INTO daily_sessions (livemode, day, created, paid)
        SELECT livemode, SUBSTR(created_at, 1, 10), COUNT(*), SUM(counted_as_paid)
        FROM checkout_sessions
        GROUP BY livemode, SUBSTR(created_at, 1, 10)
        """
    )
    for asset in ("USDC", "USDT", "ETH"):
        unit.run(
            """
            INSERT INTO daily_payments (
                livemode, day, chain_id, asset, asset_decimals, currency, payments, units, fiat_minor
            )
            SELECT 1, counted_day, 1, :asset, 6, 'USD', COUNT(*), SUM(counted_units), SUM(counted_minor)
            FROM payments
            WHERE counted = 1
            GROUP BY counted_day
            """,
            {"asset": asset},
        )


def _metadata(unit: WriteUnit, _: int) -> None:
    unit.run(
        "INSERT INTO session_metadata (livemode, value, session_seq, name) "
        "SELECT 1, CAST(derivation_index AS TEXT), seq, 'order' FROM checkout_sessions WHERE seq > 1"
    )
    unit.run(
        "INSERT INTO session_metadata (livemode, value, session_seq, name) "
        "SELECT 1, 'pro', seq, 'plan' FROM checkout_sessions WHERE seq > 1 AND seq % 3 = 0"
    )


def _customers(unit: WriteUnit, count: int) -> None:
    unit.run(
        f"""
        {_NUMBERS}
        INSERT INTO customers (id, livemode, email, email_key, name, search_text, created_at, updated_at)
        SELECT 'cus_' || printf('%026d', n), 1, 'payer' || n || '@example.com', 'payer' || n || '@example.com',
            'Ada Lovelace ' || n, 'payer' || n || '@example.com' || char(10) || 'ada lovelace ' || n, {_TIME}, {_TIME}
        FROM numbers
        """,  # noqa: S608
        {"count": count // _SESSIONS_OF_ONE},
    )
    unit.run(
        """
        INSERT INTO customer_payments (livemode, email_key, paid, last_paid_at)
        SELECT 1, customer_email_key, SUM(counted_as_paid), MAX(updated_at) FROM checkout_sessions
        WHERE customer_email_key IS NOT NULL GROUP BY customer_email_key
        """
    )
    unit.run(
        """
        INSERT INTO customer_money (livemode, email_key, currency, fiat_minor)
        SELECT 1, email_key, 'USD', CAST(3000 * paid AS TEXT) FROM customer_payments
        """
    )


def _template() -> Session:
    return Session(
        id=ids.make(ids.SESSION, START, bytes(ids.ENTROPY_BYTES)),
        livemode=True,
        link_id=None,
        status=Status.EXPIRED,
        status_reason=None,
        wallet_id="wallet",
        derivation_index=0,
        address=Address("0x" + "f" * 40),
        asset=Asset(1, "USDC", 6, _TOKEN, usd_pegged=True),
        fiat=Fiat(Decimal("30.00"), "USD"),
        rate=Rate("USDC", "USD", Decimal(1), ("par",), START),
        eth_price_usd=None,
        terms=Terms(30_000_000, 30_000_000, 31_500_000, START + timedelta(days=400), START + timedelta(days=400), 3),
        created_at=START,
        updated_at=START,
    )


if __name__ == "__main__":
    main()
