"""A watcher's progress on its chain, as its status, metrics and log lines tell it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from crypto_checkout import metrics
from crypto_checkout.core.errors import ChainMoved, DatabaseFailed, RecoverableError
from crypto_checkout.core.ledger.chain_status import ChainStatus
from crypto_checkout.log import get_logger

log = get_logger("watcher")

_CATCHING_UP_BLOCKS = 50
_PROGRESS_EVERY = timedelta(seconds=5)


class WatcherProgress:
    """The progress on one chain. `clock` is the time."""

    def __init__(self, chain_id: int, name: str, clock: Callable[[], datetime]) -> None:
        self._chain_id = chain_id
        self._clock = clock
        self._logged_at = clock()
        self.status = ChainStatus(chain_id, name, None, None, None, None, stopped=False)
        for counter in (metrics.CHAIN_FAILURES, metrics.CHAIN_REORGS):
            counter.labels(chain_id)  # shown from the start, so that the first one is an increase

    def looking(self) -> None:
        """Note that a look begins."""
        self.status = self.status.looking(self._clock())

    def forget(self) -> None:
        """Forget since when looks have failed: nobody has looked for a while."""
        self.status = self.status.unattended()

    def turn_ended(self, head: int, processed: int | None) -> None:
        """Note the node's newest block, and the last processed one."""
        self.status = self.status.after_look(head, processed, self._clock())
        self._measure(head, processed)

    def adopt(self, status: ChainStatus) -> None:
        """Take the progress of another process."""
        self.status = status
        if status.head is not None:
            self._measure(status.head, status.processed)

    def _measure(self, head: int, processed: int | None) -> None:
        metrics.CHAIN_HEAD.labels(self._chain_id).set(head)
        metrics.CHAIN_PROCESSED.labels(self._chain_id).set(processed or 0)

    def stopped(self, error: Exception) -> None:
        """Note that the node shows another chain."""
        if not self.status.stopped:
            log.critical("chain stopped", chain=self._chain_id, error=str(error))
        self.status = replace(self.status, error=str(error), stopped=True)

    def failed(self, error: Exception, failures: int) -> None:
        """Note a failed turn; `failures` of them came in a row."""
        is_expected = isinstance(error, RecoverableError)
        reason = str(error) if is_expected else f"{type(error).__name__}: {error}"
        self.status = self.status.after_failure(error, reason)
        if isinstance(error, ChainMoved):
            log.info("asking again", chain=self._chain_id, error=reason)
            return
        if isinstance(error, DatabaseFailed):
            return  # the database has logged it, and the node is not to blame
        metrics.CHAIN_FAILURES.labels(self._chain_id).inc()
        if failures == 1 or failures % 10 == 0 or not is_expected:
            log.warning("the chain can't be read", chain=self._chain_id, error=reason, exc_info=not is_expected)

    def compared(self, *, is_missing: bool) -> None:
        """Note that balances were compared, or that `is_missing`."""
        self.status = self.status.with_comparison(self._clock(), is_missing=is_missing)

    def advanced(self, blocks: int, left: int, payments: int) -> None:
        """Log the payments that were found, and while catching up, a line every few seconds."""
        now = self._clock()
        if payments:
            log.info("payments found", chain=self._chain_id, payments=payments)
        if left > _CATCHING_UP_BLOCKS and now - self._logged_at >= _PROGRESS_EVERY:
            self._logged_at = now
            log.info("catching up", chain=self._chain_id, blocks=blocks, left=left)
