"""Each list reads by an index, whatever it is filtered by: SQLite's own plan of every query says so."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import partial
from itertools import product
from typing import Any

import pytest

from crypto_checkout.core.checkout.session import Status
from crypto_checkout.core.receipts.mail import MailKind
from crypto_checkout.http.api.operations import Operation
from crypto_checkout.http.api.schemas import CustomersQuery, ListQuery
from crypto_checkout.http.api.table import table
from crypto_checkout.services.sandbox import pruning
from crypto_checkout.store import idempotency, paging
from crypto_checkout.store.alerts import issues
from crypto_checkout.store.checkout import links, totals, unused_addresses
from crypto_checkout.store.checkout.sessions import SessionFilter
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.ledger import unmatched
from crypto_checkout.store.receipts import mails, receipts
from crypto_checkout.store.reporting import exports, search
from crypto_checkout.store.sandbox import requests
from crypto_checkout.store.webhooks import deliveries, endpoint_cleanup, endpoints, events, replays
from tests.support.api import ENDPOINT, LINK, PRICE, App, made
from tests.support.dashboard import signed_in, visitor

FILTERS: dict[str, str] = {
    "status": "pending",
    "linkId": "pl_1",
    "customerEmail": "ada@example.com",
    "email": "ada@example.com",
    "createdAfter": "2026-01-01T00:00:00Z",
    "createdBefore": "2027-01-01T00:00:00Z",
    "active": "true",
    "type": "session.paid",
    "resourceId": "cs_1",
    "sessionId": "cs_1",
    "chainId": "1337",
    "asset": "ETH",
    "held": "true",
    "page": "1000",
    "limit": "100",
}
PLACES = ("starting_after", "ending_before")
SUBQUERIES = ("LIST SUBQUERY", "SCALAR SUBQUERY", "CORRELATED SCALAR SUBQUERY")
LISTS = [operation for operation in table() if issubclass(operation.query, ListQuery | CustomersQuery)]


class Asked(list[tuple[str, Any]]):
    """The queries that were run, and beside each the unit that ran it: loops of the server ask meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.by_unit: list[tuple[Any, str, Any]] = []

    def of(self, unit: ReadUnit) -> list[tuple[str, Any]]:
        return [(sql, parameters) for by, sql, parameters in self.by_unit if by is unit]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    """Note every query that is run."""
    queries = Asked()
    for kind, name in ((ReadUnit, "one"), (ReadUnit, "all"), (WriteUnit, "run"), (WriteUnit, "put")):
        original = getattr(kind, name)

        def noting(unit: Any, sql: str, parameters: Any = None, *, run: Any = original) -> Any:
            queries.append((sql, parameters))
            queries.by_unit.append((unit, sql, parameters))
            return run(unit, sql, parameters)

        monkeypatch.setattr(kind, name, noting)
    yield queries
    monkeypatch.undo()


def test_there_is_an_example_of_every_filter() -> None:
    assert {name for operation in LISTS for name in operation.query.model_fields} <= {*FILTERS, *PLACES}


@pytest.mark.parametrize("operation", LISTS, ids=[operation.path for operation in LISTS])
async def test_a_list_is_read_by_an_index_whatever_it_is_filtered_by(
    app: App, asked: list[tuple[str, Any]], operation: Operation
) -> None:
    endpoint = await made(app.api, "/webhook_endpoints", ENDPOINT)
    for _ in range(2):
        await made(app.api, "/payment_links", LINK)
        session = await made(app.api, "/checkout_sessions", PRICE)
        await made(app.api, "/webhook_endpoints", ENDPOINT)
        await app.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay", json={"amount": "0.001"})
    await app.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay", json={"transfers": 2})
    await app.api.post("/test_helpers/chain/mine", json={"blocks": 3})
    for _ in range(2):
        await made(app.api, "/refunds", {"sessionId": session["id"], "amount": "0.001"})
        await app.api.post(f"/test_helpers/checkout_sessions/{session['id']}/collect")
        await app.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay", json={"amount": "0.001"})
    resource = session if "sessions" in operation.path else endpoint
    for name in ("", *operation.query.model_fields):
        await assert_read_by_an_index(app, asked, operation.path.format(id=resource["id"]), name)


