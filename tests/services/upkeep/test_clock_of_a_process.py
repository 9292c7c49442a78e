"""A real server whose machine's clock is set while it runs, and wrong when it starts. It needs Debian's `faketime`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crypto_checkout.core import moments
from tests.support.server import Server

FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
PRICE = {"amount": {"value": "10.00", "currency": "USD"}}

pytestmark = pytest.mark.skipif(FAKETIME is None, reason="libfaketime isn't installed (apt-get install faketime)")


def expires_at(server: Server) -> datetime:
    session = server.api.post("/checkout_sessions", json=PRICE)
    assert session.status_code == 201, session.text
    return moments.from_text(session.json()["expiresAt"])


def test_a_clock_set_back_while_it_runs_and_wrong_at_the_next_start_takes_no_time_from_payers(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    environ = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    file.write_text("+0", "ascii")
    with Server(tmp_path, "", environ) as server:
        key = server.key
        assert expires_at(server) > datetime.now(UTC) + timedelta(minutes=14)
        file.write_text("-1h", "ascii")
        assert expires_at(server) > datetime.now(UTC)
        server.wait_until(lambda: "was set back by 1 hour" in server.log, "notice the jump")
        assert expires_at(server) > datetime.now(UTC)
        file.write_text("+0", "ascii")
        server.wait_until(lambda: "was set ahead by 1 hour" in server.log, "notice that the clock is right")
    file.write_text("-1d", "ascii")
    with Server(tmp_path, None, environ) as server:
        server.api = server.client(key)
        server.wait_until(lambda: "behind the newest entry of the database" in server.log, "notice the wrong clock")
        assert expires_at(server) > datetime.now(UTC)
