"""`crypto-checkout backup`, `restore` and `migrate`: whole copies, and no address given out twice after a restore."""

import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from crypto_checkout.cli import main
from crypto_checkout.core import moments
from crypto_checkout.core.errors import FatalError
from crypto_checkout.store import migrate as migrations
from crypto_checkout.store.data_folder import restore
from crypto_checkout.store.data_folder.skipping import LEAST_FROM_REPLICA, LEAST_SKIPPED, SPREAD, Skip
from tests.support.dashboard import PASSWORD, SET_UP_LINK
from tests.support.server import Server, command
from tests.support.waiting import WAIT_SECONDS

pytestmark = pytest.mark.sqlite  # copies of a file

Run = Callable[..., Result]

NEW = {"amount": {"value": "10.00", "currency": "USD"}}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in the server's folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, [*arguments])


@dataclass(frozen=True)
class Shop:
    """The folder of a server that has ended. `copy.db` is from before the last of the addresses it gave out."""

    folder: Path
    key: str
    given: frozenset[str]

    @property
    def data(self) -> Path:
        return self.folder / "checkout-data"


BEFORE, AFTER = 2, 5
GIVEN = BEFORE + AFTER


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    with Server(folder) as server:
        given = sell(server, server.key, BEFORE)
        assert command(folder, "backup", "copy.db").returncode == 0
        given |= sell(server, server.key, AFTER)
        assert server.key is not None
        return Shop(folder, server.key, frozenset(given))


@pytest.fixture
def shop(ended: Shop, tmp_path: Path) -> Shop:
    """A shop of the test's own."""
    shutil.copytree(ended.folder, tmp_path, dirs_exist_ok=True)
    return replace(ended, folder=tmp_path)


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


def goes_on_at(said: str) -> int:
    """Return where a restore says that test mode's wallet goes on."""
    found = re.search(r"wallet continues with address number (\d+):", said)
    assert found is not None, said
    return int(found[1])


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
    program = [sys.executable, "-m", "crypto_checkout", "backup", "copy.db"]
    made = 0
    with Server(tmp_path) as server, subprocess.Popen(program, cwd=tmp_path, stdout=subprocess.DEVNULL) as copying:
        while copying.poll() is None:
            made += server.api.post("/checkout_sessions", json=NEW).is_success
    assert copying.returncode == 0
    assert made
    copy = tmp_path / "copy.db"
    sessions = ask(copy, "SELECT COUNT(*) FROM checkout_sessions")
    assert ask(copy, "SELECT COUNT(*) FROM events WHERE type = 'session.created'") == sessions
    assert ask(copy, "SELECT COALESCE(MAX(next_index), 0) FROM wallets") >= sessions


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(shop: Shop, run: Run) -> None:
    copy = shop.folder / "copy.db"
    copy.write_text("precious", "utf-8")
    refused = run("backup", "copy.db")
    assert refused.exit_code == 1
    assert "copy.db already exists and was not changed." in refused.stderr
    assert copy.read_text("utf-8") == "precious"
    done(run("backup", "copy.db", "--force"))
    assert ask(copy, "PRAGMA integrity_check") == "ok"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_a_copy_does_not_go_over_the_database_itself(shop: Shop, run: Run) -> None:
    before = files(shop.folder)
    for way in (("backup", "--force"), ("restore",)):
        refused = run(*way, "checkout-data/checkout.db")
        assert refused.exit_code == 1
        assert "is the database itself" in refused.stderr
    assert files(shop.folder) == before


def test_a_copy_into_a_missing_folder_says_so(shop: Shop, run: Run) -> None:
    refused = run("backup", "nowhere/copy.db")
    assert refused.exit_code == 1
    assert f"There is no folder {shop.folder / 'nowhere'}; create it first." in refused.stderr