def _touch(unit: WriteUnit) -> None:
    assert unit.run("UPDATE webhook_endpoints SET livemode = livemode")


async def assert_read_by_an_index(app: App, asked: list[tuple[str, Any]], path: str, name: str) -> None:
    query = {name: FILTERS[name]} if name in FILTERS else {}
    if name == "status" and path in {"/refunds", "/collections"}:  # pending is none of theirs
        query[name] = "to_pay" if path == "/refunds" else "seen"
    if name in PLACES:
        query[name] = (await app.api.get(path, params={"limit": 1})).json()["nextCursor"]
    runs: list[dict[str, Any]] = []
    for _ in range(3):
        await app.opened.db.write(_touch)  # what was read is kept until a commit
        asked.clear()
        assert (await app.api.get(path, params=query)).status_code == 200
        runs.append(dict(asked))
    # A loop of the server may come between once: only a query of every run is the request's.
    queries = {sql: parameters for sql, parameters in runs[0].items() if all(sql in run for run in runs)}
    assert queries
    plans = {sql: await plan(app, sql, parameters) for sql, parameters in queries.items()}
    for sql, steps in plans.items():
        for step in steps:
            is_search = step.startswith("SEARCH") and ("INDEX" in step or "PRIMARY KEY" in step)
            # A subquery's own steps follow its name.
            assert is_search or step.startswith(SUBQUERIES), f"{path}?{name}\n{sql}\n{step}"


async def test_what_the_simulated_chain_needs_is_found_by_indexes(app: App, asked: Asked) -> None:
    queries: list[tuple[str, Any]] = []

    def work(unit: ReadUnit) -> None:
        pruning.needed(unit)
        queries.extend(asked.of(unit))

    await app.opened.db.read(work)
    assert len(queries) >= 3
    for sql, parameters in queries:
        assert not [step for step in await plan(app, sql, parameters) if step.startswith("SCAN")]


LATER = datetime(2030, 1, 1, tzinfo=UTC)
WORK: dict[str, Callable[[WriteUnit, str], object]] = {
    "which endpoints take deliveries": lambda unit, _: deliveries.targets(unit, livemode=False),
    "what waits": lambda unit, endpoint_id: deliveries.waiting(unit, endpoint_id, [1, 2], 4),
    "whether it answered lately": lambda unit, endpoint_id: deliveries.answered_since(unit, endpoint_id, LATER),
    "what an attempt takes": lambda unit, _: deliveries.due(unit, [1, 2], LATER),
    "since when events were missed": lambda unit, endpoint_id: endpoint_cleanup.first_missed_at(
        unit, endpoint_id, LATER
    ),
    "giving up what waits": endpoint_cleanup.give_up_waiting,
    "deleting what was sent": endpoint_cleanup.delete,
    "forgetting attempts": lambda unit, _: deliveries.delete_attempts_before(unit, LATER, 100),
    "forgetting events": lambda unit, _: events.delete_before(unit, livemode=False, moment=LATER, limit=100),
    "forgetting answers": lambda unit, _: idempotency.delete_before(unit, LATER, 100),
    "forgetting requests to the sandbox": lambda unit, _: requests.delete_before(unit, LATER, 100),
    "a replay": lambda unit, endpoint_id: replays.replay_since(
        unit, endpoint_id, livemode=False, types=["session.paid"], since=LATER
    ),
    "what a clock ahead scheduled": lambda unit, endpoint_id: deliveries.make_due(unit, endpoint_id, 10),
    "how an endpoint fares": deliveries.failing,
    "one delivery": lambda unit, endpoint_id: deliveries.of_event(unit, endpoint_id, "evt_1"),
    "what became of a link": lambda unit, _: links.usage(unit, "pl_1", livemode=False),
    "queueing an event": lambda unit, endpoint_id: deliveries.enqueue(unit, "evt_1", endpoint_id),
    "the end of failures": lambda unit, endpoint_id: endpoints.set_failing(unit, endpoint_id, None),
}


