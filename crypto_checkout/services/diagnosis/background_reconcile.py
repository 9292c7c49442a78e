"""Reconcile in the background: compare a few addresses with the chains every minute, so that differences show early.

Each turn compares, for each chain of live mode, the sessions whose differences are known, those with unnamed credits
since the last turn, and some of all the others in turn. Nodes lie about their newest block, so a difference counts when
it was found at two different blocks; then it is an issue, until a later comparison agrees. A turn costs a call for each
coin, and a few for addresses that hold less than was credited. It is skipped while the chain isn't followed closely.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from crypto_checkout.core.errors import RecoverableError
from crypto_checkout.core.ledger.chain_status import ChainStatus
from crypto_checkout.log import get_logger
from crypto_checkout.services.checkout.payment_methods import AcceptedChain
from crypto_checkout.services.diagnosis.reconcile import HistoricBalances, Reconciliation
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.services.loops import every
from crypto_checkout.store.checkout import issued_addresses, sessions
from crypto_checkout.store.checkout.issued_addresses import IssuedAddress
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors, differences, unnamed
from crypto_checkout.store.ledger.cursors import Cursor
from crypto_checkout.store.ledger.differences import Difference, ReconcileProgress

log = get_logger("reconcile")

_EVERY_SECONDS = 60.0
_IN_TURN = 20
_MOST_SUSPECTS = 50
_MOST_UNNAMED = 500
_MOST_LAG_BLOCKS = 5


@dataclass(frozen=True, slots=True)
class ReconciledChain:
    """A chain with its description and its watcher."""

    chain: HistoricBalances
    accepted: AcceptedChain
    watcher: Watcher


@dataclass(frozen=True, slots=True)
class _Batch:
    """The addresses of a turn, and the progress once they are compared."""

    cursor: Cursor
    addresses: tuple[IssuedAddress, ...]
    progress: ReconcileProgress


class BackgroundReconcile:
    """The loop over the chains of live mode."""

    def __init__(self, db: Database, chains: Sequence[ReconciledChain]) -> None:
        self._db = db
        self._chains = chains
        self._reconciliation = Reconciliation(
            db, [(each.chain, each.accepted) for each in chains], livemode=True, progress=lambda *_: None
        )

    async def run(self) -> None:
        """Take a turn every minute, until cancelled."""
        await every(_EVERY_SECONDS, self.turn, log=log, failure="the ledger could not be compared with the chains")

    async def turn(self) -> None:
        """Compare a few addresses on each chain that is followed closely."""
        for each in self._chains:
            if not _is_close(each.watcher.status):
                continue
            try:
                await self._compare(each)
            except RecoverableError as error:
                log.info("not compared with the chain this time", chain=each.accepted.id, error=str(error))

    async def _compare(self, each: ReconciledChain) -> None:
        chain_id = each.accepted.id
        batch = await self._db.read(lambda unit: _next(unit, chain_id))
        if batch is None:
            return
        found = await self._reconciliation.compare_some(each.chain, each.accepted, batch.cursor, batch.addresses)
        if found is None:
            return
        differing = [
            Difference(balance.session_id, balance.asset, balance.difference)
            for balance in found
            if balance.session_id is not None
        ]

        def store(unit: WriteUnit) -> Sequence[Difference]:
            compared = [address.session_id for address in batch.addresses]
            confirmed = differences.record(unit, chain_id, compared, differing, batch.cursor.header)
            differences.save_progress(unit, chain_id, batch.progress)
            return confirmed

        for each_found in await self._db.write(store):
            reason = f"{each_found.session_id}: the chain shows {each_found.units:+} units of {each_found.asset.symbol}"
            log.error("the ledger differs from the chain", chain=chain_id, error=reason)


def _is_close(status: ChainStatus) -> bool:
    is_read = status.error is None and not status.stopped
    return is_read and status.lag is not None and status.lag <= _MOST_LAG_BLOCKS


def _next(unit: ReadUnit, chain_id: int) -> _Batch | None:
    """Return the addresses to compare now; None if there is nothing to do."""
    cursor = cursors.cursor(unit, chain_id)
    if cursor is None:
        return None
    before = differences.progress(unit, chain_id) or ReconcileProgress(0, cursor.number)
    first = [
        *differences.suspects(unit, chain_id, _MOST_SUSPECTS),
        *unnamed.sessions_between(unit, chain_id, before.block_number, cursor.number, _MOST_UNNAMED),
    ]
    in_turn = issued_addresses.listed(unit, True, before.session_seq, _IN_TURN)
    known = {each.session_id for each in in_turn}
    found = sessions.by_ids(unit, set(first) - known).values()
    addresses = (*in_turn, *map(issued_addresses.of_session, found))
    if not addresses and before.session_seq == 0:
        return None
    place = in_turn[-1].seq if len(in_turn) == _IN_TURN else 0
    return _Batch(cursor, addresses, ReconcileProgress(place, cursor.number))
