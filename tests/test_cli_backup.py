"""`crypto-checkout backup`, `restore` and `migrate`: whole copies, and no address given out twice after one was put back."""

import json
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from crypto_checkout.chain import sandbox
from crypto_checkout.chain.xpub import ExtendedPublicKey
from crypto_checkout.cli import main
from crypto_checkout.core import moments
from crypto_checkout.store import backup
from crypto_checkout.store import migrate as migrations
from tests.server import Server, command

Run = Callable[..., Result]

NEW = {"amount": {"value": "10.00", "currency": "USD"}}
TEST_WALLET = ExtendedPublicKey.parse(sandbox.XPUB).wallet_id


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in the server's folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, [*arguments])


def sell(server: Server, key: str | None, times: int = 1) -> set[str]:
    """Make sessions, and return their addresses."""
    api = server.client(key)
    return {str(api.post("/checkout_sessions", json=NEW).json()["address"]) for _ in range(times)}


def ask(path: Path, sql: str) -> Any:
    with closing(sqlite3.connect(path)) as connection:
        (answer,) = connection.execute(sql).fetchone()
        return answer


def done(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.output


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- backup ----------------------------------------------------------------------------------------------------------


def test_a_copy_of_a_running_server_is_one_sound_file_for_its_owner_alone(tmp_path: Path, run: Run) -> None:
    with Server(tmp_path) as server:
        given = sell(server, server.key, 3)
        said = done(run("backup", "copy.db"))
    assert "Wrote copy.db" in said
    copy = tmp_path / "copy.db"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert ask(copy, "PRAGMA integrity_check") == "ok"
    assert ask(copy, "SELECT COUNT(*) FROM checkout_sessions") == len(given)
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == ["copy.db"]


def test_a_copy_is_of_one_moment_while_the_server_writes(tmp_path: Path) -> None:
    with Server(tmp_path, environ={"CHECKOUT__RATE_LIMIT__BURST": "100000"}) as server:
        copying = subprocess.Popen(
            [sys.executable, "-m", "crypto_checkout", "backup", "copy.db"], cwd=tmp_path, stdout=subprocess.DEVNULL
        )
        made = 0
        while copying.poll() is None:
            made += len(sell(server, server.key))
        assert copying.returncode == 0
    assert made
    copy = tmp_path / "copy.db"
    sessions = ask(copy, "SELECT COUNT(*) FROM checkout_sessions")
    assert ask(copy, "SELECT COUNT(*) FROM events WHERE type = 'session.created'") == sessions
    assert ask(copy, f"SELECT COALESCE(MAX(next_index), 0) FROM wallets WHERE wallet_id = '{TEST_WALLET}'") >= sessions


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(tmp_path: Path, run: Run) -> None:
    with Server(tmp_path):
        pass
    (tmp_path / "copy.db").write_text("precious", "utf-8")
    refused = run("backup", "copy.db")
    assert refused.exit_code == 1
    assert "copy.db is there already and stays as it is." in refused.stderr
    assert (tmp_path / "copy.db").read_text("utf-8") == "precious"
    done(run("backup", "copy.db", "--force"))
    assert ask(tmp_path / "copy.db", "PRAGMA integrity_check") == "ok"


def test_a_copy_does_not_go_over_the_database_itself(tmp_path: Path, run: Run) -> None:
    with Server(tmp_path):
        pass
    before = files(tmp_path)
    for way in (("backup", "--force"), ("restore",)):
        refused = run(*way, "checkout-data/checkout.db")
        assert refused.exit_code == 1
        assert "is the database itself" in refused.stderr
    assert files(tmp_path) == before


def test_a_copy_into_a_missing_folder_says_so(tmp_path: Path, run: Run) -> None:
    with Server(tmp_path):
        pass
    refused = run("backup", "nowhere/copy.db")
    assert refused.exit_code == 1
    assert "There is no folder" in refused.stderr


# --- restore ---------------------------------------------------------------------------------------------------------


def test_a_restore_is_refused_while_a_server_runs_and_changes_nothing(tmp_path: Path, run: Run) -> None:
    with Server(tmp_path) as server:
        done(run("backup", "copy.db"))
        given = sell(server, server.key)
        refused = run("restore", "copy.db")
        assert refused.exit_code == 1
        assert f"Stop process {server.process.pid} (kill {server.process.pid}) first, then restore again." in (
            refused.stderr
        )
        assert not list((tmp_path / "checkout-data").glob("*.before-restore-*"))
        assert not sell(server, server.key) & given


@pytest.mark.parametrize("gone", [(), ("checkout.db",), ("given-out-*",)], ids=["", "the database", "the record"])
def test_after_a_restore_no_address_is_given_out_twice(tmp_path: Path, run: Run, gone: tuple[str, ...]) -> None:
    data = tmp_path / "checkout-data"
    with Server(tmp_path) as server:
        key = server.key
        given = sell(server, key, 2)
        done(run("backup", "copy.db"))
        given |= sell(server, key, 5)
    for pattern in gone:
        for path in data.glob(pattern):
            path.unlink()
    said = done(run("restore", "copy.db"))
    assert "Test mode's wallet goes on with address number 7: where the records here end." in said
    with Server(tmp_path) as server:
        assert not sell(server, key, 3) & given
        assert len(server.client(key).get("/checkout_sessions").json()["data"]) == 2 + 3


@pytest.mark.parametrize("has_begun", [False, True], ids=["an empty machine", "one where a server has run"])
def test_on_a_new_machine_many_addresses_are_passed_over(tmp_path: Path, run: Run, has_begun: bool) -> None:
    with Server(tmp_path) as server:
        key = server.key
        given = sell(server, key, 3)
        done(run("backup", "copy.db"))
        given |= sell(server, key, 5)
    shutil.rmtree(tmp_path / "checkout-data")
    if has_begun:
        with Server(tmp_path) as fresh:
            sell(fresh, fresh.key)
    said = done(run("restore", "copy.db"))
    assert f"goes on with address number {3 + backup.LEAST_SKIPPED}: well past" in said
    assert "raise its gap limit" in said
    with Server(tmp_path) as server:
        assert not sell(server, key, 3) & given
    # What was passed over is on record from now on.
    assert f"address number {3 + backup.LEAST_SKIPPED + 3}: where the records" in done(run("restore", "copy.db"))


def test_how_many_are_passed_over_can_be_said(tmp_path: Path, run: Run) -> None:
    with Server(tmp_path) as server:
        sell(server, server.key, 3)
    done(run("backup", "copy.db"))
    shutil.rmtree(tmp_path / "checkout-data")
    assert "address number 53:" in done(run("restore", "copy.db", "--skip", "50"))


def test_a_busy_shop_passes_over_as_many_as_its_pace_and_the_time_since_the_copy_make_likely(tmp_path: Path) -> None:
    copy, database = tmp_path / "copy.db", tmp_path / "new" / "checkout.db"
    migrations.migrate(copy)
    now = datetime(2026, 11, 23, tzinfo=UTC)
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("INSERT INTO wallets VALUES ('busy', 100000)")
        for number, days in enumerate((20, 10)):
            connection.execute(
                "INSERT INTO events (id, livemode, type, resource_id, body, created_at) VALUES (?, 1, 't', 'r', '', ?)",
                (f"evt_{number}", moments.to_text(now - timedelta(days=days))),
            )
    database.parent.mkdir()
    (busy,) = [each for each in backup.restore(copy, database, [], now, None).wallets if each.wallet_id == "busy"]
    # 100,000 in ten days, so 100,000 in the ten days since, and as many again to be sure.
    assert busy == backup.Moved("busy", 300_000, is_known=False)


def test_what_was_there_is_kept_beside_also_after_a_kill(tmp_path: Path, run: Run) -> None:
    with Server(tmp_path) as server:
        key = server.key
        done(run("backup", "copy.db"))
        lost = sell(server, key, 4)
        server.kill()
    done(run("restore", "copy.db"))
    (kept,) = (tmp_path / "checkout-data").glob("checkout.db.before-restore-*")
    assert ask(kept, "SELECT COUNT(*) FROM checkout_sessions") == len(lost)
    assert ask(tmp_path / "checkout-data" / "checkout.db", "SELECT COUNT(*) FROM checkout_sessions") == 0
    # And back again.
    with Server(tmp_path):
        pass
    shutil.move(kept, tmp_path / "kept.db")
    done(run("restore", "kept.db"))
    with Server(tmp_path) as server:
        listed = server.client(key).get("/checkout_sessions").json()["data"]
        assert {session["address"] for session in listed} == lost
        assert not sell(server, key) & lost


def test_a_damaged_database_is_replaced_and_kept(tmp_path: Path, run: Run) -> None:
    with Server(tmp_path) as server:
        given = sell(server, server.key, 2)
        key = server.key
        done(run("backup", "copy.db"))
    (tmp_path / "checkout-data" / "checkout.db").write_bytes(b"\0" * 8192)
    done(run("restore", "copy.db"))
    (kept,) = (tmp_path / "checkout-data").glob("checkout.db.before-restore-*")
    assert kept.read_bytes() == b"\0" * 8192
    with Server(tmp_path) as server:
        assert not sell(server, key) & given


def damaged(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 8192)


def no_database(path: Path) -> None:
    path.write_text("a shopping list", "utf-8")


def of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE notes (text TEXT)")


def newer(path: Path) -> None:
    migrations.migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 9999")


@pytest.mark.parametrize("make", [damaged, no_database, of_another_program, newer])
def test_what_is_no_copy_is_refused_and_nothing_has_changed(
    tmp_path: Path, run: Run, make: Callable[[Path], None]
) -> None:
    with Server(tmp_path):
        pass
    make(tmp_path / "copy.db")
    before = files(tmp_path)
    refused = run("restore", "copy.db")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Error: copy.db ")
    assert files(tmp_path) == before


def test_who_polls_events_misses_none_because_of_a_restore(tmp_path: Path, run: Run) -> None:
    """A cursor of after the copy would else name a place that other events come to hold."""
    with Server(tmp_path) as server:
        key = server.key
        done(run("backup", "copy.db"))
        sell(server, key, 10)
        newest = server.api.get("/events").json()["data"][0]["id"]
        cursor = server.api.get("/events", params={"ending_before": newest}).json()["nextCursor"]
        sell(server, key)
        cursor = server.api.get("/events", params={"ending_before": cursor}).json()["nextCursor"]
    done(run("restore", "copy.db"))
    with Server(tmp_path) as server:
        (address,) = sell(server, key)
        news = server.client(key).get("/events", params={"ending_before": cursor}).json()["data"]
        assert [event["data"].get("address") for event in news] == [address]


# --- migrate ---------------------------------------------------------------------------------------------------------


def test_migrate_says_what_it_applied_and_where_the_copy_is(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkout-data" / "checkout.db"
    known = migrations.migrations()
    with monkeypatch.context() as earlier:
        earlier.setattr(migrations, "migrations", lambda: known[:1])
        migrations.migrate(path)
    said = done(run("migrate"))
    assert "Brought up to date" in said
    assert [line.strip() for line in said.splitlines() if line.endswith(".sql")] == [each.name for each in known[1:]]
    copy = path.with_name(f"checkout.db.before-{known[1].number:04}")
    assert str(copy) in said
    assert ask(copy, "PRAGMA user_version") == 1
    assert ask(path, "PRAGMA user_version") == known[-1].number
    assert "is up to date" in done(run("migrate"))


def test_migrate_makes_a_database_where_there_is_none(tmp_path: Path, run: Run) -> None:
    said = done(run("migrate"))
    assert said.startswith("Made: ")
    assert "As it was before" not in said
    assert (tmp_path / "checkout-data" / "checkout.db").exists()


def test_migrate_leaves_the_tables_of_a_running_server_alone(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(tmp_path) as server:
        assert "is up to date" in done(run("migrate"))
        known = migrations.migrations()
        later = migrations.Migration(known[-1].number + 1, "later.sql", "CREATE TABLE notes (text TEXT) STRICT;")
        monkeypatch.setattr(migrations, "migrations", lambda: [*known, later])
        refused = run("migrate")
        assert refused.exit_code == 1
        assert f"Stop process {server.process.pid}" in refused.stderr
    assert later.name in done(run("migrate"))


# --- the file that says where a server listens ------------------------------------------------------------------------


def test_where_the_server_listens_is_known_while_it_runs(tmp_path: Path) -> None:
    noted = tmp_path / "checkout-data" / "url"
    with Server(tmp_path) as server:
        assert noted.read_text("utf-8").strip() == server.url
        assert server.stop(signal.SIGTERM) == 0
        assert not noted.exists()
    made = command(tmp_path, "links", "create", "--title", "Tea", "--amount", "3.50", "--json")
    assert json.loads(made.stdout)["checkoutUrl"].startswith("http://127.0.0.1:")
