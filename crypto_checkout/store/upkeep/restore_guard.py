"""The numbers that a database has come to, and the safety of one that was restored to an earlier state."""

from collections.abc import Collection

from crypto_checkout.core import moments
from crypto_checkout.store.data_folder import life
from crypto_checkout.store.data_folder.restore_guard import LastNumbers
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.owner import logins
from crypto_checkout.store.upkeep import leader

_GAP = 1_000_000


def last_numbers(unit: ReadUnit) -> LastNumbers | None:
    """Return the numbers that the database has come to; None before it has a life."""
    row = unit.one(
        """
        SELECT
            id,
            since,
            COALESCE((SELECT MAX(seq) FROM events), 0) AS events,
            COALESCE((SELECT MAX(seq) FROM audit), 0) AS audit
        FROM database_life
        WHERE only_row = 1
        """
    )
    if row is None:
        return None
    return LastNumbers(row["id"], row["since"], row["events"], row["audit"], leader.reports(unit))


def revoked_keys(unit: ReadUnit) -> frozenset[str]:
    """Return the IDs of the revoked keys."""
    return frozenset(row["id"] for row in unit.all("SELECT id FROM api_keys WHERE revoked_at IS NOT NULL"))


def keys_that_work_again(unit: ReadUnit, revoked: Collection[str]) -> list[str]:
    """Return those of the revoked keys that this database has as good ones."""
    good = {row["id"] for row in unit.all("SELECT id FROM api_keys WHERE revoked_at IS NULL")}
    return sorted(good.intersection(revoked))


def make_safe(unit: WriteUnit, known: LastNumbers, now: LastNumbers) -> int:
    """End all logins of a database that was restored, and let no number be given again; return how many logins ended.

    Polling clients hold cursors from before, and some logins may have been ended since. Its life goes on with a later
    beginning, by which other processes see that this was done. The term of a leader from before is over, because it
    knows the chains as of later.
    """
    pass_numbers_over(unit, known, now)
    leader.end_term(unit)
    return logins.end_all(unit)


def pass_numbers_over(unit: WriteUnit, known: LastNumbers, now: LastNumbers) -> None:
    """Let no number be given again of those that a database may have lost."""
    unit.run("UPDATE sqlite_sequence SET seq = seq + :gap", {"gap": max(0, known.events - now.events) + _GAP})
    leader.pass_reports(unit, known.reports)
    life.begin(unit, now.life, after=max(moments.from_text(each.since) for each in (known, now)))
