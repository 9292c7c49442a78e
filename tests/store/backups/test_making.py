"""Making a backup: whole or not at all, of one moment, alone at its work, and never at the price of an earlier one."""

import os
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from pyrage import x25519

from crypto_checkout.core.backups import Rotation, name_of
from crypto_checkout.core.errors import FatalError
from crypto_checkout.store.age_files import UNENCRYPTED, Encryption, Key, decrypt
from crypto_checkout.store.backups import folder, making, worker
from crypto_checkout.store.backups.making import BackupRunning, Job, make
from crypto_checkout.store.data_folder import snapshot
from crypto_checkout.store.migrate import migrate, migrations
from tests.support.disks import small_disk
from tests.support.server import PROGRAM, environment

NOW = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
KEEP_ALL = Rotation(1000, 0)
ROWS = 3_000


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A database of some megabytes."""
    data = tmp_path / "data"
    data.mkdir()
    migrate(data / "checkout.db")
    with closing(sqlite3.connect(data / "checkout.db")) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executemany(
            "INSERT INTO events (id, livemode, type, resource_id, body, created_at)"
            " VALUES (?, 0, 'session.created', 'x', ?, '2026-12-01T00:00:00.000Z')",
            ((f"evt_{number}", "{}" * 500) for number in range(ROWS)),
        )
    return Job(data / "checkout.db", tmp_path / "backups", UNENCRYPTED, KEEP_ALL)


def ask(path: Path, sql: str) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchone()[0]


def names(job: Job) -> set[str]:
    return {path.name for path in job.folder.iterdir()} - {"lock", "backups.json"}


def changed(job: Job, **changes: object) -> Job:
    return replace(job, **changes)  # type: ignore[arg-type]


def test_a_backup_is_one_sound_file_for_its_owner_alone_and_is_listed_with_what_it_holds(job: Job) -> None:
    made = make(job, NOW)
    assert made.name == "checkout-20261201-093000.db"
    assert folder.listing(job.folder) == [made]
    assert made.is_verified
    assert not made.is_encrypted
    assert made.contents is not None
    assert made.contents.schema == migrations()[-1].number
    assert made.contents.size_bytes == made.path.stat().st_size
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(job.folder.stat().st_mode) == 0o700
    assert ask(made.path, "SELECT COUNT(*) FROM events") == ROWS
    assert ask(made.path, "PRAGMA integrity_check") == "ok"
    assert made.path.read_bytes()[18:20] == b"\x01\x01", "it needs no write-ahead log"
    assert names(job) == {made.name}


def test_two_of_one_second_are_two(job: Job) -> None:
    assert [make(job, NOW).name for _ in range(2)] == ["checkout-20261201-093000.db", "checkout-20261201-093000-2.db"]


def test_the_last_of_one_second_is_the_newest_and_is_kept(job: Job) -> None:
    last = [make(changed(job, rotation=Rotation(1, 1)), NOW) for _ in range(3)][-1]
    assert last.path.exists()
    assert [each.name for each in folder.listing(job.folder)] == [last.name]
    eleven = [make(job, NOW) for _ in range(9)][-1]
    assert folder.find(job.folder, "latest", NOW) == eleven


def test_a_backup_dated_in_the_future_by_a_wrong_clock_is_not_the_latest_unless_it_is_the_only_one(job: Job) -> None:
    wrong = make(job, NOW + timedelta(days=365))
    assert folder.find(job.folder, "latest", NOW) == wrong
    right = make(job, NOW)
    assert folder.find(job.folder, "latest", NOW + timedelta(days=30)) == right
    assert folder.find(job.folder, wrong.name, NOW) == wrong


def test_a_file_that_changed_its_size_or_was_brought_here_is_not_called_checked(job: Job) -> None:
    made = make(job, NOW)
    os.truncate(made.path, 5000)
    (job.folder / name_of(NOW - timedelta(days=1), encrypted=False)).write_bytes(b"brought")
    assert [each.is_verified for each in folder.listing(job.folder)] == [False, False]
    assert folder.find(job.folder, "latest", NOW) is None
    assert folder.find(job.folder, made.name, NOW) is not None


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "\xff",
        '{"database": "a\\u0000b", "backups": {}}',
        '{"database": "a", "backups": {"b": {"sizeBytes": 1e999, "sessions": 1, "schema": 1}}}',
    ],
)
def test_a_record_that_others_wrote_stops_no_backup(job: Job, text: str) -> None:
    job.folder.mkdir()
    (job.folder / "backups.json").write_text(text, "latin-1")
    assert folder.listing(job.folder) == []
    made = make(job, NOW)
    assert folder.listing(job.folder) == [made]


def test_what_was_not_checked_here_is_never_deleted(job: Job) -> None:
    brought = job.folder / name_of(NOW - timedelta(days=400), encrypted=False)
    job.folder.mkdir()
    brought.write_bytes(b"brought")
    old = make(job, NOW - timedelta(days=300))
    make(changed(job, rotation=Rotation(1, 0)), NOW)
    assert brought.exists()
    assert not old.path.exists()


def test_the_folder_of_another_database_is_refused(job: Job, tmp_path: Path) -> None:
    made = make(job, NOW)
    migrate(tmp_path / "other.db")
    other = changed(job, database=tmp_path / "other.db", rotation=Rotation(1, 0))
    with pytest.raises(FatalError, match="has the backups of another database"):
        make(other, NOW + timedelta(days=1))
    assert names(job) == {made.name}
    job.database.unlink()
    make(other, NOW + timedelta(days=1))  # it is gone: this one has moved here


def test_what_is_encrypted_is_never_in_the_folder_as_it_is(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = x25519.Identity.generate()
    seen: list[Path] = []
    check = snapshot.check

    def looked(copied: Path, *rest: object) -> None:
        seen.extend([copied, *job.folder.iterdir()])
        check(copied, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(snapshot, "check", looked)
    made = make(changed(job, encryption=Encryption((str(identity.to_public()),))), NOW)
    assert seen[0].parent == job.database.parent
    assert {path.name for path in seen[1:]} == {"lock"}
    assert made.is_encrypted
    assert b"session.created" not in made.path.read_bytes()
    assert [path.name for path in job.database.parent.iterdir() if "part" in path.name] == []
    decrypt(made.path, job.folder / "opened", Key(str(identity)))
    assert ask(job.folder / "opened", "SELECT COUNT(*) FROM events") == ROWS


def test_the_copy_is_of_one_moment_while_others_write(job: Job) -> None:
    writing = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(job.database)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    try:
        assert writing.stdout is not None
        writing.stdout.readline()
        made = make(job, NOW)
    finally:
        writing.kill()
        writing.communicate()
    pairs = ask(made.path, "SELECT COUNT(*) FROM wallets")
    assert ask(made.path, "SELECT COUNT(*) FROM blocks") == pairs


WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA synchronous = OFF")
number = 0
while True:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO wallets (wallet_id, next_index) VALUES (?, 1)", (f"w{number}",))
    connection.execute("INSERT INTO blocks (chain_id, number, hash, time) VALUES (1, ?, 'x', 'x')", (number,))
    connection.execute("COMMIT")
    number += 1
    if number == 10:
        print("writing", flush=True)
"""


