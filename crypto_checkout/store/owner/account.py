"""The owner's account and its recovery codes."""

from collections.abc import Iterable

from crypto_checkout.core.owner.account import Admin
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.table import Table

_ACCOUNT = Table("admin", Admin)


def get(unit: ReadUnit) -> Admin | None:
    """Return the account; None before the first password is set."""
    return _ACCOUNT.one(unit, "WHERE only_row = 1")


def set_password(unit: WriteUnit, password_hash: str) -> None:
    """Create the account, or change its password."""
    unit.run(
        """
        INSERT INTO admin (only_row, password_hash, password_set_at, created_at)
        VALUES (1, :password_hash, :now, :now)
        ON CONFLICT (only_row) DO UPDATE SET password_hash = :password_hash, password_set_at = :now
        """,
        {"password_hash": password_hash, "now": unit.now_text},
    )


def set_totp(unit: WriteUnit, secret: str | None, step: int) -> None:
    """Switch the second factor on, with the time step of the confirming code, or off (None)."""
    unit.run(
        "UPDATE admin SET totp_secret = :secret, totp_step = :step WHERE only_row = 1",
        {"secret": secret, "step": step},
    )


def use_step(unit: WriteUnit, step: int) -> bool:
    """Use up a code's time step; return False if that step or a later one was used before."""
    changed = unit.run("UPDATE admin SET totp_step = :step WHERE only_row = 1 AND totp_step < :step", {"step": step})
    return changed == 1


def set_recovery_codes(unit: WriteUnit, digests: Iterable[str]) -> None:
    """Replace all recovery codes."""
    unit.run("DELETE FROM recovery_codes")
    for digest in digests:
        unit.run("INSERT INTO recovery_codes (sha256) VALUES (:sha256)", {"sha256": digest})


def use_recovery_code(unit: WriteUnit, digest: str) -> bool:
    """Use up a recovery code; return False if there is none with this digest, or it was used before."""
    changed = unit.run(
        "UPDATE recovery_codes SET used_at = :now WHERE sha256 = :sha256 AND used_at IS NULL",
        {"sha256": digest, "now": unit.now_text},
    )
    return changed == 1


def count_recovery_codes(unit: ReadUnit) -> int:
    """Return the number of unused recovery codes."""
    row = unit.one("SELECT COUNT(*) AS number FROM recovery_codes WHERE used_at IS NULL")
    return int(row["number"]) if row else 0
