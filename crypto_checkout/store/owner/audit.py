"""The audit trail. Entries are only added; the one exception are old refused sign-ins, which are deleted."""

from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.owner.audit import Actor, AuditEntry
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.paging import ListPage, Window, select
from crypto_checkout.store.table import Table

_AUDIT = Table("audit", AuditEntry, flat=("actor",), names={"actor.kind": "actor"})


def insert(
    unit: WriteUnit, actor: Actor, action: str, *, livemode: bool | None, subject: str | None, detail: str
) -> None:
    """Add an entry with the unit's time."""
    unit.run(
        """
        INSERT INTO audit (at, actor, login_id, address, action, livemode, subject, detail)
        VALUES (:now, :actor, :login_id, :address, :action, :livemode, :subject, :detail)
        """,
        {
            "now": unit.now_text,
            "actor": actor.kind,
            "login_id": actor.login_id,
            "address": actor.address,
            "action": action,
            "livemode": None if livemode is None else int(livemode),
            "subject": subject,
            "detail": detail,
        },
    )


def listed(unit: ReadUnit, livemode: bool, window: Window) -> ListPage[AuditEntry]:
    """Return a page of the entries of this mode and of those without a mode. The window's bounds are `seq` values."""
    mode = "(livemode IS NULL OR livemode = :livemode)"
    return select(unit, _AUDIT, [mode], {"livemode": int(livemode)}, window)


def has(unit: ReadUnit, action: str, subject: str) -> bool:
    """Tell whether an action on an object is in the trail."""
    parameters = {"action": action, "subject": subject}
    return unit.one("SELECT 1 FROM audit WHERE action = :action AND subject = :subject LIMIT 1", parameters) is not None


def forget(unit: WriteUnit, action: str, before: datetime) -> None:
    """Delete the entries of an action from before a moment."""
    unit.run(
        "DELETE FROM audit WHERE action = :action AND at < :before",
        {"action": action, "before": moments.to_text(before)},
    )