def test_a_damaged_database_is_not_copied_over_a_good_copy(shop: Shop, run: Run) -> None:
    with (shop.data / "checkout.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 40_000)
    before = files(shop.folder)
    refused = run("backup", "copy.db", "--force")
    assert refused.exit_code == 1
    assert "Traceback" not in refused.output
    assert files(shop.folder)["copy.db"] == before["copy.db"]


# --- restore ---------------------------------------------------------------------------------------------------------


def test_a_restore_is_refused_while_a_server_runs_and_changes_nothing(shop: Shop, run: Run) -> None:
    with Server(shop.folder) as server:
        refused = run("restore", "copy.db")
        assert refused.exit_code == 1
        assert f"Stop process {server.process.pid} (kill {server.process.pid}) first, then restore again." in (
            refused.stderr
        )
        assert not list(shop.data.glob("*.before-restore-*"))
        assert not sell(server, shop.key) & shop.given


@pytest.mark.parametrize("gone", [(), ("checkout.db",), ("given-out-*",)], ids=["", "the database", "the record"])
def test_after_a_restore_no_address_is_given_out_twice(shop: Shop, run: Run, gone: tuple[str, ...]) -> None:
    for pattern in gone:
        for path in shop.data.glob(pattern):
            path.unlink()
    said = done(run("restore", "copy.db"))
    assert f"Test mode's wallet continues with address number {GIVEN}: where the records here end." in said
    with Server(shop.folder) as server:
        assert not sell(server, shop.key, 3) & shop.given
        assert len(server.client(shop.key).get("/checkout_sessions").json()["data"]) == BEFORE + 3


@pytest.mark.parametrize("has_begun", [False, True], ids=["an empty machine", "one where a server has run"])
def test_on_a_new_machine_many_addresses_are_passed_over(shop: Shop, run: Run, has_begun: bool) -> None:
    shutil.rmtree(shop.data)
    if has_begun:
        with Server(shop.folder) as fresh:
            sell(fresh, fresh.key)
    said = done(run("restore", "copy.db"))
    begins_at = goes_on_at(said)
    assert BEFORE + LEAST_SKIPPED <= begins_at < BEFORE + LEAST_SKIPPED + SPREAD
    assert "well past what may have been given out since" in said
    with Server(shop.folder) as server:
        assert not sell(server, shop.key, 3) & shop.given
    # What was passed over is on record from now on.
    assert f"address number {begins_at + 3}: where the records" in done(run("restore", "copy.db"))


@pytest.mark.parametrize("with_key", [False, True], ids=["without its key", "with its key"])
def test_on_a_new_machine_a_restore_says_which_secrets_are_lost(shop: Shop, run: Run, with_key: bool) -> None:
    body = {"url": "https://shop.example/hooks", "events": ["*"]}
    with Server(shop.folder) as server:
        endpoint = server.client(shop.key).post("/webhook_endpoints", json=body).json()
    said = done(run("backup", "new.db", *(["--with-key"] if with_key else [])))
    assert ("new.db.secret.key" in said) == with_key
    assert endpoint["secret"].encode() not in (shop.folder / "new.db").read_bytes()
    shutil.rmtree(shop.data)
    said = done(run("restore", "new.db"))
    assert ("https://shop.example/hooks" in said) != with_key
    assert ("Rotate its secret" in said) != with_key
    assert ("new.db.secret.key, was restored too" in said) == with_key
    assert "second factor:" not in said
    with Server(shop.folder) as server:
        restored = server.client(shop.key).get(f"/webhook_endpoints/{endpoint['id']}").json()
        assert restored["active"] == with_key
        assert restored["secretPrefix"] == endpoint["secretPrefix"]


def test_how_many_are_passed_over_can_be_said(shop: Shop, run: Run) -> None:
    shutil.rmtree(shop.data)
    assert f"address number {BEFORE + 50}:" in done(run("restore", "copy.db", "--skip", "50"))


def test_a_busy_shop_passes_over_as_many_as_its_pace_and_the_time_since_the_copy_make_likely(tmp_path: Path) -> None:
    copy, database = tmp_path / "copy.db", tmp_path / "new" / "checkout.db"
    migrations.migrate(copy)
    now = datetime(2026, 11, 23, tzinfo=UTC)
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("INSERT INTO wallets (wallet_id, next_index) VALUES ('busy', 100000)")
        for number, days in enumerate((20, 10)):
            connection.execute(
                "INSERT INTO events (id, livemode, type, resource_id, body, created_at) VALUES (?, 1, 't', 'r', '', ?)",
                (f"evt_{number}", moments.to_text(now - timedelta(days=days))),
            )
    database.parent.mkdir()
    restored = restore.restore(copy, database, [], Skip(now, lambda _: 0), "life")
    (busy,) = [each for each in restored.wallets if each.wallet_id == "busy"]
    # 100,000 in ten days, so 100,000 in the ten days since, and as many again to be sure.
    assert busy == restore.WalletMove("busy", 300_000, is_known=False)


def test_the_skip_covers_twice_the_busiest_hour_for_a_day_whatever_the_usual_pace() -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)

    def skipped(hours: float, busiest: int, least: int = LEAST_SKIPPED) -> int:
        skip = Skip(now, lambda _: 0, least=least)
        return skip.after(500, now - timedelta(days=500), now - timedelta(hours=hours), busiest)

    assert skipped(0, 100_000) == LEAST_SKIPPED
    assert skipped(0, 100_000, LEAST_FROM_REPLICA) == LEAST_FROM_REPLICA
    assert skipped(0.5, 2_000) == 2_000
    assert skipped(24, 2_000) == skipped(240, 2_000) == 96_000
    assert skipped(24, 20) == LEAST_SKIPPED


