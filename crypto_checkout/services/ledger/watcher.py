"""Follow one chain and store the evidence in its blocks: the loop at the heart of the product.

Each turn reads the stretch of blocks after the cursor (`services.ledger.reading`), has `core.ledger.follow` compare it
with the blocks already processed, and writes blocks, payments, verdicts, events and the new cursor in one unit of work.
The cursor never passes a block that couldn't be read.

While no session is open, nobody waits for a payment, and the chain is looked at seldom; a new one ends that at once.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, Protocol, assert_never

from crypto_checkout import metrics
from crypto_checkout.core.errors import ChainMoved, RecoverableError
from crypto_checkout.core.ledger.chain_status import ChainStatus
from crypto_checkout.core.ledger.follow import Advance, Head, Header, Refetch, Rollback, follow
from crypto_checkout.log import get_logger
from crypto_checkout.services.ledger import evidence
from crypto_checkout.services.ledger.ancestor import TooDeepReorg, check_lower_head, rollback_target
from crypto_checkout.services.ledger.evidence import NOTHING, Evidence, EvidenceReader
from crypto_checkout.services.ledger.internal_transfers import InternalTransfers
from crypto_checkout.services.ledger.judge import Judge, is_awaited
from crypto_checkout.services.ledger.reading.ahead import AheadReader
from crypto_checkout.services.ledger.reading.late_round import LateChain, LateRound
from crypto_checkout.services.ledger.reading.pauses import Pauses
from crypto_checkout.services.ledger.reading.progress import WatcherProgress
from crypto_checkout.services.ledger.reading.reader import StretchReader
from crypto_checkout.services.ledger.reading.stretch import Stretch
from crypto_checkout.services.ledger.second_reading import SecondReading
from crypto_checkout.services.ledger.watched_addresses import WatchedAddresses
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import cursors, late_pages
from crypto_checkout.store.ledger.cursors import Cursor

log = get_logger("watcher")

_LOOK_FOR_ANCHOR_SECONDS = 2.0
_MOST_UNCOMPARED = 2
_MOST_MOVED = 2


class BlockSource(LateChain, AheadReader, Protocol):
    """A chain as its watcher reads it; `chain.evm.chain` and `chain.sandbox.chain` implement it."""


class Watcher:
    """The loop of one chain.

    Args:
        db: the ledger.
        chain: the chain; `chain_id` is its id, and `name` its name, for people.
        judge: moves this chain's sessions.
        livemode: the mode of the sessions whose addresses are watched.
        poll_seconds: the pause once the head is processed; `rest_seconds` the one while no session is open.
        start_block: the first block to process at the very first start.
        clock: the time; `monotonic` seconds since some moment.
        idle_seconds: 0 writes every processed block. Otherwise blocks without any evidence are written at least this
            often: the sandbox chain has one every second, which should not wear out a disk.
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
        rest_seconds: float = 0,
        agree_above_fiat: Decimal = Decimal(0),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._chain = chain
        self._judge = judge
        self._chain_id = chain_id
        self._watched = WatchedAddresses(db, chain_id, livemode)
        balances = InternalTransfers(
            db, chain, chain_id, self._watched, SecondReading(db, chain, chain_id, self._watched)
        )
        self._evidence = EvidenceReader(db, chain, chain_id, balances, agree_above_fiat=agree_above_fiat)
        self._late = LateRound(
            db, chain, chain_id, livemode=livemode, agree_above_fiat=agree_above_fiat, clock=monotonic
        )
        self._pauses = Pauses(db, chain_id, livemode=livemode, poll_seconds=poll_seconds, rest_seconds=rest_seconds)
        self._start_block = start_block
        self._clock = clock
        self._idle = timedelta(seconds=idle_seconds)
        self._turn = asyncio.Lock()
        self._cursor: Cursor | None = None
        self._stored_hash: str | None = None
        self._unwritten: list[Header] = []
        self._reader = StretchReader(chain, monotonic)
        self._oldest = -1
        self._uncompared = 0
        self._moved = 0
        self._written_at = clock()
        self._progress = WatcherProgress(chain_id, name, clock)
        self._is_followed_elsewhere = False

    @property
    def status(self) -> ChainStatus:
        """The progress so far."""
        return self._progress.status

    def adopt(self, status: ChainStatus) -> None:
        """Take the progress of the process that follows the chain; here only single turns are taken, on request."""
        self._progress.adopt(status)
        self._is_followed_elsewhere = True

    def wake(self) -> None:
        """End the pause: take the next turn now."""
        self._pauses.woken.set()

    def session_made(self) -> None:
        """Look soon: a session was made, and while none was open, the chain was looked at seldom."""
        self._pauses.session_made()

    async def run(self) -> None:
        """Follow the chain from where the database is until cancelled; this may begin again.

        After a reorg that is too deep it only retries (`status.stopped`).
        """
        async with self._turn:
            self._start_over()
            self._is_followed_elsewhere = False
        failures = 0
        while True:
            self._pauses.woken.clear()
            try:
                more = await self.turn()
                failures = 0
                if not more:
                    await self._turn_late()
            except TooDeepReorg as error:
                failures += 1
                self._stop(error)
                more = False
            except Exception as error:  # noqa: BLE001 - no error may end the loop of a chain  # a loop's boundary
                failures += 1
                self._progress.failed(error, failures)
                more = False
            if not more:
                await self._pause(failures)

    def _start_over(self) -> None:
        """Forget what only this process knows: another one may have followed the chain meanwhile."""
        self._cursor, self._unwritten = None, []
        for each in (self._reader, self._watched, self._progress):
            each.forget()

    async def _turn_late(self) -> None:
        """Look at old addresses. If that fails, the chain itself is still followed."""
        try:
            await self.turn_late()
        except RecoverableError as error:
            log.info("old addresses have to wait", chain=self._chain_id, error=str(error))

    async def _pause(self, failures: int) -> None:
        """Wait for the next turn; on a stopped chain, only until another process has reanchored it."""
        left = await self._pauses.seconds(failures)
        while self.status.stopped and left > _LOOK_FOR_ANCHOR_SECONDS and not self._pauses.woken.is_set():
            await self._pauses.wait(_LOOK_FOR_ANCHOR_SECONDS)
            left -= _LOOK_FOR_ANCHOR_SECONDS
            if await self._has_been_moved():
                return
        await self._pauses.wait(left)

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
        self._progress.stopped(error)
        self._chain.doubt("it shows another chain than the one that was followed")

    async def turn(self) -> bool:
        """Process one batch of blocks; return whether more are available at once.

        Raises RecoverableError when the chain can't be read, and TooDeepReorg; no evidence was written then.
        """
        async with self._turn:
            if self._is_followed_elsewhere:
                self._start_over()
            with self._reader.whole.kept():
                self._progress.looking()
                head = await self._reader.whole.newest_block(self._processed())
                # On a stopped chain the stored cursor may have been moved: `services.ledger.reanchor`.
                cursor = (None if self.status.stopped else self._cursor) or await self._load_cursor()
                if cursor is None:
                    cursor = await self._begin(head)
                self._cursor = cursor
                more = await self._doubting(cursor, head)
            self._progress.turn_ended(head.number, self._processed())
            return more

    def _processed(self) -> int | None:
        return None if self._cursor is None else self._cursor.number

    async def _doubting(self, cursor: Cursor, head: Head) -> bool:
        """Follow the chain. A node whose blocks contradict each other again and again rests, if there is another."""
        try:
            more = await self._follow(cursor, head)
        except RecoverableError as error:
            if self._reader.whole.was_ahead:
                log.info("asking again", chain=self._chain_id, error=str(error))
                self._reader.whole.drop()
                return True
            self._moved += isinstance(error, ChainMoved)
            if self._moved >= _MOST_MOVED:
                self._moved = 0
                self._chain.doubt("its blocks contradict each other")
            raise
        self._moved = 0
        return more

    async def turn_late(self) -> bool:
        """Look at old addresses, if it is time for that; return whether it was.

        Raises RecoverableError when the chain can't be read; nothing was written then.
        """
        async with self._turn:
            if self._cursor is None or self._unwritten or self.status.stopped:
                return False
            return await self._late.turn(self._cursor, self._judge, self._check_stored)

    def held(self) -> asyncio.Lock:
        """Return the lock that keeps the watcher from taking a turn: `async with watcher.held(): …`."""
        return self._turn

    async def flush(self) -> None:
        """Write the blocks that an idle watcher has held back."""
        async with self._turn:
            if self._unwritten and self._cursor is not None:
                await self._write(NOTHING, self._cursor, self._unwritten)

    async def _load_cursor(self) -> Cursor | None:
        def read(unit: ReadUnit) -> tuple[Cursor | None, Cursor | None]:
            return cursors.cursor(unit, self._chain_id), cursors.oldest(unit, self._chain_id)

        stored, oldest = await self._db.read(read)
        self._stored_hash = None if stored is None else stored.hash
        self._oldest = -1 if oldest is None else oldest.number
        self._unwritten = []
        return stored

    async def _begin(self, head: Head) -> Cursor:
        """Set the first cursor: the head, or the block before the configured one."""
        number = head.number if self._start_block == "latest" else max(0, self._start_block - 1)
        (header,) = await self._chain.headers([number])
        first = Cursor.at(header, head)

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
        await self._watched.catch_up(cursor.header)
        groups = self._watched.as_they_are(cursor.header)
        stretch = await self._reader.next(cursor.header, head, self._oldest, groups, [*self._watched.unread])
        outcome = follow(cursor.number, cursor.hash, stretch.links)
        match outcome:
            case Advance():
                if stretch.is_whole:
                    self._reader.whole.begin(stretch.last.number, head.number, groups)
                await self._advance(cursor, stretch, head)
            case Rollback():
                await self._roll_back(cursor, head)
            case Refetch():
                log.info("asking again", chain=self._chain_id, error=outcome.reason)
                self._reader.whole.drop()
                return False
            case _:
                assert_never(outcome)
        is_last = stretch.last.number >= head.number and not self._reader.whole.is_head_old
        return not is_last or isinstance(outcome, Rollback)

    async def _compare_tip(self, cursor: Cursor, head: Head) -> None:
        (header,) = [head.header] if head.header else await self._chain.headers([cursor.number])
        if header.hash != cursor.hash:
            await self._roll_back(cursor, head)
        elif head.final_number != cursor.final_number:
            await self._write(NOTHING, replace(cursor, final_number=head.final_number), self._unwritten)

    async def _advance(self, cursor: Cursor, stretch: Stretch, head: Head) -> None:
        found = await self._evidence.of(stretch)
        newest = Cursor.at(stretch.last, head, cursor.compared_time)
        if found.is_compared:
            newest = replace(newest, compared_time=newest.time)
        self._note_comparison(found, newest)
        headers = [*self._unwritten, *stretch.headers][-cursors.KEPT_BLOCKS :]
        # Whatever fails from here on, the database's cursor is the truth: the next turn begins by reading it.
        self._cursor, self._unwritten = None, []
        if found or await self._must_write(newest):
            await self._write(found, newest, headers)
        else:
            self._cursor, self._unwritten = newest, headers
        self._reader.processed(stretch)
        self._progress.advanced(newest.number - cursor.number, head.number - newest.number, len(found.payments))

    def _note_comparison(self, found: Evidence, newest: Cursor) -> None:
        """Note whether balances were compared. Where they can't be, only whole blocks show coins."""
        is_missing = found.is_compared is False
        self._progress.compared(is_missing=is_missing and newest.compared_time is not None)
        self._uncompared = self._uncompared + 1 if is_missing else 0
        if self._uncompared >= _MOST_UNCOMPARED and self._chain.reads_ranges:
            self._chain.stop_reading_ranges("balances can't be compared")

    async def _must_write(self, newest: Cursor) -> bool:
        """Tell whether to write blocks without evidence: it is time, or something waits for depth or expiry."""
        if not self._idle or self._clock() - self._written_at >= self._idle:
            return True

        return await self._db.read(lambda unit: is_awaited(unit, self._chain_id, newest))

    async def _write(self, found: Evidence, to: Cursor, headers: Sequence[Header]) -> None:
        def advance(unit: WriteUnit) -> None:
            before = self._check_stored(unit)
            # One unit of work: a cursor that was stored without its evidence would lose payments for good.
            if self._chain.reads_ranges:
                late_pages.begin(unit, self._chain_id, before.number)
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
        self._reader.forget()
        self._cursor, self._stored_hash = back, back.hash
        metrics.CHAIN_REORGS.labels(self._chain_id).inc()
        log.warning(
            "the chain was reorganised",
            chain=self._chain_id,
            block=ancestor,
            blocks=cursor.number - ancestor,
            sessions=touched,
        )

    def _check_stored(self, unit: WriteUnit) -> Cursor:
        """Return the stored cursor; refuse to write over one that another process has moved meanwhile."""
        stored = cursors.cursor(unit, self._chain_id)
        assert stored is not None, "the first turn stored one"
        if stored.hash != self._stored_hash:
            self._cursor = None
            raise ChainMoved("another process has moved the last processed block")
        return stored
