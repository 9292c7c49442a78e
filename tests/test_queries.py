"""Each list reads by an index, whatever it is filtered by: SQLite's own plan of every query says so."""

from collections.abc import Iterator
from typing import Any

import pytest

from crypto_checkout.http.api.operations import Operation
from crypto_checkout.http.api.schemas import CustomersQuery, ListQuery
from crypto_checkout.http.api.table import table
from crypto_checkout.services import sandbox_history
from crypto_checkout.store.database import ReadUnit
from tests.api import ENDPOINT, LINK, PRICE, App, made

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
    "page": "1000",
    "limit": "100",
}
PLACES = ("starting_after", "ending_before")
LISTS = [operation for operation in table() if issubclass(operation.query, ListQuery | CustomersQuery)]
CASES = [(operation, name) for operation in LISTS for name in ("", *operation.query.model_fields)]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, Any]]]:
    """Note every query that is run."""
    queries: list[tuple[str, Any]] = []
    for name in ("one", "all"):
        original = getattr(ReadUnit, name)

        def noting(unit: ReadUnit, sql: str, parameters: Any = None, *, run: Any = original) -> Any:
            queries.append((sql, parameters))
            return run(unit, sql, parameters)

        monkeypatch.setattr(ReadUnit, name, noting)
    yield queries
    monkeypatch.undo()


def test_there_is_an_example_of_every_filter() -> None:
    assert {name for _, name in CASES} <= {*FILTERS, *PLACES, ""}


@pytest.mark.parametrize(("operation", "name"), CASES, ids=[f"{o.path}?{name}" for o, name in CASES])
async def test_a_list_is_read_by_an_index(
    app: App, asked: list[tuple[str, Any]], operation: Operation, name: str
) -> None:
    endpoint = await made(app.api, "/webhook_endpoints", ENDPOINT)
    for _ in range(2):
        await made(app.api, "/payment_links", LINK)
        await made(app.api, "/checkout_sessions", PRICE)
        await made(app.api, "/webhook_endpoints", ENDPOINT)
    path = operation.path.format(id=endpoint["id"])
    query = {name: FILTERS[name]} if name in FILTERS else {}
    if name in PLACES:
        query[name] = (await app.api.get(path, params={"limit": 1})).json()["nextCursor"]
    asked.clear()
    answer = await app.api.get(path, params=query)
    assert answer.status_code == 200
    queries = list(asked)
    assert queries
    plans = {sql: await plan(app, sql, parameters) for sql, parameters in queries}
    for sql, steps in plans.items():
        print(f"{operation.path}?{name}: {' '.join(sql.split())[:110]}\n    {'; '.join(steps)}")  # noqa: T201
        for step in steps:
            # The few payments of one session are put in order, and nothing else is.
            is_sorting = step.startswith("USE TEMP B-TREE") and "FROM payments" in sql
            is_search = step.startswith("SEARCH") and ("INDEX" in step or "PRIMARY KEY" in step)
            assert is_search or is_sorting, f"{sql}\n{step}"


async def test_what_the_simulated_chain_needs_is_found_by_indexes(app: App, asked: list[tuple[str, Any]]) -> None:
    asked.clear()
    await app.opened.db.read(sandbox_history.needed)
    queries = list(asked)
    assert len(queries) >= 3
    for sql, parameters in queries:
        assert not [step for step in await plan(app, sql, parameters) if step.startswith("SCAN")]


async def plan(app: App, sql: str, parameters: Any) -> list[str]:
    return await app.opened.db.read(
        lambda unit: [row["detail"] for row in unit.all(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    )
