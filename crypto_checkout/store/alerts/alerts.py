"""Alerts: the issues they are about, the channels that were notified, and each channel's last use."""

from collections.abc import Mapping
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.alerts.alerts import Alert
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.table import Converter, Table

_ALERTS = Table(
    "alarms",
    Alert,
    flat=("issue",),
    names={"notified": "told"},
    converters={
        "notified": Converter("TEXT", lambda names: " ".join(sorted(names)), lambda text: frozenset(text.split()))
    },
)
_SAVE = _ALERTS.upsert(["cause"], ["words", "gone_at", "told"])


def by_cause(unit: ReadUnit) -> dict[str, Alert]:
    """Return all alerts by their cause."""
    return {alert.issue.cause: alert for alert in _ALERTS.all(unit)}


def last_sent(unit: ReadUnit) -> dict[str, datetime]:
    """Return the time at which each channel was last used."""
    rows = unit.all("SELECT name, sent_at FROM alarm_channels")
    return {row["name"]: moments.from_text(row["sent_at"]) for row in rows}


def save(unit: WriteUnit, changed: Mapping[str, Alert | None], sent_at: Mapping[str, datetime]) -> None:
    """Store changed alerts, delete those that are None, and store the times at which channels were used."""
    for cause, alert in changed.items():
        if alert is None:
            unit.run("DELETE FROM alarms WHERE cause = :cause", {"cause": cause})
        else:
            unit.run(_SAVE, _ALERTS.values(alert))
    for name, moment in sent_at.items():
        unit.run(
            """
            INSERT INTO alarm_channels (name, sent_at)
            VALUES (:name, :sent_at)
            ON CONFLICT (name) DO UPDATE SET sent_at = excluded.sent_at
            """,
            {"name": name, "sent_at": moments.to_text(moment)},
        )
