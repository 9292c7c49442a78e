"""Each statement of the program, as PostgreSQL takes it: it prepares, and reads no table whole that SQLite doesn't.

Statements are found in the source: what `unit.one`, `unit.all`, `unit.put` and their like are given. Those of constants
are evaluated; those with parts that a function is given need an example of each part in `PARTS`.
"""

import ast
import importlib
import pkgutil
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
import pytest

from crypto_checkout import store
from crypto_checkout.store.postgresql.statements import translate
from crypto_checkout.store.table import Table
from tests.support.postgresql import PostgresqlServer

CALLS = frozenset({"one", "all", "lookup", "run", "run_many", "insert", "put", "put_row", "add"})
OF_ONE_ENGINE = ("sqlite", "postgresql", "data_folder", "moving", "migrations", "migrate", "units", "upkeep.space")
"""Modules whose statements are of SQLite's files, of whatever tables there are, or handed on from elsewhere."""

BOTH = ({"table": "'payments'"}, {"table": "'unmatched_payments'"})
BOTH_CHAINS = ({"query": "_PAYMENTS", "chain": "'payments.chain_id'"}, {"query": "_UNMATCHED", "chain": "'chain_id'"})
BOTH_JOINED = ({"table": "_PAYMENTS", "name": "'payments'"}, {"table": BOTH[1]["table"], "name": BOTH[1]["table"]})
ENDS = ({"order": "''"}, {"order": "'DESC'"})
LISTS = ({"table": "'checkout_sessions'"}, {"table": "'events'"})
PARTS: Mapping[str, Sequence[Mapping[str, str]]] = {
    "checkout.customers.search": ({"order": "next(iter(_SOURCES))", "source": "_SOURCES[order]"},),
    "checkout.paths._fill": ({"table": "'checkout_sessions'"}, {"table": "'unassigned_addresses'"}),
    "checkout.sessions._among": ({"column": "'id'"}, {"column": "'address'"}),
    "checkout.sessions.newest_in": ({"contract": "None"}, {"contract": "'0x1'"}),
    "ledger.balances._watched": ({"query": "_WATCHED"}, {"query": "_UNASSIGNED"}),
    "ledger.by_transaction.single": BOTH_JOINED,
    "ledger.by_transaction.dust": BOTH_JOINED,
    "ledger.credits.transactions": BOTH_CHAINS,
    "ledger.credits._found": tuple(
        {**each, "condition": f"'AND {more}'"}
        for each in BOTH_CHAINS
        for more in ("contract IS NULL", "+block_number <= :number")
    ),
    "ledger.dust.add": (
        {"table": "'payments'", "names": "['session_id']"},
        {"table": "'unmatched_payments'", "names": "['address', 'livemode']"},
    ),
    "ledger.dust._dust": BOTH,
    "ledger.dust._single": BOTH,
    "ledger.payments._not_deep": ({"condition": "'counted = 1'"}, {"condition": "'tally IS NOT NULL'"}),
    "ledger.payments.shown": ENDS,
    "ledger.payments._newest": ({"condition": "''"}, {"condition": "'AND canonical = 1 AND dust IS NULL'"}),
    "ledger.unnamed.absorb_earlier": BOTH,
    "paging.begins_after": LISTS,
    "paging.ends_before": LISTS,
    "paging._seq": LISTS,
    "receipts.mails.due": ({"times": "'<= :moment'"}, {"times": "'> :moment'"}),
    "refunds.refunds.on_chain": ({"names": "\"'to_pay', 'seen'\""},),
    "refunds.refunds._by_sender": BOTH,
    "reporting.exports._rows": tuple(
        {"select": select, "clauses": "'AND block_time >= :since AND block_time < :before'"}
        for select in ("unmatched.SELECT", "collections.SELECT", "'SELECT seq, session_id FROM payments'")
    ),
    "webhooks.events.span": ENDS,
}
"""Examples of what functions put into their statements, as Python in their modules, by their names there."""

