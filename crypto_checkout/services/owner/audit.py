"""Keep the audit trail: each action with its actor, recorded in the unit that performs it."""

from datetime import timedelta

from crypto_checkout.core.owner.audit import COMMAND_LINE, Action, Actor, AuditEntry
from crypto_checkout.store import paging
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.owner import audit as store

_REFUSED_KEPT_FOR = timedelta(days=90)


def record(
    unit: WriteUnit,
    actor: Actor,
    action: str,
    *,
    livemode: bool | None = None,
    subject: str | None = None,
    detail: str = "",
) -> None:
    """Add an entry; `action` is a `core.owner.audit.Action` or the type of the matching event."""
    store.insert(unit, actor, action, livemode=livemode, subject=subject, detail=detail)
    if action == Action.SIGN_IN_REFUSED:
        # Any visitor can cause these entries, so they expire.
        store.forget(unit, action, unit.now - _REFUSED_KEPT_FOR)


def record_command(unit: WriteUnit, action: str, *, livemode: bool | None, subject: str, detail: str = "") -> None:
    """Add an entry for a command of the command line; call it in the unit that does the command's work."""
    record(unit, COMMAND_LINE, action, livemode=livemode, subject=subject, detail=detail)


class AuditTrail:
    """Reads the audit trail."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def listed(self, livemode: bool, window: paging.Window) -> paging.ListPage[AuditEntry]:
        """Return a page, newest first: entries about the account, and entries of this mode."""
        return await self._db.read(lambda unit: store.listed(unit, livemode, window))
