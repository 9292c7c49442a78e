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

MOST_TOLD = 25
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
"""How long a cause has to be gone before that is told: what comes and goes is one alarm, not ten."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A cause: first seen at `seen_at`, gone since `gone_at` where it is, told to the channels `told`."""

    concern: Issue
    seen_at: datetime
    gone_at: datetime | None = None
    told: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Digest:
    """What one channel is to be told now: alarms that are new to it, and those that it knows and that are gone."""

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
    alarms: Mapping[str, Alert],
    concerns: Iterable[Issue],
    *,
    unknown: AbstractSet[IssueKind],
    channels: Collection[str],
    now: datetime,
) -> dict[str, Alert]:
    """Return the alarms after a look at what needs a person.

    Of the kinds in `unknown` not all was seen, so none of them is taken for gone. What is gone and stands told on none
    of the channels is dropped.
    """
    seen = {concern.cause: concern for concern in concerns}
    after = {cause: Alert(concern, now) for cause, concern in seen.items() if cause not in alarms}
    for cause, alarm in alarms.items():
        if cause in seen:
            after[cause] = replace(alarm, concern=replace(seen[cause], since=alarm.concern.since), gone_at=None)
        elif alarm.concern.kind in unknown:
            after[cause] = alarm
        elif alarm.told & frozenset(channels):
            after[cause] = replace(alarm, gone_at=alarm.gone_at or now)
    return after


def due(alarms: Iterable[Alert], channel: str, now: datetime) -> Digest:
    """Return what a channel is to be told, the oldest first."""
    ordered = sorted(alarms, key=lambda alarm: (alarm.seen_at, alarm.concern.cause))
    return Digest(
        raised=tuple(each for each in ordered if channel not in each.told and _is_ripe(each, now)),
        cleared=tuple(each for each in ordered if channel in each.told and _is_over(each, now)),
    )


def mark_told(alarms: Mapping[str, Alert], digest: Digest, channel: str) -> dict[str, Alert]:
    """Return the alarms once a channel has been told."""
    after = dict(alarms)
    for alarm in digest.raised:
        after[alarm.concern.cause] = replace(alarm, told=alarm.told | {channel})
    for alarm in digest.cleared:
        after[alarm.concern.cause] = replace(alarm, told=alarm.told - {channel})
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
            "raised": [_described(alarm, public_url) for alarm in digest.raised[:MOST_TOLD]],
            "clearedCount": len(digest.cleared),
            "cleared": [_described(alarm, public_url) for alarm in digest.cleared[:MOST_TOLD]],
        },
    )


def trial(*, shop: str, public_url: str, now: datetime) -> Message:
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


def _is_ripe(alarm: Alert, now: datetime) -> bool:
    lasted = abs(now - alarm.seen_at)  # a clock that was set back must not keep an alarm waiting
    return alarm.gone_at is None and lasted >= _PATIENCE.get(alarm.concern.kind, timedelta(0))


def _is_over(alarm: Alert, now: datetime) -> bool:
    return alarm.gone_at is not None and abs(now - alarm.gone_at) >= _CALM


def _subject(digest: Digest) -> str:
    raised, cleared = len(digest.raised), len(digest.cleared)
    if not raised:
        return "All clear" if cleared == 1 else f"All clear: {cleared} things"
    also = f", {cleared} all clear" if cleared else ""
    if raised == 1:
        return f"{_name(digest.raised[0].concern.kind)} needs you{also}"
    return f"{raised} things need you{also}"


def _text(digest: Digest, public_url: str) -> Sequence[str]:
    lines: list[str] = []
    if digest.raised:
        lines.append("This needs you:")
        for alarm in digest.raised[:MOST_TOLD]:
            lines += ["", *_paragraph(alarm.concern, public_url), f"  {alarm.concern.advice}"]
        lines += _rest(len(digest.raised))
    if digest.cleared:
        lines += ["", "This is settled:"] if lines else ["This is settled:"]
        for alarm in digest.cleared[:MOST_TOLD]:
            lines += ["", *_paragraph(alarm.concern, public_url)]
        lines += _rest(len(digest.cleared))
    return lines


def _paragraph(concern: Issue, public_url: str) -> Sequence[str]:
    mode = " (test mode)" if concern.livemode is False else ""
    return [
        f"* {_name(concern.kind)}{mode}: {concern.words}",
        f"  Since {concern.since:%Y-%m-%d %H:%M} UTC. {url(public_url, concern)}",
    ]


def _rest(count: int) -> Sequence[str]:
    return ["", f"And {count - MOST_TOLD} more: see the dashboard."] if count > MOST_TOLD else []


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


def _described(alarm: Alert, public_url: str) -> Mapping[str, Any]:
    concern = alarm.concern
    return {
        "kind": concern.kind.value,
        "subjectId": concern.subject_id,
        "livemode": concern.livemode,
        "words": concern.words,
        "advice": concern.advice,
        "since": moments.to_text(concern.since),
        "url": url(public_url, concern),
    }
