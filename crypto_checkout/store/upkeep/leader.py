"""The row of the leader: its report to the followers, and a request to step down (`store.postgresql.election`)."""

from crypto_checkout.store.database import WriteUnit


def publish(unit: WriteUnit, report: str) -> None:
    """Store the leader's report, as JSON."""
    unit.run("UPDATE leader SET seen = :report", {"report": report})


def end_term(unit: WriteUnit) -> None:
    """End the term of whoever leads: what it still writes is refused, and it begins another one with what is stored."""
    unit.run("UPDATE leader SET term = term + 1, process = NULL, since = NULL, asked_to_end = NULL")


def ask_to_step_down(unit: WriteUnit, term: int) -> None:
    """Ask the leader of a term to step down; one of another term isn't meant."""
    unit.run("UPDATE leader SET asked_to_end = :term WHERE term = :term", {"term": term})
