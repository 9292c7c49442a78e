"""The row in which the leader shows its state, and others ask it to end (`store.postgresql.leadership`)."""

from crypto_checkout.store.database import WriteUnit


def show(unit: WriteUnit, seen: str) -> None:
    """Store what only the leader sees, as JSON."""
    unit.run("UPDATE leader SET seen = :seen", {"seen": seen})


def ask_to_end(unit: WriteUnit, term: int) -> None:
    """Ask the leader of a term to step back; one of another term isn't meant."""
    unit.run("UPDATE leader SET asked_to_end = :term WHERE term = :term", {"term": term})
