"""When somebody is told of what needs a person, and in which words. Pure; who sends it is `services.alerts.notifier`.

Each cause is told once on each channel, however long it lasts and however often the server restarts, and once more when
it is gone. What comes in the time after a message is collected for the next one.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from crypto_checkout.core import moments
from crypto_checkout.core.alerts.issues import Issue, IssueKind, url

MOST_LISTED = 25
"""How many things one message names, of what is new and of what is gone; the others are counted."""

_PATIENCE: Mapping[IssueKind, timedelta] = {
    IssueKind.UNDERPAID: timedelta(minutes=15),  # the payer may be sending the rest
    IssueKind.WEBHOOK_FAILING: timedelta(minutes=10),
    IssueKind.CHAIN: timedelta(minutes=2),
    IssueKind.PROVIDER: timedelta(minutes=15),
    IssueKind.PRICE: timedelta(minutes=6),  # seen twice
}
"""How long a cause has to last before anybody is told: many pass by themselves."""

_CALM = timedelta(minutes=5)
"""How long a cause has to be gone before that is told: what comes and goes is one alert, not ten."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A cause: first seen at `seen_at`, gone since `gone_at` where it is, told to the channels `told`."""

    issue: Issue
    seen_at: datetime
    gone_at: datetime | None = None
    told: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Digest:
    """The alerts to send on one channel now: new ones, and those it was sent whose cause is gone."""

    raised: tuple[Alert, ...]
    cleared: tuple[Alert, ...]

    def __bool__(self) -> bool:
        """Tell whether there is anything to tell."""
        return bool(self.raised or self.cleared)


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: a subject and a text for people, and the same for programs."""

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

    Of the kinds in `unknown` not all was seen, so none of them is taken for gone. What is gone and stands told on none
    of the channels is dropped.
    """
    seen = {issue.cause: issue for issue in issues}
    after = {cause: Alert(issue, now) for cause, issue in seen.items() if cause not in alerts}
    for cause, alert in alerts.items():
        if cause in seen:
            after[cause] = replace(alert, issue=replace(seen[cause], since=alert.issue.since), gone_at=None)
        elif alert.issue.kind in unknown:
            after[cause] = alert
        elif alert.told & frozenset(channels):
            after[cause] = replace(alert, gone_at=alert.gone_at or now)
    return after


def due(alerts: Iterable[Alert], channel: str, now: datetime) -> Digest:
    """Return what a channel is to be told, the oldest first."""
    ordered = sorted(alerts, key=lambda alert: (alert.seen_at, alert.issue.cause))
    return Digest(
        raised=tuple(each for each in ordered if channel not in each.told and _is_ripe(each, now)),
        cleared=tuple(each for each in ordered if channel in each.told and _is_over(each, now)),
    )


def mark_notified(alerts: Mapping[str, Alert], digest: Digest, channel: str) -> dict[str, Alert]:
    """Return the alarms once a channel has been told."""
    after = dict(alerts)
    for alert in digest.raised:
        after[alert.issue.cause] = replace(alert, told=alert.told | {channel})
    for alert in digest.cleared:
        after[alert.issue.cause] = replace(alert, told=alert.told - {channel})
    return after


def message(digest: Digest, *, shop: str, public_url: str, now: datetime) -> Message:
    """Write what a digest says."""
    return Message(
        subject=f"[{shop}] {_subject(digest)}",
        text="\n".join([*_text(digest, public_url), "", f"Dashboard: {public_url}/dashboard", ""]),
        data={
            "object": "alert",
            "shop": shop,
            "createdAt": moments.to_text(now),
            "raisedCount": len(digest.raised),
            "raised": [_described(alert, public_url) for alert in digest.raised[:MOST_LISTED]],
            "clearedCount": len(digest.cleared),
            "cleared": [_described(alert, public_url) for alert in digest.cleared[:MOST_LISTED]],
        },
    )


def sample_message(*, shop: str, public_url: str, now: datetime) -> Message:
    """Write the message of a test."""
    return Message(
        subject=f"[{shop}] Test: alerts arrive",
        text=f"This is a test. Alerts of {shop} arrive here.\n\nDashboard: {public_url}/dashboard\n",
        data={
            "object": "alert",
            "shop": shop,
            "createdAt": moments.to_text(now),
            "test": True,
            "raisedCount": 0,
            "raised": [],
            "clearedCount": 0,
            "cleared": [],
        },
    )


def _is_ripe(alert: Alert, now: datetime) -> bool:
    lasted = abs(now - alert.seen_at)  # a clock that was set back must not keep an alert waiting
    return alert.gone_at is None and lasted >= _PATIENCE.get(alert.issue.kind, timedelta(0))


def _is_over(alert: Alert, now: datetime) -> bool:
    return alert.gone_at is not None and abs(now - alert.gone_at) >= _CALM


def _subject(digest: Digest) -> str:
    raised, cleared = len(digest.raised), len(digest.cleared)
    if not raised:
        return "All clear" if cleared == 1 else f"All clear: {cleared} things"
    also = f", {cleared} all clear" if cleared else ""
    if raised == 1:
        return f"{_name(digest.raised[0].issue.kind)} needs you{also}"
    return f"{raised} things need you{also}"


def _text(digest: Digest, public_url: str) -> Sequence[str]:
    lines: list[str] = []
    if digest.raised:
        lines.append("This needs you:")
        for alert in digest.raised[:MOST_LISTED]:
            lines += ["", *_paragraph(alert.issue, public_url), f"  {alert.issue.advice}"]
        lines += _rest(len(digest.raised))
    if digest.cleared:
        lines += ["", "This is settled:"] if lines else ["This is settled:"]
        for alert in digest.cleared[:MOST_LISTED]:
            lines += ["", *_paragraph(alert.issue, public_url)]
        lines += _rest(len(digest.cleared))
    return lines


def _paragraph(issue: Issue, public_url: str) -> Sequence[str]:
    mode = " (test mode)" if issue.livemode is False else ""
    return [
        f"* {_name(issue.kind)}{mode}: {issue.words}",
        f"  Since {issue.since:%Y-%m-%d %H:%M} UTC. {url(public_url, issue)}",
    ]


def _rest(count: int) -> Sequence[str]:
    return ["", f"And {count - MOST_LISTED} more: see the dashboard."] if count > MOST_LISTED else []


def _name(kind: IssueKind) -> str:
    return _NAMES[kind]


_NAMES: Mapping[IssueKind, str] = {
    IssueKind.UNDERPAID: "An underpaid session",
    IssueKind.OVERPAID: "An overpaid session",
    IssueKind.FAILED: "A payment that was taken back",
    IssueKind.LATE_PAYMENT: "A late payment",
    IssueKind.UNMATCHED: "Unmatched money",
    IssueKind.WEBHOOK_FAILING: "A failing webhook",
    IssueKind.WEBHOOK_DISABLED: "A disabled webhook",
    IssueKind.CHAIN: "A chain that stands still",
    IssueKind.PROVIDER: "An RPC provider",
    IssueKind.PRICE: "A missing price",
    IssueKind.DATABASE: "The database",
    IssueKind.DISK: "The disk",
}


def _described(alert: Alert, public_url: str) -> Mapping[str, Any]:
    issue = alert.issue
    return {
        "kind": issue.kind.value,
        "subjectId": issue.subject_id,
        "livemode": issue.livemode,
        "words": issue.words,
        "advice": issue.advice,
        "since": moments.to_text(issue.since),
        "url": url(public_url, issue),
    }
