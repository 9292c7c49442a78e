"""Open the wallets at the start, past every address that may have been given out, whatever happened to the database.

The files `given-out-WALLET` beside the database record how far addresses were given out. If they name another life than
the database does (`store.data_folder.life`), or are missing, the database was copied here by hand, restored by another
program, or moved without them. Then nothing shows what was given out since, so many addresses are skipped, as after a
restore on a new machine. An earlier version's files and database name no life, and belong together.

A database on a server may have several processes, each with such files in its own folder (`apply_shared_records`).
There a life never ends, and a folder without a record may begin one if another process leads: that one has made sure of
its own start. What tells that the database was restored to an earlier state is a next index lower than the one that was
seen stored before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crypto_checkout.log import get_logger
from crypto_checkout.services.checkout import unassigned_addresses
from crypto_checkout.services.checkout.addresses import Addresses
from crypto_checkout.services.checkout.payment_methods import Wallet
from crypto_checkout.services.loops import every
from crypto_checkout.store.checkout import issued_addresses, paths, unassigned, wallets
from crypto_checkout.store.data_folder import given_out, life
from crypto_checkout.store.data_folder.given_out import GivenOut, GivenOutNote
from crypto_checkout.store.data_folder.skipping import LEAST_SKIPPED, Skip
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.webhooks import events

log = get_logger("wallets")


_COPIED = (
    "this database was copied here without its record of given-out addresses: it is treated as restored, and "
    "addresses are passed over. Use `crypto-checkout restore` for copies. If the server that it was copied "
    "from still runs, stop one of the two: together they give addresses out twice"
)
_RESTORED = (
    "this data folder doesn't know how far addresses of this database were given out, or the database was restored to "
    "an earlier state: addresses are passed over. Keep the data folder of each process"
)
_PASSED = (
    "the database lacks addresses that were given out: it was restored to an earlier state, or a failover lost the "
    "last moment. They are passed over and watched"
)
_FOLLOW_EVERY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Records:
    """The records of given-out addresses, as of this start.

    `known` are the wallets whose record was there, so that their next index is safe before any chain is asked.
    `is_first` marks the first start that gives a life.
    """

    given_out: GivenOut
    known: frozenset[str]
    is_first: bool


@dataclass(frozen=True, slots=True)
class _Start:
    """A start: the life from now on, and the next index of each wallet; `passed_over` are the unknown ones' skips."""

    life: str
    is_first: bool
    next_indexes: Mapping[str, int]
    passed_over: Mapping[str, int]


async def apply_records(db: Database, folder: Path, skip: Skip, new_life: str) -> Records:
    """Move each wallet past the addresses recorded in a folder's files, or past many if nothing is recorded."""
    notes = given_out.notes(folder)
    start = await db.write(lambda unit: _apply(unit, notes, skip, new_life))
    return _begun(db, GivenOut(folder, start.life), start, notes, _COPIED)


async def apply_shared_records(
    db: Database, folder: Path, skip: Skip, new_life: str, *, is_led: bool, is_current: bool
) -> Records:
    """Do the same for a database on a server; `is_led` tells whether another process leads there already.

    `is_current` is False for a folder that others have used the database without (`services.upkeep.restore_guard`).
    """
    notes = given_out.notes(folder) if is_current else _without_life(given_out.notes(folder))
    start = await db.write(lambda unit: _apply_shared(unit, notes, skip, new_life, is_led=is_led))
    records = GivenOut(folder, start.life)
    for wallet_id, index in start.next_indexes.items():
        records.see(wallet_id, index)
    return _begun(db, records, start, notes, _RESTORED)


def _without_life(notes: Mapping[str, GivenOutNote]) -> Mapping[str, GivenOutNote]:
    """Return notes that tell how far addresses were given out at least, and no more."""
    return {wallet_id: replace(note, life=None) for wallet_id, note in notes.items()}


def _begun(db: Database, records: GivenOut, start: _Start, notes: Mapping[str, GivenOutNote], warning: str) -> Records:
    """Begin the files of a start, and log the warning for each wallet that passes addresses over."""
    db.before_commit(records.write)
    for wallet_id, index in start.next_indexes.items():
        records.begin(wallet_id, index)
    for wallet_id, skipped in start.passed_over.items():
        log.critical(warning, wallet=wallet_id, addresses=skipped, index=start.next_indexes[wallet_id])
    known = frozenset(wallet_id for wallet_id, note in notes.items() if note.next_index) - start.passed_over.keys()
    return Records(records, known, start.is_first)


async def open_wallet(db: Database, wallet: Wallet, records: Records, *, livemode: bool) -> Addresses:
    """Open a wallet whose records were applied, and record its unassigned addresses, to be watched."""
    await watch_unassigned(db, wallet, records, livemode=livemode)
    wallet_id = wallet.wallet_id
    next_index = await db.read(lambda unit: wallets.next_index(unit, wallet_id))
    records.given_out.begin(wallet_id, next_index)
    addresses = Addresses(wallet, records.given_out)
    addresses.prepare(next_index)
    return addresses


async def watch_unassigned(db: Database, wallet: Wallet, records: Records, *, livemode: bool) -> None:
    """Record the addresses of a wallet that no session has, to be watched; the log names those that were lost."""
    wallet_id = wallet.wallet_id
    own = (
        await db.read(lambda unit: issued_addresses.first_index(unit, wallet_id))
        if records.is_first and wallet.branch is not None
        else 0
    )
    await unassigned_addresses.record(db, wallet, livemode=livemode, used_before=own)
    lost = await db.write(lambda unit: unassigned.report(unit, wallet_id))
    if lost:
        log.critical(
            "addresses were given out, or passed over, that this database has no sessions for. They are watched: money "
            "there shows among the unmatched payments. If you have a newer copy of the database, restore it",
            wallet=wallet_id,
            addresses=len(lost),
            index=lost[0],
            last=lost[-1],
        )
    await _fill_paths(db, wallet)


