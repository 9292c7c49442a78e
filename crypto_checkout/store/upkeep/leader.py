"""The row of the leader: its report to the followers, and a request to step down (`store.postgresql.election`)."""

from crypto_checkout.store.database import WriteUnit


def publish(unit: WriteUnit, report: str) -> None:
    """Store the leader's report, as JSON."""
    unit.run("UPDATE leader SET seen = :report", {"report": report})


def ask_to_step_down(unit: WriteUnit, term: int) -> None:
    """Ask the leader of a term to step down; one of another term isn't meant."""
    unit.run("UPDATE leader SET asked_to_end = :term WHERE term = :term", {"term": term})
