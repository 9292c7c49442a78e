"""The state of the simulated chain, as `chain.sandbox` writes it."""

from .database import ReadUnit, WriteUnit


def load(unit: ReadUnit) -> str | None:
    """Return the stored state; None before the first."""
    row = unit.one("SELECT state FROM sandbox WHERE only_row = 1")
    return str(row["state"]) if row else None


def save(unit: WriteUnit, state: str) -> None:
    """Store the state."""
    unit.run(
        """
        INSERT INTO sandbox (only_row, state, updated_at)
        VALUES (1, :state, :now)
        ON CONFLICT (only_row) DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at
        """,
        {"state": state, "now": unit.now_text},
    )