async def _fill_paths(db: Database, wallet: Wallet) -> None:
    """Add the derivation paths of addresses that were given out before paths were recorded."""
    branch = wallet.branch
    if branch is None:
        return
    while await db.write(lambda unit: paths.fill(unit, wallet.wallet_id, branch)):
        pass


class RecordKeeper:
    """The loop of each process on a server's database that notes in its own folder what any of them gave out.

    Where the database has a lower index than was given out, because it was restored under the running server or a
    failover lost the last moment, it moves that up again. `in_use` are the wallets that give addresses out now, each
    with its mode.
    """

    def __init__(self, db: Database, records: Records, in_use: Sequence[tuple[Wallet, bool]] = ()) -> None:
        self._db = db
        self._given_out = records.given_out
        self._in_use = in_use
        self._passed_to: dict[str, int] = {}
        """Wallets whose addresses were passed over and aren't recorded as unassigned yet, each with its next index."""

    async def run(self) -> None:
        """Note it every second, until cancelled."""
        await every(_FOLLOW_EVERY_SECONDS, self.turn, log=log, failure="given-out addresses could not be noted")

    async def turn(self) -> None:
        """Note the next index of each wallet as it is stored now, and put right one that is too low."""
        stored = await self._db.read(wallets.next_indexes, quick=True)
        if self._given_out.lacking(stored):
            self._given_out.take_as_stored()
            if await self._db.write(self._pass_given_out):  # else another write has done it meanwhile
                log.critical(_PASSED)
            return
        for wallet_id, index in stored.items():
            self._given_out.see(wallet_id, index)
        pending = self._passed_to.copy()  # the writer's thread adds to it
        passed = {wallet_id: to for wallet_id, to in pending.items() if stored.get(wallet_id, 0) >= to}
        if passed:  # and committed, as the read shows
            for wallet, livemode in self._in_use:
                await unassigned_addresses.record(self._db, wallet, livemode=livemode)
            for wallet_id, to in passed.items():
                if self._passed_to[wallet_id] == to:  # else more was passed over since
                    del self._passed_to[wallet_id]

    def before_writing(self, unit: WriteUnit, *, lacks_some: bool) -> None:
        """Pass over what this process gave out before a restart, a restore or a failover of the server.

        Every address noted counts as stored then.

        `lacks_some` tells that the database may lack what others gave out in the last second, too: more are passed.
        """
        for wallet_id in self._given_out.take_as_stored():
            if lacks_some:
                index = max(wallets.next_index(unit, wallet_id), self._given_out.stored(wallet_id))
                self._move_to(unit, wallet_id, index + LEAST_SKIPPED)
        self._pass_given_out(unit)

    def _pass_given_out(self, unit: WriteUnit) -> bool:
        """Move each wallet past what is noted as stored; return whether that was needed."""
        known = wallets.next_indexes(unit)
        lacking = self._given_out.lacking(known)
        for wallet_id, index in lacking.items():
            self._move_to(unit, wallet_id, index)
            passed_over = index - known.get(wallet_id, 0)
            log.warning("addresses are passed over", wallet=wallet_id, addresses=passed_over, index=index)
        return bool(lacking)

    def _move_to(self, unit: WriteUnit, wallet_id: str, next_index: int) -> None:
        wallets.move_past(unit, wallet_id, next_index - 1)
        self._passed_to[wallet_id] = next_index


def _apply_shared(
    unit: WriteUnit, notes: Mapping[str, GivenOutNote], skip: Skip, new_life: str, *, is_led: bool
) -> _Start:
    current = life.current(unit)
    if current is None:
        life.begin(unit, new_life)
    known = wallets.next_indexes(unit)
    next_indexes, passed_over = {}, {}
    for wallet_id in sorted({*known, *notes}):
        index, note = known.get(wallet_id, 0), notes.get(wallet_id, GivenOutNote(0, None))
        is_own = note.life == current
        next_indexes[wallet_id] = least = max(index, note.next_index)  # the database may be from before the wallet
        if least and (index < note.stored_index if is_own else not is_led):
            passed_over[wallet_id] = skip.after(least, *events.span(unit), issued_addresses.busiest_hour(unit))
            next_indexes[wallet_id] += passed_over[wallet_id]
        if next_indexes[wallet_id]:
            wallets.move_past(unit, wallet_id, next_indexes[wallet_id] - 1)
    return _Start(current or new_life, current is None, next_indexes, passed_over)


def _apply(unit: WriteUnit, notes: Mapping[str, GivenOutNote], skip: Skip, new_life: str) -> _Start:
    current = life.current(unit)
    known = wallets.next_indexes(unit)
    next_indexes, passed_over = dict(known), {}
    for wallet_id in sorted({*known, *notes}):
        index = known.get(wallet_id, 0)
        note = notes.get(wallet_id)
        next_indexes[wallet_id] = index if note is None else max(index, note.next_index)
        if index and (note is None or note.life != current):
            passed_over[wallet_id] = skip.after(index, *events.span(unit), issued_addresses.busiest_hour(unit))
            next_indexes[wallet_id] += passed_over[wallet_id]
        if next_indexes[wallet_id]:
            wallets.move_past(unit, wallet_id, next_indexes[wallet_id] - 1)
    if current is None or passed_over:
        life.begin(unit, new_life)
        return _Start(new_life, current is None, next_indexes, passed_over)
    return _Start(current, is_first=False, next_indexes=next_indexes, passed_over=passed_over)
