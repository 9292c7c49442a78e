"""Follow one chain and store the evidence in its blocks: the loop at the heart of the product.

Each turn fetches the blocks after the cursor, has `core.ledger.follow` compare them with the ones already processed,
and writes blocks, payments, verdicts, events and the new cursor in one unit of work. The cursor never passes a block
that couldn't be read.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, Protocol, assert_never

from crypto_checkout import metrics
from crypto_checkout.core.errors import ChainMoved, DatabaseFailed, RecoverableError
from crypto_checkout.core.ledger.chain_status import ChainStatus
from crypto_checkout.core.ledger.follow import Advance, Block, Head, Header, Refetch, Rollback, follow
from crypto_checkout.log import get_logger
from crypto_checkout.services.ledger import evidence
from crypto_checkout.services.ledger.ancestor import TooDeepReorg, check_lower_head, rollback_target
from crypto_checkout.services.ledger.evidence import NOTHING, Evidence, EvidenceReader
from crypto_checkout.services.ledger.judge import Judge
from crypto_checkout.services.loops import pause
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors
from crypto_checkout.store.ledger.cursors import Cursor

log = get_logger("watcher")

# An outage of any length is over within this time of its end.
_LONGEST_PAUSE_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.25
_CATCHING_UP_BLOCKS = 50
_PROGRESS_EVERY = timedelta(seconds=5)
_LOOK_FOR_ANCHOR_SECONDS = 2.0


class BlockSource(evidence.TransferEvidence, Protocol):
    """A chain as its watcher reads it; `chain.evm.chain` and `chain.sandbox.chain` implement it."""

    batch_blocks: int

    async def head(self) -> Head:
        """Return the newest block number, and the newest final one."""

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Return the headers at these heights."""

    async def blocks(self, first: int, last: int) -> list[Block]:
        """Return the blocks of a range, both ends included."""


@dataclass(frozen=True, slots=True)
class _Prefetch:
    """A fetch of the blocks from `first` on, started before the turn that needs them."""

    first: int
    fetching: asyncio.Future[list[Block]]


