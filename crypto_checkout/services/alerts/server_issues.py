"""Issues of the running server, which no table holds: disk, database, clock, chains, providers and prices."""

import asyncio
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from crypto_checkout.core import moments
from crypto_checkout.core.alerts import issues
from crypto_checkout.core.alerts.issues import Issue, IssueKind
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.sizes import size
from crypto_checkout.core.upkeep.space import LEAST_FREE_BYTES
from crypto_checkout.services.alerts.price_watch import PriceWatch
from crypto_checkout.services.ledger.health import DAMAGED, Readiness
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.services.upkeep.backups import Backups
from crypto_checkout.services.upkeep.clock_watch import ClockWatch
from crypto_checkout.services.upkeep.disk_watch import DiskWatch
from crypto_checkout.services.upkeep.replica_watch import ReplicaWatch

_DAMAGE_ADVICE = (
    "Stop the server and restore the newest backup: crypto-checkout restore latest. Keep the damaged file, and check "
    "the disk's health before you continue."
)
_FILLING_ADVICE = "See what takes up the space and what you can do, or make the disk larger before it is full."
_REPLICA_ADVICE = (
    "If this machine were lost now, that would be lost with it. Check Litestream's service and its log. If you don't "
    "use it any more, remove its folder beside the database (.checkout.db-litestream). See the guide A warm standby."
)
_UNCOMPARED = timedelta(minutes=3)
_UNCOLLECTABLE_ADVICE = "Fix this, or remove the chain from checkout.toml. It is checked again every minute."
_UNCOMPARED_ADVICE = (
    "A provider must serve eth_call or eth_getBalance near the newest block: see `crypto-checkout doctor` and the "
    "limits of your plan, or name another one in rpc_urls."
)
_SERVER_WIDE = frozenset(
    {IssueKind.DATABASE, IssueKind.DISK, IssueKind.DESCRIPTORS, IssueKind.BACKUP, IssueKind.REPLICA, IssueKind.CLOCK}
)
_MOST_FAILURES = 3


class ProviderStatus(Protocol):
    """The health of an RPC provider; `chain.rpc.providers.ProviderHealth` implements it."""

    @property
    def name(self) -> str:
        """Its host."""

    @property
    def failures(self) -> int:
        """Failures in a row."""

    @property
    def is_resting(self) -> bool:
        """True while the others are preferred."""

    @property
    def last_error(self) -> str | None:
        """The last failure's reason."""


@dataclass(frozen=True, slots=True)
class WatchedMode:
    """The watched parts of a mode: readiness, chains, their providers by chain id, and prices.

    `price_watch` is None where prices needn't be tried, and `unpriced` returns what the leader's has found.
    `collecting` tells what keeps from collecting, by chain id.
    """

    health: Readiness
    watchers: Sequence[Watcher] = ()
    providers: Mapping[int, Callable[[], Sequence[ProviderStatus]]] = field(default_factory=dict)
    price_watch: PriceWatch | None = None
    foreign_index: Callable[[], int | None] = lambda: None
    uncollectable: Mapping[int, str] = field(default_factory=dict)
    collecting: Callable[[], Mapping[int, str]] = dict
    unpriced: Callable[[], Mapping[str, str]] = dict


@dataclass(frozen=True, slots=True)
class _ServerIssue:
    kind: IssueKind
    subject_id: str
    words: str
    advice: str | None = None


