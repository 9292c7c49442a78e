"""Durability: an answer that says that something was made leaves after the disk has it.

strace shows the system calls of a real `serve` in the order in which they returned.
"""

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import found
from tests.support.server import Server

BODY = {"amount": {"value": "10.00", "currency": "USD"}}
CALLS = "pwrite64,write,fsync,fdatasync,sendto,sendmsg,writev"
WHOLE_PAGE = "20000"
SYNCED = re.compile(r"f(?:data)?sync(?:\(\d+<[^>]*-wal>| resumed>)\) += 0")


@pytest.mark.sqlite  # a server of PostgreSQL writes its own
def test_the_log_is_on_the_disk_before_a_created_session_is_answered(tmp_path: Path) -> None:
    strace = found("strace", shutil.which("strace"), "there is no strace: apt-get install strace")
    trace = tmp_path / "trace"
    # -D has strace run beside the server, whose signals and exit code are then its own.
    options = ("-D", "-f", "-y", "-s", WHOLE_PAGE, "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(trace))
    with Server(tmp_path, "", under=(strace, *options)) as server:
        ids = [server.api.post("/checkout_sessions", json=BODY).raise_for_status().json()["id"] for _ in range(3)]
    calls = trace.read_text("utf-8").splitlines()
    answers = [place for place, call in enumerate(calls) if "HTTP/1.1 201 Created" in call]
    for session_id, answered in zip(ids, answers, strict=True):
        written = next(place for place, call in enumerate(calls) if session_id in call and "-wal>" in call)
        assert any(SYNCED.search(call) for call in calls[written:answered]), "\n".join(calls[written : answered + 1])
