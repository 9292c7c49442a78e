"""Alerts: their timing and their words. `services.alerts.notifier` sends them.

Each channel gets one alert for a cause, however long it lasts and however often the server restarts, and an all-clear
when the cause is gone. Alerts that become due soon after a message wait for the next one.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from crypto_checkout.core import moments
from crypto_checkout.core.alerts.issues import ISSUES, Issue, IssueKind
from crypto_checkout.core.shop import Shop

MOST_LISTED = 25
"""The number of alerts, and of all-clears, that one message lists; it only counts the others."""

_CALM = timedelta(minutes=5)
"""Time without the cause before the all-clear, so that a cause that comes and goes is one alert, not ten."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An issue, first found at `seen_at` and gone since `gone_at`; `notified` has the channels that it was sent on."""

    issue: Issue
    seen_at: datetime
    gone_at: datetime | None = None
    notified: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Digest:
    """The alerts to send on one channel now: new ones, and those it was sent whose cause is gone."""

    raised: tuple[Alert, ...]
    cleared: tuple[Alert, ...]

    def __bool__(self) -> bool:
        """Tell whether there is anything to send."""
        return bool(self.raised or self.cleared)


@dataclass(frozen=True, slots=True)
class Message:
    """A message: a subject and a text for people, and the same as data for programs."""

    subject: str
    text: str
    data: Mapping[str, Any]


def observe(
    alerts: Mapping[str, Alert],
    issues: Iterable[Issue],
    *,
    unknown: AbstractSet[IssueKind],
    channels: Collection[str],
    now: datetime,
) -> dict[str, Alert]:
    """Return the alerts after the issues were gathered.

    The issues of the kinds in `unknown` are incomplete, so none of those counts as gone. An alert that is gone and
    that none of the channels knows of is dropped.
    """
    seen = {issue.cause: issue for issue in issues}
    after = {cause: Alert(issue, now) for cause, issue in seen.items() if cause not in alerts}
    for cause, alert in alerts.items():
        if cause in seen:
            after[cause] = replace(alert, issue=replace(seen[cause], since=alert.issue.since), gone_at=None)
        elif alert.issue.kind in unknown:
            after[cause] = alert
        elif alert.notified & frozenset(channels):
            after[cause] = replace(alert, gone_at=alert.gone_at or now)
    return after


def due(alerts: Iterable[Alert], channel: str, now: datetime) -> Digest:
    """Return the alerts to send on a channel, oldest first."""
    ordered = sorted(alerts, key=lambda alert: (alert.seen_at, alert.issue.cause))
    return Digest(
        raised=tuple(each for each in ordered if channel not in each.notified and _is_ripe(each, now)),
        cleared=tuple(each for each in ordered if channel in each.notified and _is_over(each, now)),
    )


def mark_notified(alerts: Mapping[str, Alert], digest: Digest, channel: str) -> dict[str, Alert]:
    """Return the alerts after a digest was sent on a channel."""
    after = dict(alerts)
    for alert in digest.raised:
        after[alert.issue.cause] = replace(alert, notified=alert.notified | {channel})
    for alert in digest.cleared:
        after[alert.issue.cause] = replace(alert, notified=alert.notified - {channel})
    return after


def message(digest: Digest, shop: Shop, now: datetime) -> Message:
    """Write the message of a digest."""
    return Message(
        subject=f"[{shop.name}] {_subject(digest)}",
        text="\n".join([*_text(digest, shop), "", f"Dashboard: {shop.page(None, '')}", ""]),
        data={
            "object": "alert",
            "shop": shop.name,
            "createdAt": moments.to_text(now),
            "raisedCount": len(digest.raised),
            "raised": [_described(alert, shop) for alert in digest.raised[:MOST_LISTED]],
            "clearedCount": len(digest.cleared),
            "cleared": [_described(alert, shop) for alert in digest.cleared[:MOST_LISTED]],
        },
    )


def sample_message(shop: Shop, now: datetime) -> Message:
    """Write the message that tests a channel."""
    return Message(
        subject=f"[{shop.name}] Test: alerts arrive",
        text=f"This is a test. Alerts of {shop.name} arrive here.\n\nDashboard: {shop.page(None, '')}\n",
        data={
            "object": "alert",
            "shop": shop.name,
            "createdAt": moments.to_text(now),
            "test": True,
            "raisedCount": 0,
            "raised": [],
            "clearedCount": 0,
            "cleared": [],
        },
    )


def _is_ripe(alert: Alert, now: datetime) -> bool:
    lasted = abs(now - alert.seen_at)  # a clock that is set back must not delay an alert
    return alert.gone_at is None and lasted >= ISSUES[alert.issue.kind].patience


def _is_over(alert: Alert, now: datetime) -> bool:
    return alert.gone_at is not None and abs(now - alert.gone_at) >= _CALM


def _subject(digest: Digest) -> str:
    raised, cleared = len(digest.raised), len(digest.cleared)
    if not raised:
        return "All clear" if cleared == 1 else f"All clear: {cleared} things"
    also = f", {cleared} all clear" if cleared else ""
    if raised == 1:
        return f"{ISSUES[digest.raised[0].issue.kind].name} needs attention{also}"
    return f"{raised} things need attention{also}"


def _text(digest: Digest, shop: Shop) -> Sequence[str]:
    lines: list[str] = []
    if digest.raised:
        lines.append("This needs attention:")
        for alert in digest.raised[:MOST_LISTED]:
            lines += ["", *_paragraph(alert.issue, shop), f"  {alert.issue.advice}"]
        lines += _rest(len(digest.raised))
    if digest.cleared:
        lines += ["", "This is settled:"] if lines else ["This is settled:"]
        for alert in digest.cleared[:MOST_LISTED]:
            lines += ["", *_paragraph(alert.issue, shop)]
        lines += _rest(len(digest.cleared))
    return lines


def _paragraph(issue: Issue, shop: Shop) -> Sequence[str]:
    mode = " (test mode)" if issue.livemode is False else ""
    return [
        f"* {ISSUES[issue.kind].name}{mode}: {issue.words}",
        f"  Since {issue.since:%Y-%m-%d %H:%M} UTC. {shop.page(issue.livemode, issue.path)}",
    ]


def _rest(count: int) -> Sequence[str]:
    return ["", f"And {count - MOST_LISTED} more: see the dashboard."] if count > MOST_LISTED else []


def _described(alert: Alert, shop: Shop) -> Mapping[str, Any]:
    issue = alert.issue
    return {
        "kind": issue.kind.value,
        "subjectId": issue.subject_id,
        "livemode": issue.livemode,
        "words": issue.words,
        "advice": issue.advice,
        "since": moments.to_text(issue.since),
        "url": shop.page(issue.livemode, issue.path),
    }
