"""API keys: their SHA-256 and the fields shown to the owner, never the keys themselves."""

from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.owner.api_key import ApiKey
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.table import Table

_KEYS = Table("api_keys", ApiKey)
_INSERT = _KEYS.insert_with("sha256")


def insert(unit: WriteUnit, key: ApiKey, sha256: str) -> None:
    """Store a new key."""
    unit.run(_INSERT, {**_KEYS.values(key), "sha256": sha256})


def by_sha256(unit: ReadUnit, sha256: str) -> ApiKey | None:
    """Return the key with this digest, revoked or not."""
    return _KEYS.one(unit, "WHERE sha256 = :sha256", {"sha256": sha256})


def get(unit: ReadUnit, key_id: str) -> ApiKey | None:
    """Return a key by its id, revoked or not."""
    return _KEYS.one(unit, "WHERE id = :id", {"id": key_id})


def all_keys(unit: ReadUnit) -> list[ApiKey]:
    """Return all keys, newest first."""
    return _KEYS.all(unit, "ORDER BY seq DESC")


def revoke(unit: WriteUnit, key_id: str) -> None:
    """Revoke a key; a key that is already revoked keeps its time of revocation."""
    unit.run(
        "UPDATE api_keys SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL",
        {"id": key_id, "now": unit.now_text},
    )


def delete(unit: WriteUnit, key_id: str) -> None:
    """Delete a key."""
    unit.run("DELETE FROM api_keys WHERE id = :id", {"id": key_id})


def mark_used(unit: WriteUnit, key_id: str, at: datetime) -> None:
    """Store the time of a key's last use."""
    unit.run("UPDATE api_keys SET last_used_at = :at WHERE id = :id", {"id": key_id, "at": moments.to_text(at)})
