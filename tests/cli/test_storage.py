"""Commands on full, read-only and immutable disks, and beside an emptied database: sentences, and nothing lost."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from crypto_checkout.store import files, migrate
from crypto_checkout.store.data_folder import last_backup
from tests.support.disks import Disk, small_disk, write_protected
from tests.support.server import Server, command, new_database

pytestmark = pytest.mark.sqlite  # the disks of a file

KEY = ("keys", "create", "--mode", "test", "--name", "a", "--scope", "links:read")
COMMANDS = (("serve",), KEY, ("migrate",), ("init", "--no-wallet"), ("restore", "../copy.db"), ("backup", "new.db"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def shop(disk: Disk, tmp_path: Path) -> Disk:
    """A disk with a database, and a copy of it elsewhere."""
    new_database(disk.folder)
    assert command(disk.folder, "backup", str(tmp_path / "copy.db")).returncode == 0
    return disk


def refused(folder: Path, *arguments: str) -> str:
    """Run a command that can't succeed; return its sentence."""
    result = command(folder, *arguments)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    (said,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    return said


@pytest.mark.parametrize("arguments", COMMANDS, ids=[each[0] for each in COMMANDS])
def test_on_a_full_disk_a_command_ends_with_what_to_do(
    shop: Disk, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if arguments == ("migrate",):
        (shop.folder / "checkout-data" / "checkout.db").unlink()
        first = migrate.migrations()[:1]
        with monkeypatch.context() as earlier:
            earlier.setattr(migrate, "migrations", lambda: first)
            new_database(shop.folder)
    shop.fill()
    said = refused(shop.folder, *arguments)
    assert "make room" in said or arguments[0] == "init"


@pytest.mark.parametrize("kilobytes", [4, 16, 40, 64, 128, 256, 400])
def test_a_first_start_with_too_little_room_ends_with_what_to_do(disk: Disk, kilobytes: int) -> None:
    disk.fill(but=kilobytes * 1024)
    assert "make room" in refused(disk.folder, "serve")


def test_on_a_read_only_disk_a_command_ends_with_what_to_do(shop: Disk) -> None:
    shop.make_read_only()
    for arguments in (("serve",), KEY, ("restore", "../copy.db")):
        assert "writ" in refused(shop.folder, *arguments)


def test_beside_an_immutable_database_a_command_ends_with_what_to_do_and_loses_nothing(tmp_path: Path) -> None:
    new_database(tmp_path)
    assert command(tmp_path, "backup", "copy.db").returncode == 0
    database = tmp_path / "checkout-data" / "checkout.db"
    before = database.read_bytes()
    with write_protected(database):
        for arguments in (("serve",), KEY, ("restore", "copy.db")):
            assert "chattr" in refused(tmp_path, *arguments)
        assert not list(database.parent.glob("*before-restore*"))
    assert database.read_bytes() == before


# --- backup ----------------------------------------------------------------------------------------------------------


def test_a_backup_to_another_disk_succeeds_though_its_date_can_not_be_noted(shop: Disk, tmp_path: Path) -> None:
    known = last_backup.read(shop.folder / "checkout-data")
    with closing(sqlite3.connect(shop.folder / "checkout-data" / "checkout.db")) as server:
        server.execute("SELECT * FROM wallets")
        shop.fill()
        result = command(shop.folder, "backup", str(tmp_path / "second.db"))
    assert result.returncode == 0
    assert "checked and readable by you alone" in result.stdout
    assert "can't be recorded" in result.stderr
    assert last_backup.read(shop.folder / "checkout-data") == known


def test_a_small_file_that_can_not_be_written_stays_as_it_was(disk: Disk) -> None:
    file = disk.folder / "note"
    files.write(file, "old\n")
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        files.write(file, "new\n" * 10_000)
    assert file.read_text() == "old\n"
    assert sorted(path.name for path in disk.folder.iterdir()) == ["ballast", "note"]


# --- leftovers -------------------------------------------------------------------------------------------------------

WRITER = """
import sys, time
from pathlib import Path
from crypto_checkout.store import files, migrate
with files.part_of(Path(sys.argv[1])) as part:
    part.write_bytes(b"half of it")
    print("writing", flush=True)
    time.sleep(3600)
"""


def writing(to: Path) -> "subprocess.Popen[str]":
    """Start a process that is in the middle of writing a file."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(to)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def test_what_killed_copies_leave_goes_at_the_next_run_and_what_is_being_written_stays(tmp_path: Path) -> None:
    new_database(tmp_path)
    killed, alive = writing(tmp_path / "monday.db"), writing(tmp_path / "tuesday.db")
    killed.kill()
    killed.communicate()
    old = tmp_path / f".copy.db.{killed.pid}.part"
    old.write_text("of an older version")
    foreign = tmp_path / f".other.{killed.pid}.part"
    foreign.write_text("of another program")
    try:
        assert command(tmp_path, "backup", "copy.db").returncode == 0
        left = {path.name for path in tmp_path.glob(".*part*")}
        assert left == {foreign.name, f".tuesday.db.{alive.pid}.checkout-part"}
    finally:
        alive.kill()
        alive.communicate()


def test_a_start_removes_what_a_killed_restore_left(tmp_path: Path) -> None:
    new_database(tmp_path)
    data = tmp_path / "checkout-data"
    killed = writing(data / "checkout.db")
    killed.kill()
    killed.communicate()
    (data / ".download-abc").mkdir()
    (data / ".download-abc" / "copy.db").write_text("half")
    (data / "checkout.db.before-0002.part").write_text("half")
    with Server(tmp_path):
        assert not [path.name for path in data.iterdir() if "part" in path.name or "download" in path.name]


# --- an emptied database ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_missing", [True, False], ids=["missing", "empty"])
def test_a_lost_database_beside_its_log_is_not_taken_for_a_new_one(tmp_path: Path, *, is_missing: bool) -> None:
    new_database(tmp_path)
    assert command(tmp_path, "backup", "copy.db").returncode == 0
    database = tmp_path / "checkout-data" / "checkout.db"
    log = database.with_name("checkout.db-wal")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("INSERT INTO wallets (wallet_id, next_index) VALUES ('w', 1)")
        connection.commit()
        kept = log.read_bytes()
    assert kept
    log.write_bytes(kept)
    if is_missing:
        database.unlink()
    else:
        os.truncate(database, 0)
    for arguments in (("serve",), ("migrate",), KEY):
        said = refused(tmp_path, *arguments)
        assert "was lost" in said
        assert "restore" in said
        assert log.read_bytes() == kept, "SQLite would have deleted it"
    assert command(tmp_path, "restore", "copy.db").returncode == 0
    (moved,) = [path for path in database.parent.glob("*-wal") if path.stat().st_size]
    assert moved.read_bytes() == kept
    assert command(tmp_path, *KEY).returncode == 0