def test_a_login_of_the_copy_lets_nobody_in(tmp_path: Path, run: Run) -> None:
    with Server(tmp_path) as server:
        link = SET_UP_LINK.search(server.output)
        assert link is not None
        with httpx.Client(
            base_url=f"{server.url}/dashboard", headers={"Origin": server.url}, timeout=WAIT_SECONDS, trust_env=False
        ) as owner:
            body = {"token": link[1], "password": PASSWORD, "again": PASSWORD}
            assert owner.post("/set-up", data=body).status_code == 303
            stolen = dict(owner.cookies)
            assert command(tmp_path, "backup", "copy.db").returncode == 0
            owner.post("/test/sign-out")
    done = run("restore", "copy.db")
    assert done.exit_code == 0, done.output
    assert "Logins to the dashboard have ended" in done.output
    with Server(tmp_path) as server:
        with httpx.Client(
            base_url=f"{server.url}/dashboard", cookies=stolen, timeout=WAIT_SECONDS, trust_env=False
        ) as thief:
            assert thief.get("/test/settings").status_code == 303
        with httpx.Client(
            base_url=f"{server.url}/dashboard", headers={"Origin": server.url}, timeout=WAIT_SECONDS, trust_env=False
        ) as owner:
            assert owner.post("/sign-in", data={"password": PASSWORD}).headers["location"] == "/dashboard"


def test_what_was_there_is_kept_beside_also_after_a_kill(shop: Shop, run: Run) -> None:
    with Server(shop.folder) as server:
        sell(server, shop.key)
        server.kill()
    assert (shop.data / "checkout.db-wal").stat().st_size
    done(run("restore", "copy.db"))
    (kept,) = shop.data.glob("checkout.db.before-restore-*")
    assert ask(kept, "SELECT COUNT(*) FROM checkout_sessions") == GIVEN + 1
    assert ask(shop.data / "checkout.db", "SELECT COUNT(*) FROM checkout_sessions") == BEFORE
    done(run("restore", str(kept)))
    assert ask(shop.data / "checkout.db", "SELECT COUNT(*) FROM checkout_sessions") == GIVEN + 1


OPENS = """
import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
c.execute('SELECT * FROM wallets').fetchall()
print(flush=True)
input()
"""
WRITES = """
import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
c.execute('UPDATE wallets SET next_index = 12')
c.commit()
"""


def old_copy_of(database: Path) -> Path:
    """Make a database whose wallet has given out addresses, and return a copy that knows of fewer."""
    migrations.migrate(database)
    copy = database.with_name("copy.db")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("INSERT INTO wallets (wallet_id, next_index) VALUES ('w', 5)")
        connection.commit()
        connection.execute("VACUUM INTO :copy", {"copy": str(copy)})
        connection.execute("UPDATE wallets SET next_index = 9")
        connection.commit()
    return copy


def restored_while(happens: Callable[[], object], copy: Path, database: Path) -> str:
    """Restore, with something happening on the way; return why the restore was refused."""

    def draw(_: int) -> int:
        happens()
        return 0

    with pytest.raises(FatalError) as refused:
        restore.restore(copy, database, [], Skip(datetime.now(UTC), draw), "life")
    return str(refused.value)