@pytest.mark.parametrize("name", WORK)
async def test_the_work_of_deliveries_is_done_by_an_index(app: App, asked: Asked, name: str) -> None:
    endpoint = await made(app.api, "/webhook_endpoints", ENDPOINT)
    await made(app.api, "/payment_links", LINK)
    queries: list[tuple[str, Any]] = []

    def work(unit: WriteUnit) -> None:
        WORK[name](unit, endpoint["id"])
        queries[:] = asked.of(unit)

    await app.opened.db.write(work)
    assert queries
    for sql, parameters in queries:
        for step in await plan(app, sql, parameters):
            assert step.startswith(("SEARCH", *SUBQUERIES)), f"{sql}\n{step}"


async def test_the_number_of_waiting_deliveries_is_counted_without_the_others(
    app: App, asked: list[tuple[str, Any]]
) -> None:
    asked.clear()
    assert await app.opened.db.read(deliveries.count_pending) == 0
    ((sql, parameters),) = [each for each in asked if "deliveries" in each[0]]
    assert await plan(app, sql, parameters) == ["SCAN deliveries USING INDEX deliveries_due"]


async def test_the_dashboard_finds_who_asks_by_an_index(app: App, asked: list[tuple[str, Any]]) -> None:
    owner = await signed_in(app)
    asked.clear()
    for path in ("/test", "/test/settings", "/test/settings/trail", "/test/settings/trail?after=2", "/sign-in"):
        await owner.get(path)
    client = await visitor(app)
    client.cookies.set("checkout_browser", "somebody's")
    await client.post("/sign-in", data={"password": "a wrong password"})
    tables = ("logins", "audit", "admin", "recovery_codes", "known_browsers")
    queries = {sql: parameters for sql, parameters in asked if any(f"FROM {table}" in sql for table in tables)}
    assert all(any(f"FROM {table}" in sql for sql in queries) for table in tables)
    for sql, parameters in queries.items():
        # Logins and recovery codes are few, and all are wanted; the trail is read from its end.
        is_whole = "FROM logins ORDER BY" in sql or "FROM recovery_codes" in sql
        is_end = "FROM audit" in sql and "LIMIT" in sql
        for step in await plan(app, sql, parameters):
            assert step.startswith("SEARCH") or is_whole or (is_end and step == "SCAN audit"), f"{sql}\n{step}"