class Watcher:
    """The loop of one chain.

    Args:
        db: the ledger.
        chain: the chain.
        judge: moves this chain's sessions.
        chain_id: the chain's id.
        livemode: the mode of the sessions whose addresses are watched.
        name: the chain's name, for people.
        poll_seconds: the pause once the head is processed.
        start_block: the first block to process on the very first start.
        clock: the time.
        idle_seconds: 0 writes every processed block. Otherwise blocks without any evidence are written at least this
            often: the sandbox chain has one every second, and an idle shop should not wear out its disk.
        agree_above_fiat: the price above which several providers have to agree, where the chain is set up for that.

    """

    def __init__(
        self,
        db: Database,
        chain: BlockSource,
        judge: Judge,
        *,
        chain_id: int,
        livemode: bool,
        name: str,
        poll_seconds: float,
        start_block: int | Literal["latest"],
        clock: Callable[[], datetime],
        idle_seconds: float = 0,
        agree_above_fiat: Decimal = Decimal(0),
    ) -> None:
        self._db = db
        self._chain = chain
        self._judge = judge
        self._chain_id = chain_id
        self._evidence = EvidenceReader(db, chain, chain_id, livemode=livemode, agree_above_fiat=agree_above_fiat)
        self._poll_seconds = poll_seconds
        self._start_block = start_block
        self._clock = clock
        self._idle = timedelta(seconds=idle_seconds)
        self._woken = asyncio.Event()
        self._turn = asyncio.Lock()
        self._cursor: Cursor | None = None
        self._stored_hash: str | None = None
        self._unwritten: list[Header] = []
        self._ahead: _Prefetch | None = None
        self._written_at = clock()
        self._progress_at = clock()
        self.status = ChainStatus(chain_id, name, None, None, None, None, stopped=False)

    def wake(self) -> None:
        """End the pause: take the next turn now."""
        self._woken.set()

    async def run(self) -> None:
        """Follow the chain until cancelled. After a reorg that is too deep it only retries (`status.stopped`)."""
        failures = 0
        while True:
            self._woken.clear()
            try:
                more = await self.turn()
                failures = 0
            except TooDeepReorg as error:
                failures += 1
                self._stop(error)
                more = False
            except Exception as error:  # noqa: BLE001 - no error may end the loop of a chain  # a loop's boundary
                failures += 1
                self._note_failure(error, failures)
                more = False
            if not more:
                await self._pause(failures)

    async def _pause(self, failures: int) -> None:
        """Wait for the next turn; on a stopped chain, only until another process has reanchored it."""
        left = self._pause_seconds(failures)
        while self.status.stopped and left > _LOOK_FOR_ANCHOR_SECONDS and not self._woken.is_set():
            await pause(_LOOK_FOR_ANCHOR_SECONDS, self._woken)
            left -= _LOOK_FOR_ANCHOR_SECONDS
            if await self._has_been_moved():
                return
        await pause(left, self._woken)

    async def _has_been_moved(self) -> bool:
        try:
            stored = await self._db.read(lambda unit: cursors.cursor(unit, self._chain_id))
        except RecoverableError:
            return False
        return stored is not None and stored.hash != self._stored_hash

    def _stop(self, error: TooDeepReorg) -> None:
        """Stop the chain, and ask another provider after the pause: one node alone may be at fault.

        Nothing is written until a provider shows a chain that extends the ledger.
        """
        if not self.status.stopped:
            log.critical("chain stopped", chain=self._chain_id, error=str(error))
        self.status = replace(self.status, error=str(error), stopped=True)
        self._chain.doubt("it shows another chain than the one that was followed")

    async def turn(self) -> bool:
        """Process one batch of blocks; return whether more are available at once.

        Raises RecoverableError when the chain can't be read, and TooDeepReorg; no evidence was written then.
        """
        async with self._turn, self._dropping_prefetch():
            self.status = self.status.looking(self._clock())
            head = await self._chain.head()
            # On a stopped chain the stored cursor may have been moved: `services.ledger.reanchor`.
            cursor = (None if self.status.stopped else self._cursor) or await self._load_cursor()
            if cursor is None:
                cursor = await self._begin(head)
            self._cursor = cursor
            more = await self._follow(cursor, head)
            self._note_head(head)
            return more

    def held(self) -> asyncio.Lock:
        """Return the lock that keeps the watcher from taking a turn: `async with watcher.held(): …`."""
        return self._turn

    async def flush(self) -> None:
        """Write the blocks that an idle watcher has held back."""
        async with self._turn:
            await self._stop_fetching()
            if self._unwritten and self._cursor is not None:
                await self._write(NOTHING, self._cursor, self._unwritten)

    async def _load_cursor(self) -> Cursor | None:
        stored = await self._db.read(lambda unit: cursors.cursor(unit, self._chain_id))
        self._stored_hash = None if stored is None else stored.hash
        self._unwritten = []
        return stored

    async def _begin(self, head: Head) -> Cursor:
        """Set the first cursor: the head, or the block before the configured one."""
        number = head.number if self._start_block == "latest" else max(0, self._start_block - 1)
        (header,) = await self._chain.headers([number])
        first = _cursor(header, head)

        def begin(unit: WriteUnit) -> None:
            cursors.remember(unit, self._chain_id, [header])
            cursors.move(unit, self._chain_id, first)

        await self._db.write(begin)
        self._stored_hash = first.hash
        log.info("watching from here", chain=self._chain_id, block=number)
        return first

    async def _follow(self, cursor: Cursor, head: Head) -> bool:
        if head.number <= cursor.number:
            # At the same height the block can have been replaced. A lower head mostly means that the node lags.
            if head.number == cursor.number:
                await self._compare_tip(cursor, head)
            else:
                kept = await self._db.read(lambda unit: cursors.remembered(unit, self._chain_id))
                await check_lower_head(self._chain, self._chain_id, kept, cursor, head)
            return False
        blocks = await self._next_blocks(cursor.number + 1, head.number)
        last = blocks[-1].header.number
        outcome = follow(cursor.number, cursor.hash, [block.header for block in blocks])
        match outcome:
            case Advance():
                self._fetch_ahead(last + 1, head.number)
                await self._advance(cursor, blocks, head)
            case Rollback():
                await self._roll_back(cursor, head)
            case Refetch():
                log.info("asking again", chain=self._chain_id, error=outcome.reason)
                return False
            case _:
                assert_never(outcome)
        return last < head.number or isinstance(outcome, Rollback)

    async def _next_blocks(self, first: int, head_number: int) -> list[Block]:
        """Return the blocks from one on, from the prefetch where it has them."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.first == first:
            return await ahead.fetching
        if ahead is not None:
            ahead.fetching.cancel()
        return await self._chain.blocks(first, min(head_number, first + self._chain.batch_blocks - 1))

    def _fetch_ahead(self, first: int, head_number: int) -> None:
        """Begin to fetch the next blocks while the current ones are written."""
        if first <= head_number:
            last = min(head_number, first + self._chain.batch_blocks - 1)
            self._ahead = _Prefetch(first, asyncio.ensure_future(self._chain.blocks(first, last)))

    @asynccontextmanager
    async def _dropping_prefetch(self) -> AsyncIterator[None]:
        """Cancel the prefetch if the turn fails or is cancelled, so that no fetch outlives it."""
        is_complete = False
        try:
            yield
            is_complete = True
        finally:
            if not is_complete:
                await self._stop_fetching()

    async def _stop_fetching(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.fetching.cancel()
            await asyncio.gather(ahead.fetching, return_exceptions=True)

    async def _compare_tip(self, cursor: Cursor, head: Head) -> None:
        (header,) = await self._chain.headers([cursor.number])
        if header.hash != cursor.hash:
            await self._roll_back(cursor, head)
        elif head.final_number != cursor.final_number:
            await self._write(NOTHING, replace(cursor, final_number=head.final_number), self._unwritten)

    async def _advance(self, cursor: Cursor, blocks: Sequence[Block], head: Head) -> None:
        found = await self._evidence.of(cursor.header, blocks)
        newest = _cursor(blocks[-1].header, head, cursor.compared_time)
        if found.is_compared:
            newest = replace(newest, compared_time=newest.time)
        is_missing = found.is_compared is False and newest.compared_time is not None
        self.status = self.status.with_comparison(self._clock(), is_missing=is_missing)
        headers = [*self._unwritten, *(block.header for block in blocks)][-cursors.KEPT_BLOCKS :]
        # Whatever fails from here on, the database's cursor is the truth: the next turn begins by reading it.
        self._cursor, self._unwritten = None, []
        if found or await self._must_write(newest):
            await self._write(found, newest, headers)
        else:
            self._cursor, self._unwritten = newest, headers
        self._log_progress(len(blocks), head.number - newest.number, len(found.payments))

    async def _must_write(self, newest: Cursor) -> bool:
        """Tell whether to write blocks without evidence: it is time, or a session waits for depth or expiry."""
        if not self._idle or self._clock() - self._written_at >= self._idle:
            return True

        def is_awaited(unit: ReadUnit) -> bool:
            return bool(sessions.to_judge(unit, self._chain_id, newest.tip.expiry_time))

        return await self._db.read(is_awaited)

    async def _write(self, found: Evidence, to: Cursor, headers: Sequence[Header]) -> None:
        def advance(unit: WriteUnit) -> None:
            self._check_stored(unit)
            # One unit of work: a cursor that was stored without its evidence would lose payments for good.
            cursors.remember(unit, self._chain_id, headers)
            cursors.move(unit, self._chain_id, to)
            current = found.as_of(unit, self._chain_id)
            current.store(unit, self._chain_id)
            self._judge.advance(unit, current, to.tip)

        await self._db.write(advance)
        self._cursor, self._stored_hash = to, to.hash
        self._unwritten = []
        self._written_at = self._clock()

    async def _roll_back(self, cursor: Cursor, head: Head) -> None:
        """Go back to the newest remembered block that is still on the chain, and take back all evidence above it."""
        if self._unwritten:
            await self._write(NOTHING, cursor, self._unwritten)
        kept = await self._db.read(lambda unit: cursors.remembered(unit, self._chain_id))
        ancestor = await rollback_target(self._chain, self._chain_id, kept, head)
        if ancestor == cursor.number:
            # Our last block is still on the chain: no reorg, the node showed a next block with a wrong parent.
            self._chain.doubt("its next block has another parent than the last one")
            raise ChainMoved(f"block {ancestor + 1} does not follow block {ancestor}, which is still there")

        def go_back(unit: WriteUnit) -> tuple[Cursor, int]:
            self._check_stored(unit)
            back = cursors.forget_above(unit, self._chain_id, ancestor, head.final_number)
            evidence.take_back(unit, self._chain_id, ancestor)
            return back, self._judge.roll_back(unit, ancestor, back.tip)

        back, touched = await self._db.write(go_back)
        self._cursor, self._stored_hash = back, back.hash
        metrics.CHAIN_REORGS.labels(self._chain_id).inc()
        log.warning(
            "the chain was reorganised",
            chain=self._chain_id,
            block=ancestor,
            blocks=cursor.number - ancestor,
            sessions=touched,
        )

    def _check_stored(self, unit: WriteUnit) -> None:
        """Refuse to write over a cursor that another process has moved meanwhile."""
        stored = cursors.cursor(unit, self._chain_id)
        if stored is not None and stored.hash != self._stored_hash:
            self._cursor = None
            raise ChainMoved("another process has moved the last processed block")

    def _note_head(self, head: Head) -> None:
        processed = self._cursor.number if self._cursor else None
        self.status = self.status.after_look(head.number, processed, self._clock())
        metrics.CHAIN_HEAD.labels(self._chain_id).set(head.number)
        metrics.CHAIN_PROCESSED.labels(self._chain_id).set(processed or 0)

    def _note_failure(self, error: Exception, failures: int) -> None:
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

    def _log_progress(self, blocks: int, left: int, payments: int) -> None:
        """Log the payments that were found, and while catching up, a line every few seconds."""
        now = self._clock()
        if payments:
            log.info("payments found", chain=self._chain_id, payments=payments)
        if left > _CATCHING_UP_BLOCKS and now - self._progress_at >= _PROGRESS_EVERY:
            self._progress_at = now
            log.info("catching up", chain=self._chain_id, blocks=blocks, left=left)

    def _pause_seconds(self, failures: int) -> float:
        if not failures:
            return self._poll_seconds
        longest = max(_LONGEST_PAUSE_SECONDS, self._poll_seconds)
        return min(longest, max(self._poll_seconds, _FIRST_PAUSE_SECONDS) * 2.0 ** min(failures - 1, 10))


def _cursor(header: Header, head: Head, compared_time: datetime | None = None) -> Cursor:
    return Cursor(header.number, header.hash, header.time, head.final_number, compared_time)
