"""Logins to the dashboard, and known browsers. Of their tokens only digests are stored."""

from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.owner.account import Login
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.table import Table

_LOGINS = Table("logins", Login, flat=("browser",))
_INSERT = _LOGINS.insert_with("sha256")


def insert(unit: WriteUnit, login: Login, sha256: str) -> None:
    """Store a new login."""
    unit.run(_INSERT, {**_LOGINS.values(login), "sha256": sha256})


def by_sha256(unit: ReadUnit, sha256: str) -> Login | None:
    """Return the login whose token has this digest."""
    return _LOGINS.one(unit, "WHERE sha256 = :sha256", {"sha256": sha256})


def exists(unit: ReadUnit, login_id: str) -> bool:
    """Tell whether a login exists, that is, hasn't been ended."""
    return unit.one("SELECT 1 FROM logins WHERE id = :id", {"id": login_id}) is not None


def all_logins(unit: ReadUnit) -> list[Login]:
    """Return all logins, newest first."""
    return _LOGINS.all(unit, "ORDER BY seq DESC")


def mark_seen(unit: WriteUnit, login_id: str) -> None:
    """Mark a login as used now."""
    unit.run("UPDATE logins SET seen_at = :now WHERE id = :id", {"id": login_id, "now": unit.now_text})


def mark_confirmed(unit: WriteUnit, login_id: str) -> None:
    """Mark a login as confirmed now, by the password."""
    unit.run("UPDATE logins SET confirmed_at = :now WHERE id = :id", {"id": login_id, "now": unit.now_text})


def end(unit: WriteUnit, login_id: str) -> bool:
    """End a login; return False if there is none."""
    return unit.run("DELETE FROM logins WHERE id = :id", {"id": login_id}) == 1


def end_all(unit: WriteUnit, *, but: str | None = None) -> int:
    """End all logins, or all but one; return their number."""
    return unit.run("DELETE FROM logins WHERE id <> :but", {"but": but or ""})


def end_old(unit: WriteUnit, before: datetime) -> None:
    """Delete logins that began before a moment."""
    unit.run("DELETE FROM logins WHERE created_at < :before", {"before": moments.to_text(before)})


def remember_browser(unit: WriteUnit, sha256: str) -> None:
    """Add a browser that signed in to the known ones."""
    unit.run(
        "INSERT INTO known_browsers (sha256, created_at) VALUES (:sha256, :now) ON CONFLICT (sha256) DO NOTHING",
        {"sha256": sha256, "now": unit.now_text},
    )


def is_known_browser(unit: ReadUnit, sha256: str) -> bool:
    """Tell whether this browser has signed in before."""
    return unit.one("SELECT 1 FROM known_browsers WHERE sha256 = :sha256", {"sha256": sha256}) is not None


def forget_browsers(unit: WriteUnit, before: datetime | None, *, but: str = "") -> None:
    """Delete known browsers added before a moment, or (with None) all but the one with the digest `but`."""
    if before is None:
        unit.run("DELETE FROM known_browsers WHERE sha256 <> :but", {"but": but})
    else:
        unit.run("DELETE FROM known_browsers WHERE created_at < :before", {"before": moments.to_text(before)})