class ServerIssues:
    """The server's issues in one mode, each with the time since which this process has seen it."""

    def __init__(
        self,
        watched: WatchedMode,
        *,
        livemode: bool,
        folder: Path,
        clock: Clock,
        clock_watch: ClockWatch | None = None,
        backups: Backups | None = None,
        disk_watch: DiskWatch | None = None,
        replica_watch: ReplicaWatch | None = None,
    ) -> None:
        self._watched = watched
        self._livemode = livemode
        self._folder = folder
        self._clock = clock
        self._clock_watch = clock_watch
        self._backups = backups
        self._disk_watch = disk_watch
        self._replica_watch = replica_watch
        self._since: dict[_ServerIssue, datetime] = {}

    async def now(self) -> list[Issue]:
        """Return the issues as of now."""
        moment = self._clock()
        known = {(each.kind, each.subject_id): since for each, since in self._since.items()}
        checks = await self._watched.health.checks()
        free_bytes = await asyncio.to_thread(_free_bytes, self._folder)
        problems = {check.name: check.problem for check in checks if check.problem is not None}
        found = [
            *_storage(problems, free_bytes),
            *self._backup(),
            *self._replica(),
            *self._disk(free_bytes),
            *self._clocks(),
            *self._chains(problems),
            *self._comparisons(moment),
            *self._providers(),
            *self._prices(),
            *self._wallet(),
            *self._uncollectable(),
            *self._collecting(),
        ]
        self._since = {each: known.get((each.kind, each.subject_id), moment) for each in found}
        return [self._described(each, since) for each, since in self._since.items()]

    def dismiss(self, cause: str) -> None:
        """Forget an issue that no table holds: a jump of the clock."""
        kind, _, subject_id = cause.partition(":")
        if kind == IssueKind.CLOCK and self._clock_watch is not None:
            self._clock_watch.dismiss(subject_id)

    async def try_prices(self) -> None:
        """Try the prices of the mode's coins, where they need trying."""
        if self._watched.price_watch is not None:
            await self._watched.price_watch.try_all()

    def _backup(self) -> Iterator[_ServerIssue]:
        words = None if self._backups is None else self._backups.issue()
        if words is not None:
            yield _ServerIssue(IssueKind.BACKUP, "backup", words)

    def _replica(self) -> Iterator[_ServerIssue]:
        words = None if self._replica_watch is None else self._replica_watch.issue()
        if words is not None:
            yield _ServerIssue(IssueKind.REPLICA, "replica", words, _REPLICA_ADVICE)

    def _disk(self, free_bytes: int) -> Iterator[_ServerIssue]:
        """Yield a disk that fills up within a month; one that is almost full already is an issue of its own."""
        forecast = None if self._disk_watch is None else self._disk_watch.fills_soon
        if forecast is not None and free_bytes >= LEAST_FREE_BYTES:
            yield _ServerIssue(IssueKind.DISK, "forecast", f"{forecast.words}.", _FILLING_ADVICE)

    def _clocks(self) -> Iterator[_ServerIssue]:
        issue = None if self._clock_watch is None else self._clock_watch.issue()
        if issue is not None:
            yield _ServerIssue(IssueKind.CLOCK, issue.id, issue.words)

    def _chains(self, problems: Mapping[str, str]) -> Iterator[_ServerIssue]:
        """Yield the chains without progress, with the last error of their watchers, such as disagreeing providers."""
        for watcher in self._watched.watchers:
            status = watcher.status
            problem = problems.get(f"chain {status.chain_id}")
            if problem is not None:
                reason = f" {status.error}" if status.error and not status.stopped else ""
                yield _ServerIssue(
                    IssueKind.CHAIN, str(status.chain_id), f"{status.name} is stalled: {problem}.{reason}"
                )

    def _comparisons(self, now: datetime) -> Iterator[_ServerIssue]:
        """Yield the chains whose balances nobody has told for some minutes."""
        for watcher in self._watched.watchers:
            since = watcher.status.uncompared_since
            if since is not None and now - since >= _UNCOMPARED:
                words = (
                    f"{watcher.status.name}: no provider has returned the balances of deposit addresses since "
                    f"{moments.to_text(since)}. Until one does, payments by contracts aren't seen, and no session "
                    "expires."
                )
                yield _ServerIssue(IssueKind.PROVIDER, f"{watcher.status.chain_id} balances", words, _UNCOMPARED_ADVICE)

    def _providers(self) -> Iterator[_ServerIssue]:
        for chain_id, providers in self._watched.providers.items():
            for each in providers():
                if each.last_error is not None and (each.is_resting or each.failures >= _MOST_FAILURES):
                    words = f"The node at {each.name} is failing for chain {chain_id}: {each.last_error}."
                    yield _ServerIssue(IssueKind.PROVIDER, f"{chain_id} {each.name}", words)

    def _prices(self) -> Iterator[_ServerIssue]:
        unpriced = self._watched.unpriced()
        for coin, why in unpriced.items():
            yield _ServerIssue(IssueKind.PRICE, coin, why)
        watch = self._watched.price_watch
        jumps: Mapping[str, str] = {} if watch is None else watch.jumps()
        for pair, why in jumps.items():
            if why not in unpriced.values():
                yield _ServerIssue(IssueKind.PRICE, pair, why)

    def _wallet(self) -> Iterator[_ServerIssue]:
        index = self._watched.foreign_index()
        if index is not None:
            words = (
                f"Address number {index} of your wallet has been used, but this server never gave it out: another "
                "server seems to use the same wallet, or this database was restored from an older copy."
            )
            yield _ServerIssue(IssueKind.WALLET, "wallet", words)

    def _uncollectable(self) -> Iterator[_ServerIssue]:
        """Yield the chains that can't have deposits of cold-address mode."""
        for watcher in self._watched.watchers:
            reason = self._watched.uncollectable.get(watcher.status.chain_id)
            if reason is not None:
                words = f"{watcher.status.name} isn't offered to payers: {reason}"
                yield _ServerIssue(IssueKind.CHAIN, f"{watcher.status.chain_id} deposits", words, _UNCOLLECTABLE_ADVICE)

    def _collecting(self) -> Iterator[_ServerIssue]:
        for chain_id, words in self._watched.collecting().items():
            yield _ServerIssue(IssueKind.COLLECTOR, str(chain_id), words)

    def _described(self, issue: _ServerIssue, since: datetime) -> Issue:
        is_server_wide = issue.kind in _SERVER_WIDE
        return issues.of_server(
            issue.kind,
            issue.subject_id,
            issue.words,
            since,
            livemode=None if is_server_wide else self._livemode,
            advice=issue.advice,
        )


def _storage(problems: Mapping[str, str], free_bytes: int) -> Iterator[_ServerIssue]:
    if problems.get("database") == DAMAGED:
        yield _ServerIssue(IssueKind.DATABASE, "damage", "The database file is damaged.", _DAMAGE_ADVICE)
    elif "database" in problems:
        yield _ServerIssue(IssueKind.DATABASE, "database", f"The database is failing: {problems['database']}.")
    if "descriptors" in problems:
        words = "The server has hardly any file descriptor left: it can't open more files or connections."
        yield _ServerIssue(IssueKind.DESCRIPTORS, "descriptors", words)
    if free_bytes < LEAST_FREE_BYTES:
        left = f"{size(free_bytes)} left"
        yield _ServerIssue(IssueKind.DISK, "disk", f"The disk of the database is almost full: {left}.")


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free