async def plan(app: App, sql: str, parameters: Any) -> list[str]:
    return await app.opened.db.read(
        lambda unit: [row["detail"] for row in unit.all(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    )


# --- what only the dashboard asks ------------------------------------------------------------------------------------

EMAIL, HASH = "ada@example.com", "0x" + "1" * 64
WINDOWS = (paging.Window(25), paging.Window(25, after=7), paging.Window(25, before=7))
SEARCHES = ("", "cs_1", "0x" + "1" * 40, HASH, EMAIL, "pl_01ARZ3NDEKTSV4RRFFQ69G5FAV", "order=17", "17")
TIMES = (None, datetime(2026, 1, 1, tzinfo=UTC))
WANTED = (
    SessionFilter(),
    SessionFilter(status=Status.PAID),
    SessionFilter(created_after=TIMES[1], created_before=TIMES[1]),
    SessionFilter(issue="underpaid"),
    SessionFilter(issue="late_payment"),
)


async def steps_of(app: App, asked: Asked, work: Callable[[ReadUnit], Any]) -> dict[str, list[str]]:
    """Return the plan of each query that a reading unit asks."""

    def noted(unit: ReadUnit) -> list[tuple[str, Any]]:
        work(unit)
        return asked.of(unit)

    queries = await app.opened.db.read(noted)
    assert queries
    return {sql: await plan(app, sql, parameters) for sql, parameters in queries}


def reads_no_table(step: str) -> bool:
    """Tell whether a step of a plan finds its rows by an index, or only handles rows that were found."""
    is_empty = "payments_to_tally" in step  # an index over what an old version left behind
    is_search = step.startswith("SEARCH") and ("INDEX" in step or "PRIMARY KEY" in step)
    return (
        is_search
        or is_empty
        or not step.startswith(
            (
                "SCAN checkout",
                "SCAN pay",
                "SCAN unm",
                "SCAN deli",
                "SCAN daily",
                "SCAN mails",
                "SCAN receipts",
                "USE TEMP",
            )
        )
    )


@pytest.mark.parametrize("text", SEARCHES)
async def test_a_search_reads_by_an_index(app: App, asked: Asked, text: str) -> None:
    for wanted, window in product(WANTED, WINDOWS):
        meant: dict[str, Any] = {"livemode": False, "text": text, "filters": wanted}
        found = await steps_of(app, asked, partial(search.find, window=window, **meant))
        found |= await steps_of(app, asked, partial(search.count, **meant))
        for sql, steps in found.items():
            for step in steps:
                # A few sessions that an id, an address or a transaction named are put in order.
                is_few = step.startswith("USE TEMP B-TREE") and (" IN (:v0" in sql or "UNION" in sql)
                assert reads_no_table(step) or is_few, f"{sql}\n{step}"


QUESTIONS: dict[str, Callable[[ReadUnit], Any]] = {
    "money in": lambda unit: totals.money_in(unit, False, date(2026, 1, 1), date(2026, 12, 31)),
    "made": lambda unit: totals.sessions_per_day(unit, False, date(2026, 1, 1), date(2026, 12, 31)),
    "sessions made": lambda unit: totals.count_sessions(unit, False),
    "untallied": lambda unit: totals.untallied(unit, 10),
    "underpaid": lambda unit: issues.in_status(unit, False, Status.UNDERPAID, 10),
    "money of underpaid": lambda unit: issues.money_in_status(unit, False, Status.UNDERPAID, 10),
    "late": lambda unit: issues.late(unit, False, 10),
    "receipts of a day": lambda unit: receipts.issued_between(unit, False, LATER, LATER, 10),
    "a receipt": lambda unit: receipts.of_session(unit, "cs_1"),
    "mails to send": lambda unit: mails.due(unit, LATER, 10),
    "a mail": lambda unit: mails.find(unit, MailKind.RECEIPT, False, "cs_1"),
    "undelivered mails": lambda unit: mails.undelivered(unit, False, 10),
    "the last daily mail": lambda unit: mails.last_day_before(unit, False, "2026-12-01"),
    "unmatched": lambda unit: issues.unmatched(unit, False, 10),
    "all unmatched": lambda unit: unmatched.listed(unit, False, paging.Window(10)),
    "open unmatched": lambda unit: unmatched.listed(unit, False, paging.Window(10), is_open=True),
    "unmatched of a session": lambda unit: unmatched.listed(unit, False, paging.Window(10), session_id="cs_1"),
    "newest unmatched of a session": lambda unit: unmatched.newest(unit, "cs_1", 10),
    "what of a resource was sent": lambda unit: deliveries.of_resource(unit, False, "cs_1", 10),
    "newest event": events.newest_at,
    "failing": lambda unit: issues.last_failure(unit, "we_1"),
    "pieces of links": lambda unit: links.sales(unit, ["pl_1", "pl_2"]),
    "oversold": lambda unit: links.oversold(unit, False, 10),
    "unused addresses": lambda unit: unused_addresses.longest(unit, False),
    "last payment": lambda unit: exports.last_seq(unit, False),
    "last unmatched payment": exports.last_unmatched_seq,
    **{
        f"export of {part.__name__} since {since} before {before}": partial(
            part, livemode=False, stretch=exports.ExportStretch(after=3, until=9, since=since, before=before, limit=10)
        )
        for part in (exports.part, exports.unmatched_part)
        for since, before in product(TIMES, TIMES)
    },
}


async def test_what_the_dashboard_asks_is_read_by_an_index(app: App, asked: Asked) -> None:
    for scenario in ("underpaid", "after_grace", "wrong_token"):
        session = await made(app.api, "/checkout_sessions", PRICE)
        await app.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay", json={"scenario": scenario})
    for name, question in QUESTIONS.items():
        for sql, steps in (await steps_of(app, asked, question)).items():
            for step in steps:
                assert reads_no_table(step), f"{name}\n{sql}\n{step}"
