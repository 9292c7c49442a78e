"""Alarms: which causes stand, who was told of them, and when each channel was last used."""

from collections.abc import Mapping
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.alerts.alerts import Alert
from crypto_checkout.core.alerts.issues import Issue, IssueKind
from crypto_checkout.store.database import ReadUnit, Row, WriteUnit


def everything(unit: ReadUnit) -> dict[str, Alert]:
    """Return all alarms by their cause."""
    return {row["cause"]: _alert(row) for row in unit.all("SELECT * FROM alarms")}


def sent(unit: ReadUnit) -> dict[str, datetime]:
    """Return when each channel was last used."""
    rows = unit.all("SELECT name, sent_at FROM alarm_channels")
    return {row["name"]: moments.from_text(row["sent_at"]) for row in rows}


def save(unit: WriteUnit, changed: Mapping[str, Alert | None], sent_at: Mapping[str, datetime]) -> None:
    """Store the alarms that changed, delete those that are None, and note when channels were used."""
    for cause, alert in changed.items():
        if alert is None:
            unit.run("DELETE FROM alarms WHERE cause = :cause", {"cause": cause})
        else:
            _put(unit, alert)
    for name, moment in sent_at.items():
        unit.run(
            """
            INSERT INTO alarm_channels (name, sent_at)
            VALUES (:name, :sent_at)
            ON CONFLICT (name) DO UPDATE SET sent_at = excluded.sent_at
            """,
            {"name": name, "sent_at": moments.to_text(moment)},
        )


def _put(unit: WriteUnit, alert: Alert) -> None:
    issue = alert.issue
    unit.run(
        """
        INSERT INTO alarms (
            cause, kind, subject_id, livemode, words, advice, path, since, seen_at, gone_at, told
        )
        VALUES (
            :cause, :kind, :subject_id, :livemode, :words, :advice, :path, :since, :seen_at, :gone_at, :told
        )
        ON CONFLICT (cause) DO UPDATE
        SET words = excluded.words, gone_at = excluded.gone_at, told = excluded.told
        """,
        {
            "cause": issue.cause,
            "kind": issue.kind,
            "subject_id": issue.subject_id,
            "livemode": None if issue.livemode is None else int(issue.livemode),
            "words": issue.words,
            "advice": issue.advice,
            "path": issue.path,
            "since": moments.to_text(issue.since),
            "seen_at": moments.to_text(alert.seen_at),
            "gone_at": moments.to_optional_text(alert.gone_at),
            "told": " ".join(sorted(alert.told)),
        },
    )


def _alert(row: Row) -> Alert:
    issue = Issue(
        kind=IssueKind(row["kind"]),
        cause=row["cause"],
        subject_id=row["subject_id"],
        livemode=None if row["livemode"] is None else bool(row["livemode"]),
        words=row["words"],
        advice=row["advice"],
        since=moments.from_text(row["since"]),
        path=row["path"],
    )
    return Alert(
        issue=issue,
        seen_at=moments.from_text(row["seen_at"]),
        gone_at=moments.from_optional_text(row["gone_at"]),
        told=frozenset(row["told"].split()),
    )
