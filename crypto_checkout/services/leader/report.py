"""The report of the leader to the followers: how far each chain is, how its providers are, and what else it found.

The leader publishes it in the database every few seconds, and soon when a chain stops or goes on. The followers receive
it with each turn of the election. Moments move by the difference of the two machines' clocks.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Never

from crypto_checkout.core import moments
from crypto_checkout.core.ledger.chain_status import ChainStatus
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.upkeep.leader import ElectionState
from crypto_checkout.log import get_logger
from crypto_checkout.services.alerts.server_issues import ProviderStatus
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.services.loops import every
from crypto_checkout.store.database import Database
from crypto_checkout.store.upkeep import leader

log = get_logger("leader")

_LOOK_EVERY_SECONDS = 1.0
_PUBLISH_EVERY = timedelta(seconds=5)
_MOMENTS = ("seen_at", "uncompared_since", "looking_since")


@dataclass(frozen=True, slots=True)
class Findings:
    """Findings of following the chains, beside the status of each: providers by chain id; of live mode the rest.

    `collecting` says by chain id why nothing is collected there; `foreign_index` is an address index that is in use
    although this database never gave it out; `unpriced` says why a coin has no price.
    """

    providers: Mapping[int, Callable[[], Sequence[ProviderStatus]]] = field(default_factory=dict)
    collecting: Callable[[], Mapping[int, str]] = dict
    foreign_index: Callable[[], int | None] = lambda: None
    unpriced: Callable[[], Mapping[str, str]] = dict


@dataclass(frozen=True, slots=True)
class _ReportedProvider:
    """A provider's health as the leader saw it."""

    name: str
    failures: int
    is_resting: bool
    last_error: str | None


class LeaderReport:
    """The report of the leader: published while this process leads, else received."""

    def __init__(self, db: Database, watchers: Sequence[Watcher], own: Findings, clock: Clock) -> None:
        self._db = db
        self._watchers = watchers
        self._own = own
        self._clock = clock
        self._received: str | None = None
        self._report: Mapping[str, Any] | None = None  # None while this process leads
        self._has_led = False
        self._published: object = None
        self._published_at: datetime | None = None

    @property
    def findings(self) -> Findings:
        """The findings of the leader, whichever process that is."""
        return Findings(
            {chain_id: partial(self._providers, chain_id) for chain_id in self._own.providers},
            self._collecting,
            self._foreign_index,
            self._unpriced,
        )

    # --- as the leader -----------------------------------------------------------------------------------------------

    async def run(self) -> Never:
        """Publish what this process knows, until cancelled."""
        self._published = self._published_at = None
        await every(_LOOK_EVERY_SECONDS, self.publish, log=log, failure="the leader's report could not be published")

    async def publish(self) -> None:
        """Publish what this process knows, if that is due."""
        statuses = [watcher.status for watcher in self._watchers]
        outline = [(each.stopped, each.unwritten, each.error is None, each.lag is None) for each in statuses]
        now = self._clock()
        is_recent = self._published_at is not None and abs(now - self._published_at) < _PUBLISH_EVERY
        if outline == self._published and is_recent:
            return
        report = {
            "at": moments.to_text(now),
            "chains": {each.chain_id: _written(each, now) for each in statuses},
            "providers": {
                chain_id: [[each.name, each.failures, each.is_resting, each.last_error] for each in health()]
                for chain_id, health in self._own.providers.items()
            },
            "collecting": dict(self._own.collecting()),
            "foreign_index": self._own.foreign_index(),
            "unpriced": dict(self._own.unpriced()),
        }
        await self._db.write(lambda unit: leader.publish(unit, report))
        self._published, self._published_at = outline, now

    # --- as a follower -----------------------------------------------------------------------------------------------

    def receive(self, state: ElectionState) -> None:
        """Take over what the leader has published, unless this process leads."""
        if state.is_leader:
            self._received, self._report, self._has_led = None, None, True
            return
        if self._has_led:
            self._has_led = False
            for watcher in self._watchers:
                watcher.adopt(watcher.status.unattended())
        if state.report == self._received:
            return
        self._received = state.report
        report = json.loads(state.report)
        if "at" not in report:
            return
        self._report = report
        ahead = self._clock() - moments.from_text(report["at"])
        for watcher in self._watchers:
            status = report["chains"].get(str(watcher.status.chain_id))
            if status is not None:
                watcher.adopt(_status(watcher.status, status, ahead))

    def _providers(self, chain_id: int) -> Sequence[ProviderStatus]:
        if self._report is None:
            return self._own.providers[chain_id]()
        return [_ReportedProvider(*each) for each in self._report["providers"].get(str(chain_id), ())]

    def _collecting(self) -> Mapping[int, str]:
        if self._report is None:
            return self._own.collecting()
        return {int(chain_id): words for chain_id, words in self._report["collecting"].items()}

    def _foreign_index(self) -> int | None:
        reported: int | None = None if self._report is None else self._report["foreign_index"]
        return self._own.foreign_index() if reported is None else reported

    def _unpriced(self) -> Mapping[str, str]:
        if self._report is None:
            return self._own.unpriced()
        unpriced: Mapping[str, str] = self._report.get("unpriced", {})  # not there in an earlier version's
        return unpriced


def _written(status: ChainStatus, now: datetime) -> dict[str, Any]:
    """Return a status as it is published. A look that may be over by the next report isn't mentioned.

    If that one doesn't come, because the database is lost or the leader is, the look would seem to last for ever.
    """
    if status.looking_since is not None and now - status.looking_since < 2 * _PUBLISH_EVERY:
        status = status.unattended()
    return {
        name: moments.to_text(value) if isinstance(value, datetime) else value for name, value in asdict(status).items()
    }


def _status(own: ChainStatus, reported: Mapping[str, Any], ahead: timedelta) -> ChainStatus:
    """Return a status that the leader reported, by this process's clock; of another version, what is known here."""
    known = {name: value for name, value in reported.items() if name in _FIELDS}
    for name in _MOMENTS:
        if known.get(name) is not None:
            known[name] = moments.from_text(known[name]) + ahead
    return replace(own, **known)


_FIELDS = frozenset(ChainStatus.__dataclass_fields__) - {"chain_id", "name"}
