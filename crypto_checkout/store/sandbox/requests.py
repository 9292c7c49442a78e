"""The progress of test helpers' requests: each step is recorded in the unit that takes it.

A request with an idempotency key is answered, and its answer stored, after its last step. If the server is killed
before that, the repeated request resumes after the last recorded step.
"""

from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.store.database import ReadUnit, WriteUnit


@dataclass(frozen=True, slots=True)
class SandboxRequest:
    """A request in progress: the number of `steps` taken, and the `name` that its transactions derive from."""

    name: str
    steps: int


def find(unit: ReadUnit, request: str, since: datetime) -> SandboxRequest | None:
    """Return the progress of a request since a moment; None if no step was taken, or it is answered."""
    row = unit.one(
        "SELECT name, steps FROM sandbox_requests WHERE request = :request AND updated_at > :since",
        {"request": request, "since": moments.to_text(since)},
    )
    return SandboxRequest(row["name"], row["steps"]) if row else None


def record(unit: WriteUnit, request: str, progress: SandboxRequest) -> None:
    """Store the progress of a request."""
    unit.run(
        """
        INSERT INTO sandbox_requests (request, name, steps, updated_at)
        VALUES (:request, :name, :steps, :now)
        ON CONFLICT (request) DO UPDATE
        SET name = excluded.name, steps = excluded.steps, updated_at = excluded.updated_at
        """,
        {"request": request, "name": progress.name, "steps": progress.steps, "now": unit.now_text},
    )


def forget(unit: WriteUnit, request: str) -> None:
    """Delete the progress of a request that is answered in this unit."""
    unit.run("DELETE FROM sandbox_requests WHERE request = :request", {"request": request})


def delete_before(unit: WriteUnit, moment: datetime, limit: int) -> int:
    """Delete up to `limit` requests that were never repeated; return their number."""
    return unit.run(
        """
        DELETE FROM sandbox_requests
        WHERE request IN (
            SELECT request FROM sandbox_requests
            WHERE updated_at < :moment
            ORDER BY updated_at
            LIMIT :limit
        )
        """,
        {"moment": moments.to_text(moment), "limit": limit},
    )