MADE_AS_THEY_RUN = frozenset(
    {
        "alerts.issues._in_status",
        "ledger.balances.take_back",
        "ledger.unmatched._newest",
        "ledger.unnamed._of_table",
        "ledger.unnamed.confirm",
        "ledger.unnamed.take_back",
        "paging.select_rows",
        "reporting.search.count",
        "table.add",
        "table.all",
        "table.one",
        "table.put",
        "webhooks.endpoint_cleanup._first_event",
    }
)
"""Functions with statements of parts that fit together only as they are made: their own tests run them on both."""

BEGINS_WITH_THE_FEWEST_ROWS = "ledger.differences.confirmed"
"""A join whose order follows from how many rows the tables have: here none."""


@dataclass(frozen=True)
class Found:
    """A statement, and where it is."""

    place: str
    sql: str


def modules() -> Iterator[str]:
    """Yield the names of the modules with statements, as in `ledger.payments`."""
    for info in pkgutil.walk_packages(store.__path__, "crypto_checkout.store."):
        name = info.name.removeprefix("crypto_checkout.store.")
        if not name.startswith(OF_ONE_ENGINE):
            yield name


@cache
def found() -> tuple[list[Found], set[str]]:
    """Return the statements, and the modules in which there are some that can't be evaluated."""
    statements: dict[str, Found] = {}
    unknown = set[str]()
    for name in modules():
        module = importlib.import_module(f"crypto_checkout.store.{name}")
        assert module.__file__ is not None
        for function, call in calls(ast.parse(Path(module.__file__).read_text("utf-8"))):
            place = f"{name}.{function.name}"
            made = [
                sql
                for parts in PARTS.get(place, ({},))
                for sql in evaluated(call, known_in(function, parts, vars(module)))
            ]
            if not made:
                unknown.add(place)
            statements.update({sql: Found(place, sql) for sql in made})
    return list(statements.values()), unknown


def calls(module: ast.Module) -> Iterator[tuple[ast.FunctionDef, ast.Call]]:
    """Yield the calls that are given statements, and the functions that they are in."""
    for function in ast.walk(module):
        if isinstance(function, ast.FunctionDef):
            for each in ast.walk(function):
                if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr in CALLS:
                    yield function, each