def test_a_program_that_opens_the_database_during_a_restore_never_goes_on_with_the_replaced_one(tmp_path: Path) -> None:
    database = tmp_path / "checkout.db"
    copy = old_copy_of(database)
    with subprocess.Popen(
        [sys.executable, "-c", OPENS, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        said = restored_while(other.stdout.readline, copy, database)
        other.kill()
    assert "Another program has" in said
    assert ask(database, "SELECT next_index FROM wallets") == 9
    assert not list(tmp_path.glob("*.before-restore-*"))


def test_what_a_command_writes_during_a_restore_is_not_replaced(tmp_path: Path) -> None:
    database = tmp_path / "checkout.db"
    copy = old_copy_of(database)
    said = restored_while(
        lambda: subprocess.run([sys.executable, "-c", WRITES, str(database)], check=True), copy, database
    )
    assert "changed" in said
    assert ask(database, "SELECT next_index FROM wallets") == 12
    assert not list(tmp_path.glob("*.before-restore-*"))


def test_a_damaged_database_is_replaced_and_kept(shop: Shop, run: Run) -> None:
    (shop.data / "checkout.db").write_bytes(b"\0" * 8192)
    said = done(run("restore", "copy.db"))
    # What damaged it may have been a power cut, which the record's last seconds didn't outlive either.
    assert goes_on_at(said) == GIVEN + LEAST_SKIPPED
    (kept,) = shop.data.glob("checkout.db.before-restore-*")
    assert kept.read_bytes() == b"\0" * 8192
    with Server(shop.folder) as server:
        assert not sell(server, shop.key) & shop.given


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
        connection.execute("PRAGMA journal_mode = DELETE")


def with_a_trigger(path: Path) -> None:
    migrations.migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TRIGGER t AFTER INSERT ON checkout_sessions BEGIN"
            " UPDATE checkout_sessions SET address = '0x' || hex(randomblob(20)) WHERE id = new.id; END"
        )
        connection.execute("PRAGMA journal_mode = DELETE")


@pytest.mark.parametrize("make", [damaged, no_database, of_another_program, newer, with_a_trigger])
def test_what_is_no_copy_is_refused_and_nothing_has_changed(shop: Shop, run: Run, make: Callable[[Path], None]) -> None:
    (shop.folder / "copy.db").unlink()
    make(shop.folder / "copy.db")
    before = files(shop.folder)
    refused = run("restore", "copy.db")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Error: copy.db ")
    assert "Nothing was changed" in refused.stderr
    assert files(shop.folder) == before


def test_who_polls_events_misses_none_because_of_a_restore(shop: Shop, run: Run) -> None:
    """A cursor of after the copy would else name a place that other events come to hold."""
    with Server(shop.folder) as server:
        api = server.client(shop.key)
        newest = api.get("/events").json()["data"][0]["id"]
        sell(server, shop.key)
        cursor = api.get("/events", params={"ending_before": newest}).json()["nextCursor"]
    done(run("restore", "copy.db"))
    with Server(shop.folder) as server:
        (address,) = sell(server, shop.key)
        news = server.client(shop.key).get("/events", params={"ending_before": cursor}).json()["data"]
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


def test_migrate_only_checks_when_asked_to(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkout-data" / "checkout.db"
    known = migrations.migrations()
    with monkeypatch.context() as earlier:
        earlier.setattr(migrations, "migrations", lambda: known[:-1])
        migrations.migrate(path)
    before = path.read_bytes()
    told = run("migrate", "--check")
    assert told.exit_code == 3
    assert known[-1].name in told.stdout
    assert known[-2].name not in told.stdout
    assert re.search(r"about [\d.]+ [kM]B of free space; there are [\d.,]+ [MGT]B, enough\.", told.stdout)
    assert path.read_bytes() == before
    assert not [*path.parent.glob("*before*")]
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
        assert "too little: free up some first" in run("migrate", "--check").stdout
        assert "Free up space" in run("migrate").stderr
    assert path.read_bytes() == before
    done(run("migrate"))
    assert "is up to date" in done(run("migrate", "--check"))


def test_the_version_before_an_update_goes_on_with_the_copy_and_repeats_no_address(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(tmp_path) as server:
        given = {server.api.post("/checkout_sessions", json=NEW).raise_for_status().json()["address"] for _ in range(2)}
        key = server.key
    known = migrations.migrations()
    later = migrations.Migration(known[-1].number + 1, "later.sql", "CREATE TABLE notes (text TEXT) STRICT;")
    path = tmp_path / "checkout-data" / "checkout.db"
    with monkeypatch.context() as update:
        update.setattr(migrations, "migrations", lambda: [*known, later])
        copy = Path(re.findall(r"before is in (\S+)\. To go back", done(run("migrate")))[0])
    with closing(sqlite3.connect(path)) as connection, connection:  # the new version sold something meanwhile
        connection.execute("UPDATE wallets SET next_index = next_index + 7")
    refused = command(tmp_path, "serve")
    assert refused.returncode != 0
    assert "was written by a newer version of crypto-checkout" in refused.stderr
    done(run("restore", str(copy)))
    with Server(tmp_path) as server:
        server.api.headers["Authorization"] = f"Bearer {key}"
        made = server.api.post("/checkout_sessions", json=NEW).raise_for_status().json()
    assert made["address"] not in given
    assert made["addressIndex"] >= 2 + 7


def test_migrate_leaves_the_tables_of_a_running_server_alone(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(tmp_path) as server:
        assert "is up to date" in done(run("migrate"))
        known = migrations.migrations()
        later = migrations.Migration(known[-1].number + 1, "later.sql", "CREATE TABLE notes (text TEXT) STRICT;")
        monkeypatch.setattr(migrations, "migrations", lambda: [*known, later])
        for command in (["migrate"], ["keys", "list"]):
            refused = run(*command)
            assert refused.exit_code == 1
            assert f"Stop process {server.process.pid}" in refused.stderr
        monkeypatch.setattr(migrations, "migrations", lambda: known[:-1])
        assert "newer version" in run("keys", "list").stderr
        monkeypatch.setattr(migrations, "migrations", lambda: [*known, later])
    assert later.name in done(run("migrate"))


# --- the file that says where a server listens ------------------------------------------------------------------------


def test_where_the_server_listens_is_known_while_it_runs(tmp_path: Path) -> None:
    noted = tmp_path / "checkout-data" / "url"
    with Server(tmp_path) as server:
        assert noted.read_text("utf-8").strip() == server.url
        assert server.stop() == 0
        assert not noted.exists()
