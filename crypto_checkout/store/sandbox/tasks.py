"""Operations of test helpers that wait for the leader, where several processes may serve, and its answers."""

from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.store.database import ReadUnit, WriteUnit


@dataclass(frozen=True, slots=True)
class SandboxTask:
    """An operation of `services.sandbox.controls` with its arguments, as JSON."""

    id: str
    operation: str
    arguments: str


def add(unit: WriteUnit, task: SandboxTask) -> None:
    """Store a task."""
    unit.run(
        """
        INSERT INTO sandbox_tasks (id, operation, arguments, answer, created_at)
        VALUES (:id, :operation, :arguments, NULL, :now)
        """,
        {"id": task.id, "operation": task.operation, "arguments": task.arguments, "now": unit.now_text},
    )


def waiting(unit: ReadUnit) -> list[SandboxTask]:
    """Return the tasks that aren't done, the oldest first."""
    rows = unit.all("SELECT id, operation, arguments FROM sandbox_tasks WHERE answer IS NULL ORDER BY seq")
    return [SandboxTask(row["id"], row["operation"], row["arguments"]) for row in rows]


def answer(unit: WriteUnit, task_id: str, text: str) -> None:
    """Store the answer to a task, as JSON."""
    unit.run("UPDATE sandbox_tasks SET answer = :answer WHERE id = :id", {"id": task_id, "answer": text})


def answer_of(unit: ReadUnit, task_id: str) -> str | None:
    """Return the answer to a task; None while there is none."""
    row = unit.one("SELECT answer FROM sandbox_tasks WHERE id = :id", {"id": task_id})
    return None if row is None or row["answer"] is None else str(row["answer"])


def delete(unit: WriteUnit, task_id: str) -> None:
    """Delete a task, done or not."""
    unit.run("DELETE FROM sandbox_tasks WHERE id = :id", {"id": task_id})


def delete_before(unit: WriteUnit, moment: datetime, limit: int) -> int:
    """Delete up to `limit` tasks that nobody waits for any more; return their number."""
    return unit.run(
        """
        DELETE FROM sandbox_tasks
        WHERE id IN (SELECT id FROM sandbox_tasks WHERE created_at < :moment LIMIT :limit)
        """,
        {"moment": moments.to_text(moment), "limit": limit},
    )
