"""How far the test helpers came with a request: each step is noted in the unit that takes it.

A request that carries an idempotency key is answered, and its answer stored, after its last step. Killed before that,
it is sent again, and goes on where it was.
"""

from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.store.database import ReadUnit, WriteUnit


@dataclass(frozen=True, slots=True)
class SandboxRequest:
    """A request that was begun: how many `steps` it has taken, and the `name` that its transactions are made from."""

    name: str
    steps: int


def find(unit: ReadUnit, request: str, since: datetime) -> SandboxRequest | None:
    """Return how far a request came since a moment; None where it was not begun, or answered."""
    row = unit.one(
        "SELECT name, steps FROM sandbox_requests WHERE request = :request AND updated_at > :since",
        {"request": request, "since": moments.to_text(since)},
    )
    return SandboxRequest(row["name"], row["steps"]) if row else None


def record(unit: WriteUnit, request: str, begun: SandboxRequest) -> None:
    """Store how far a request came."""
    unit.run(
        """
        INSERT INTO sandbox_requests (request, name, steps, updated_at)
        VALUES (:request, :name, :steps, :now)
        ON CONFLICT (request) DO UPDATE
        SET name = excluded.name, steps = excluded.steps, updated_at = excluded.updated_at
        """,
        {"request": request, "name": begun.name, "steps": begun.steps, "now": unit.now_text},
    )


def forget(unit: WriteUnit, request: str) -> None:
    """Forget a request that is answered in this unit."""
    unit.run("DELETE FROM sandbox_requests WHERE request = :request", {"request": request})


def delete_before(unit: WriteUnit, moment: datetime) -> int:
    """Forget requests that nobody has sent again; return how many."""
    return unit.run("DELETE FROM sandbox_requests WHERE updated_at < :moment", {"moment": moments.to_text(moment)})
