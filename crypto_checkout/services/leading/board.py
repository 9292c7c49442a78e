"""Show the other processes what only the leader sees: how far each chain is, and how its providers are.

The leader writes it into the database every few seconds, and soon when a chain stops or goes on; the others read it
with their standing, each second. Moments move by the difference of the two machines' clocks.
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
from crypto_checkout.core.upkeep.leader import Standing
from crypto_checkout.log import get_logger
from crypto_checkout.services.alerts.server_issues import ProviderStatus
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.services.loops import every
from crypto_checkout.store.database import Database
from crypto_checkout.store.upkeep import leader

log = get_logger("leader")

_LOOK_EVERY_SECONDS = 1.0
_SHOW_EVERY = timedelta(seconds=5)
_MOMENTS = ("seen_at", "uncompared_since", "looking_since")


@dataclass(frozen=True, slots=True)
class Sight:
    """The state that a process itself sees beside its watchers: providers by chain id, and what only live mode has."""

    providers: Mapping[int, Callable[[], Sequence[ProviderStatus]]] = field(default_factory=dict)
    collecting: Callable[[], Mapping[int, str]] = dict
    foreign_index: Callable[[], int | None] = lambda: None


@dataclass(frozen=True, slots=True)
class _ShownProvider:
    """A provider's health as another process saw it."""

    name: str
    failures: int
    is_resting: bool
    last_error: str | None


class Board:
    """The notices of the leader: what it alone sees it writes here, and the others read it."""

    def __init__(self, db: Database, watchers: Sequence[Watcher], own: Sight, clock: Clock) -> None:
        self._db = db
        self._watchers = watchers
        self._own = own
        self._clock = clock
        self._read: str | None = None
        self._there: Mapping[str, Any] | None = None  # None while this process sees for itself
        self._shown: object = None
        self._shown_at: datetime | None = None

    @property
    def sight(self) -> Sight:
        """The state that the leader sees, whichever process that is."""
        return Sight(
            {chain_id: partial(self._providers, chain_id) for chain_id in self._own.providers},
            self._collecting,
            self._foreign_index,
        )

    # --- the leader's side -------------------------------------------------------------------------------------------

    async def run(self) -> Never:
        """Show what this process sees, until cancelled."""
        self._shown = self._shown_at = None
        await every(
            _LOOK_EVERY_SECONDS, self.show, log=log, failure="the other processes could not be shown the chains"
        )

    async def show(self) -> None:
        """Write what this process sees, if that is due."""
        statuses = [watcher.status for watcher in self._watchers]
        outline = [(each.stopped, each.unwritten, each.error is None, each.lag is None) for each in statuses]
        now = self._clock()
        if outline == self._shown and self._shown_at is not None and abs(now - self._shown_at) < _SHOW_EVERY:
            return
        text = json.dumps(
            {
                "at": moments.to_text(now),
                "chains": {each.chain_id: _written(each) for each in statuses},
                "providers": {
                    chain_id: [[each.name, each.failures, each.is_resting, each.last_error] for each in health()]
                    for chain_id, health in self._own.providers.items()
                },
                "collecting": dict(self._own.collecting()),
                "foreign_index": self._own.foreign_index(),
            }
        )
        await self._db.write(lambda unit: leader.show(unit, text))
        self._shown, self._shown_at = outline, now

    # --- the others' side --------------------------------------------------------------------------------------------

    def read(self, standing: Standing) -> None:
        """Take what the leader shows, unless this process leads."""
        if standing.term is not None:
            self._read = self._there = None
            return
        if standing.seen == self._read:
            return
        self._read = standing.seen
        there = json.loads(standing.seen)
        if "at" not in there:
            return
        self._there = there
        ahead = self._clock() - moments.from_text(there["at"])
        for watcher in self._watchers:
            shown = there["chains"].get(str(watcher.status.chain_id))
            if shown is not None:
                watcher.adopt(_status(watcher.status, shown, ahead))

    def _providers(self, chain_id: int) -> Sequence[ProviderStatus]:
        if self._there is None:
            return self._own.providers[chain_id]()
        return [_ShownProvider(*each) for each in self._there["providers"].get(str(chain_id), ())]

    def _collecting(self) -> Mapping[int, str]:
        if self._there is None:
            return self._own.collecting()
        return {int(chain_id): words for chain_id, words in self._there["collecting"].items()}

    def _foreign_index(self) -> int | None:
        own = self._own.foreign_index()
        there: int | None = None if self._there is None else self._there["foreign_index"]
        return own if there is None else there


def _written(status: ChainStatus) -> dict[str, Any]:
    return {
        name: moments.to_text(value) if isinstance(value, datetime) else value for name, value in asdict(status).items()
    }


def _status(own: ChainStatus, shown: Mapping[str, Any], ahead: timedelta) -> ChainStatus:
    """Return a status that another process wrote, by this one's clock; of another version, what is known here."""
    known = {name: value for name, value in shown.items() if name in _FIELDS}
    for name in _MOMENTS:
        if known.get(name) is not None:
            known[name] = moments.from_text(known[name]) + ahead
    return replace(own, **known)


_FIELDS = frozenset(ChainStatus.__dataclass_fields__) - {"chain_id", "name"}
