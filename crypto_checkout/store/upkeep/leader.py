"""The row of the leader: its report to the followers, and a request to step down (`store.postgresql.election`)."""

import json
from collections.abc import Mapping
from typing import Any

from crypto_checkout.store.database import ReadUnit, WriteUnit


def publish(unit: WriteUnit, report: Mapping[str, Any]) -> None:
    """Store the leader's report, which is JSON, with its number: one more than that of the one before."""
    _store(unit, {**report, "number": reports(unit) + 1})


def reports(unit: ReadUnit) -> int:
    """Return the number of the last report, 0 before the first. Only in a database that was restored it is lower."""
    number: int = _last(unit).get("number", 0)
    return number


def pass_reports(unit: WriteUnit, number: int) -> None:
    """Let the next report have a higher number than this one, which the database may have lost."""
    _store(unit, {**_last(unit), "number": max(number, reports(unit))})


def _last(unit: ReadUnit) -> dict[str, Any]:
    row = unit.one("SELECT seen FROM leader")
    assert row is not None, "the table has one row"
    report: dict[str, Any] = json.loads(row["seen"])
    return report


def _store(unit: WriteUnit, report: Mapping[str, Any]) -> None:
    unit.run("UPDATE leader SET seen = :report", {"report": json.dumps(report)})


def end_term(unit: WriteUnit) -> None:
    """End the term of whoever leads: what it still writes is refused, and it begins another one with what is stored."""
    unit.run("UPDATE leader SET term = term + 1, process = NULL, since = NULL, asked_to_end = NULL")


def ask_to_step_down(unit: WriteUnit, term: int) -> None:
    """Ask the leader of a term to step down; one of another term isn't meant."""
    unit.run("UPDATE leader SET asked_to_end = :term WHERE term = :term", {"term": term})