@pytest.mark.parametrize("place", [3, 40, 400])
def test_a_copy_that_is_damaged_is_found_and_gets_no_name(
    job: Job, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    earlier, check = make(job, NOW - timedelta(days=1)), snapshot.check

    def damaged(copied: Path, *rest: object) -> None:
        with copied.open("r+b") as file:
            file.seek(place * 4096)
            file.write(b"\xff" * 4096)
        check(copied, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(snapshot, "check", damaged)
    with pytest.raises(FatalError):
        make(changed(job, rotation=Rotation(1, 0)), NOW)
    assert names(job) == {earlier.name}
    assert folder.listing(job.folder) == [earlier]


def test_a_copy_that_lacks_a_row_is_found(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    check = snapshot.check

    def cut(copied: Path, *rest: object) -> None:
        with closing(sqlite3.connect(copied)) as connection, connection:
            connection.execute("DELETE FROM events WHERE id = 'evt_7'")
        check(copied, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(snapshot, "check", cut)
    with pytest.raises(FatalError, match="rows that were copied: events"):
        make(job, NOW)
    assert names(job) == set()


def test_only_one_is_made_at_a_time(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    check = snapshot.check

    def meanwhile(copied: Path, *rest: object) -> None:
        places = {"CHECKOUT__DATABASE__PATH": str(job.database), "CHECKOUT__BACKUP__FOLDER": str(job.folder)}
        done = subprocess.run(
            [*PROGRAM, "backup"], env=environment(places), capture_output=True, text=True, check=False
        )
        assert "A backup is being made in" in done.stderr
        with pytest.raises(BackupRunning, match="already"):
            make(job, NOW)
        check(copied, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(snapshot, "check", meanwhile)
    made = make(job, NOW)
    assert names(job) == {made.name}


def test_a_disk_without_room_is_told_before_anything_is_written(job: Job, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk:
        small = changed(job, folder=disk.folder / "backups")
        made = make(changed(small, rotation=Rotation(1, 0)), NOW)
        disk.fill(but=1_000_000)
        with pytest.raises(FatalError, match="The disk would fill: a backup takes about"):
            make(changed(small, rotation=Rotation(1, 0)), NOW + timedelta(days=1))
        assert names(small) == {made.name}


def test_a_disk_that_fills_meanwhile_leaves_the_earlier_backups(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "require_room", lambda _: None)
    with small_disk(tmp_path / "disk", 16) as disk:
        small = changed(job, folder=disk.folder / "backups", rotation=Rotation(1, 0))
        made = make(small, NOW)
        disk.fill(but=1_000_000)
        for encryption in (UNENCRYPTED, Encryption((str(x25519.Identity.generate().to_public()),))):
            with pytest.raises((FatalError, OSError), match=r"has no room|No space"):
                make(changed(small, encryption=encryption), NOW + timedelta(days=1))
            assert names(small) == {made.name}
        disk.make_room()
        make(small, NOW + timedelta(days=1))
        assert len(names(small)) == 1


def test_a_full_disk_of_the_database_keeps_room_for_the_server(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    job.folder.mkdir()
    monkeypatch.setattr(making, "LEAST_FREE_BYTES", 1 << 60)
    with pytest.raises(FatalError, match="for the server, and"):
        make(job, NOW)


@pytest.fixture(params=["plain", "encrypted"])
def any_job(request: pytest.FixtureRequest, job: Job) -> Job:
    encryption = (
        Encryption((str(x25519.Identity.generate().to_public()),)) if request.param == "encrypted" else UNENCRYPTED
    )
    return changed(job, encryption=encryption, rotation=Rotation(2, 0))


def test_a_kill_at_any_moment_leaves_the_earlier_backups_and_what_is_unfinished_goes(any_job: Job) -> None:
    random, sound = Random(7), set[str]()
    first = make(any_job, NOW)
    started = time.monotonic()
    make(any_job, NOW + timedelta(days=1))
    took = time.monotonic() - started
    sound |= names(any_job)
    for number in range(2, 10):
        at = NOW + timedelta(days=number)
        process = subprocess.Popen(
            [*PROGRAM, "backup-worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(worker.to_line(any_job, at))
        process.stdin.flush()
        process.stdout.readline()  # it copies
        time.sleep(random.random() * took)
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
        there = [each for each in folder.listing(any_job.folder) if each.is_verified]
        assert all(each.path.stat().st_size == each.size_bytes for each in there)
        new = {each.name for each in there} - sound
        assert new <= {name_of(at, encrypted=bool(any_job.encryption))}
        sound = {each.name for each in there}
        assert len(sound) >= 2
    made = make(any_job, NOW + timedelta(days=20))
    assert made.is_verified
    assert len(names(any_job)) == 2
    assert first.name not in names(any_job)
    assert [path.name for path in any_job.database.parent.iterdir() if "part" in path.name] == []


def test_the_process_ends_with_the_server_that_asked_for_it(job: Job) -> None:
    process = subprocess.Popen([*PROGRAM, "backup-worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(worker.to_line(job, NOW))
    process.stdin.flush()
    process.stdout.readline()  # it copies
    process.stdin.close()
    assert process.wait(60) in {0, worker.ORPHANED}
    process.stdout.close()
    assert {each.is_verified for each in folder.listing(job.folder)} <= {True}
