"""API keys: only their SHA-256, and what is shown of them."""

import json
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.owner.api_key import ApiKey
from crypto_checkout.store.database import ReadUnit, Row, WriteUnit


def insert(unit: WriteUnit, key: ApiKey, sha256: str) -> None:
    """Store a new key."""
    unit.run(
        """
        INSERT INTO api_keys (id, livemode, name, sha256, prefix, scopes, created_at)
        VALUES (:id, :livemode, :name, :sha256, :prefix, :scopes, :created_at)
        """,
        {
            "id": key.id,
            "livemode": int(key.livemode),
            "name": key.name,
            "sha256": sha256,
            "prefix": key.prefix,
            "scopes": json.dumps(key.scopes),
            "created_at": moments.to_text(key.created_at),
        },
    )


def by_sha256(unit: ReadUnit, sha256: str) -> ApiKey | None:
    """Return the key with this digest, revoked or not."""
    row = unit.one("SELECT * FROM api_keys WHERE sha256 = :sha256", {"sha256": sha256})
    return _key(row) if row else None


def get(unit: ReadUnit, key_id: str) -> ApiKey | None:
    """Return a key by its id, revoked or not."""
    row = unit.one("SELECT * FROM api_keys WHERE id = :id", {"id": key_id})
    return _key(row) if row else None


def everything(unit: ReadUnit) -> list[ApiKey]:
    """Return all keys, newest first."""
    return [_key(row) for row in unit.all("SELECT * FROM api_keys ORDER BY seq DESC")]


def revoke(unit: WriteUnit, key_id: str) -> None:
    """Mark a key as revoked now; a revoked one keeps its first time."""
    unit.run(
        "UPDATE api_keys SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL",
        {"id": key_id, "now": unit.now_text},
    )


def mark_used(unit: WriteUnit, key_id: str, at: datetime) -> None:
    """Note when a key was last used."""
    unit.run("UPDATE api_keys SET last_used_at = :at WHERE id = :id", {"id": key_id, "at": moments.to_text(at)})


def _key(row: Row) -> ApiKey:
    return ApiKey(
        id=row["id"],
        livemode=bool(row["livemode"]),
        name=row["name"],
        prefix=row["prefix"],
        scopes=tuple(json.loads(row["scopes"])),
        created_at=moments.from_text(row["created_at"]),
        last_used_at=moments.from_optional_text(row["last_used_at"]),
        revoked_at=moments.from_optional_text(row["revoked_at"]),
    )