def known_in(function: ast.FunctionDef, parts: Mapping[str, str], module: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a function knows: the names of its module, the parts, and its own names of constants."""
    known = {**module, "names": ":v0, :v1"}
    for name, value in parts.items():
        known[name] = eval(value, known)  # noqa: S307 - our own source
    for each in ast.walk(function):
        if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name) and each.targets[0].id not in parts:
            with suppress(NameError, AttributeError, TypeError):
                known[each.targets[0].id] = eval(ast.unparse(each.value), dict(known))  # noqa: S307 - our own source
    return known


def evaluated(call: ast.Call, known: Mapping[str, Any]) -> list[str]:
    """Return the statement that a call is given, if all its parts are known.

    Of a call of a `Table`, it is what that makes of the clauses.
    """
    assert isinstance(call.func, ast.Attribute)
    text, prefix = call.args[0] if call.args else ast.Constant(""), ""
    try:
        if ast.unparse(text) == "unit":
            table = eval(ast.unparse(call.func.value), dict(known))  # noqa: S307 - our own source
            if not isinstance(table, Table):  # a module's function of the same name
                return ["SELECT 1"]
            if call.func.attr in {"add", "put"}:
                return [table._insert_by_position]
            text, prefix = call.args[1] if call.args[1:] else ast.Constant(""), f"{table.select} "
        return [f"{prefix}{eval(ast.unparse(text), dict(known))}"]  # noqa: S307 - our own source
    except (NameError, AttributeError):
        return []


def test_there_are_some_hundred_statements_and_all_that_are_made_of_parts_are_known() -> None:
    statements, unknown = found()
    assert len(statements) > 300
    assert unknown == MADE_AS_THEY_RUN


@pytest.fixture
def session(postgresql_server: PostgresqlServer, tmp_path: Path) -> Iterator["psycopg.Connection[Any]"]:
    made = postgresql_server.new_database(tmp_path)
    with psycopg.connect(made.url, autocommit=True) as opened:
        yield opened
    postgresql_server.drop(made)


def test_every_statement_prepares(session: "psycopg.Connection[Any]") -> None:
    refused = []
    for each in found()[0]:
        result = session.pgconn.prepare(b"", translate(each.sql).text)
        if result.error_message:
            refused.append(f"{each.place}: {result.get_error_message()}\n{each.sql}")
    assert not refused, "\n\n".join(refused)


def test_no_table_is_read_whole_where_sqlite_has_an_index(session: "psycopg.Connection[Any]") -> None:
    """Whole: although the planner avoids it as dear, and with any values of the parameters."""
    for setting in ("enable_seqscan = off", "enable_hashjoin = off", "enable_mergejoin = off"):
        session.execute(f"SET {setting}".encode())
    session.execute("SET plan_cache_mode = force_generic_plan")
    slower = []
    with closing(sqlite3.connect(":memory:")) as file:
        file.executescript((resources.files(store) / "schema.sql").read_text("utf-8"))
        for each in found()[0]:
            is_of_some_rows = each.sql.lstrip().startswith(("SELECT", "WITH")) or " WHERE " in " ".join(
                each.sql.split()
            )
            if not is_of_some_rows or each.sql.lstrip().startswith("INSERT"):
                continue
            more = read_whole_by_server(session, each.sql) - read_whole_by_sqlite(file, each.sql)
            if more and each.place != BEGINS_WITH_THE_FEWEST_ROWS:
                slower.append(f"{each.place}: {sorted(more)}\n{each.sql}")
    assert not slower, "\n\n".join(slower)


def read_whole_by_sqlite(file: sqlite3.Connection, sql: str) -> set[str]:
    """Return the tables that SQLite reads from one end to the other, also where it stops early."""
    nothing: dict[str, None] = defaultdict(lambda: None)
    values: Any = [None] * sql.count("?") if "?" in sql else nothing
    steps = [row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    scanned = {found[1] for step in steps if (found := re.match(r"SCAN (\w+)", step))}
    aliases = dict(re.findall(r"\b(?:FROM|JOIN)\s+(\w+)\s+AS\s+(\w+)", sql))
    return scanned | {table for table, alias in aliases.items() if alias in scanned}


def read_whole_by_server(session: "psycopg.Connection[Any]", sql: str) -> set[str]:
    """Return the tables that PostgreSQL can only read from one end to the other.

    In empty tables all ways cost the same. So an index that it reads as a whole is dropped, and it plans again.
    """
    with session.transaction(force_rollback=True):
        while scans := list(whole(plan(session, sql))):
            names = [scan["Index Name"] for scan in scans if "Index Name" in scan]
            if len(names) < len(scans) or any(name.endswith(("_pkey", "_key")) for name in names):
                return {scan["Relation Name"] for scan in scans}
            for name in names:
                session.execute(f"DROP INDEX IF EXISTS {name}".encode())
        return set()


def plan(session: "psycopg.Connection[Any]", sql: str) -> Mapping[str, Any]:
    """Return the plan of a statement whatever its parameters are."""
    session.execute(b"PREPARE it AS " + translate(sql).text)
    row = session.execute(
        "SELECT CARDINALITY(parameter_types) FROM pg_prepared_statements WHERE name = 'it'"
    ).fetchone()
    assert row is not None
    values = f"({', '.join(['NULL'] * row[0])})" if row[0] else ""
    (found,) = session.execute(f"EXPLAIN (FORMAT JSON) EXECUTE it{values}".encode()).fetchone() or ([],)
    session.execute("DEALLOCATE it")
    top: Mapping[str, Any] = found[0]["Plan"]
    return top


def whole(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the parts of a plan that read a table without a condition on an index."""
    kind = node["Node Type"]
    if kind == "Seq Scan" or (kind in {"Index Scan", "Index Only Scan"} and "Index Cond" not in node):
        yield node
    for each in node.get("Plans", ()):
        yield from whole(each)
