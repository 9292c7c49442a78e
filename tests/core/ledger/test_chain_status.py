"""What a watcher's progress says of its chain."""

from datetime import UTC, datetime, timedelta

from crypto_checkout.core.errors import DatabaseFailed, ProviderFailed
from crypto_checkout.core.ledger.chain_status import STUCK_AFTER, ChainStatus

NOW = datetime(2026, 12, 1, tzinfo=UTC)
LATER = NOW + STUCK_AFTER + timedelta(minutes=5)


def test_a_chain_is_stuck_once_looks_have_failed_for_a_while() -> None:
    status = ChainStatus(1, "Ethereum", 10, 10, NOW, None, stopped=False).looking(NOW)
    failed = status.after_failure(ProviderFailed("no answer"), "no answer").looking(NOW + timedelta(seconds=5))
    assert failed.stuck_reason(NOW + timedelta(seconds=5)) is None
    assert failed.stuck_reason(LATER) is not None
    assert not failed.unwritten


def test_an_outage_of_the_database_is_no_outage_of_the_chain() -> None:
    status = ChainStatus(1, "Ethereum", 10, 10, NOW, None, stopped=False).looking(NOW)
    failed = status.after_failure(DatabaseFailed("gone"), "gone")
    assert failed.unwritten
    assert failed.stuck_reason(LATER) is None
    assert failed.looking(LATER).stuck_reason(LATER) is None, "when the database is back, it counts anew"
