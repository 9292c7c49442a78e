"""From no file, or an older one, to today's tables: whole or not at all, once, and never without a copy."""

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import ExitStack, closing
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout import encryption
from crypto_checkout.core.errors import DatabaseTooNew, FatalError
from crypto_checkout.encryption import Cipher
from crypto_checkout.store import migrate as room
from crypto_checkout.store.migrate import Migration, migrate, migrations, schema
from crypto_checkout.store.migrations.encrypt_secrets import encrypt_secrets
from crypto_checkout.store.secret_key import open_cipher

pytestmark = [pytest.mark.usefixtures("every_migration"), pytest.mark.sqlite]

NEWEST = migrations()[-1].number
NEXT_SQL = """-- A later version.
CREATE TABLE notes (
    text TEXT NOT NULL
) STRICT;

UPDATE wallets SET next_index = 50;
"""
NEXT = Migration(NEWEST + 1, "later.sql", NEXT_SQL)
BROKEN = Migration(NEWEST + 1, "broken.sql", NEXT_SQL + "DROP TABLE missing;\n")
CHILD = """
import pathlib, sys
from crypto_checkout.store.migrate import migrate
print("ready", flush=True)
sys.stdin.readline()
print(len(migrate(pathlib.Path(sys.argv[1]))))
"""


def ask(path: Path, sql: str) -> Any:
    with closing(sqlite3.connect(path)) as connection:
        row = connection.execute(sql).fetchone()
    return row[0] if row else None


def tables(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return schema(connection)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def add(monkeypatch: pytest.MonkeyPatch, *later: Migration) -> None:
    """Be a later version of the program, which brings further migrations."""
    known = [*migrations(), *later]
    monkeypatch.setattr(room, "migrations", lambda: known)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with data, as the version before wrote it."""
    path = tmp_path / "checkout.db"
    migrate(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO wallets (wallet_id, next_index) VALUES ('w', 7)")
    return path


def test_migrations_are_numbered_from_one_without_a_gap() -> None:
    assert [migration.number for migration in migrations()] == list(range(1, NEWEST + 1))


def test_a_missing_database_is_made_in_a_missing_folder(tmp_path: Path) -> None:
    path = tmp_path / "some" / "where" / "checkout.db"
    assert migrate(path) == migrations()
    assert ask(path, "PRAGMA user_version") == NEWEST
    assert ask(path, "PRAGMA journal_mode") == "wal"
    assert ask(path, "PRAGMA integrity_check") == "ok"
    assert names(path.parent) == ["checkout.db", "secret.key"]


def test_only_the_owner_may_read_what_is_made(tmp_path: Path) -> None:
    path = tmp_path / "data" / "checkout.db"
    umask = os.umask(0)
    try:
        migrate(path)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_mode_that_the_operator_chose_stays(path: Path) -> None:
    path.chmod(0o640)
    migrate(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_migrating_again_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    assert migrate(path) == []
    assert path.read_bytes() == before
    assert names(path.parent) == ["checkout.db", "secret.key"]


@pytest.mark.parametrize("attempt", range(3))
def test_processes_that_migrate_at_once_apply_each_migration_once(tmp_path: Path, attempt: int) -> None:
    path = tmp_path / f"{attempt}" / "checkout.db"
    command = [sys.executable, "-c", CHILD, str(path)]
    with ExitStack() as running:
        children = [
            running.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(4)
        ]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        applied = [int(child.communicate(timeout=60)[0]) for child in children]
    assert sorted(applied) == [0, 0, 0, NEWEST]
    assert ask(path, "PRAGMA user_version") == NEWEST


def test_a_later_version_applies_what_is_missing_and_keeps_the_data(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, NEXT)
    assert migrate(path) == [NEXT]
    assert ask(path, "SELECT next_index FROM wallets") == 50
    assert ask(path, "SELECT COUNT(*) FROM notes") == 0
    assert ask(path, "PRAGMA user_version") == NEXT.number


def test_a_link_keeps_its_price_when_payers_may_name_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkout.db"
    now = migrations()
    before = next(index for index, each in enumerate(now) if each.name.endswith("amounts_and_stock.sql"))
    monkeypatch.setattr(room, "migrations", lambda: now[:before])
    migrate(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO payment_links "
            "(id, livemode, slug, title, fiat_amount, fiat_currency, active, created_at, updated_at) "
            "VALUES ('pl_1', 0, 's', 'Tea', '3.50', 'USD', 1, '2026-01-01', '2026-01-01')"
        )
    monkeypatch.setattr(room, "migrations", lambda: now)
    assert migrate(path)
    assert ask(path, "SELECT fiat_amount FROM payment_links") == "3.50"
    assert ask(path, "SELECT fiat_suggested FROM payment_links") == "[]"
    assert ask(path, "SELECT quantity_minimum FROM payment_links") is None


def test_a_copy_of_the_data_is_taken_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tables(path)
    copy = path.with_name(f"checkout.db.before-{NEXT.number:04}")
    add(monkeypatch, NEXT)
    with closing(sqlite3.connect(path, isolation_level=None)) as server:
        server.execute("UPDATE wallets SET next_index = 8")  # still in the WAL, which a copy of the file alone lacks
        migrate(path)
    assert ask(copy, "SELECT next_index FROM wallets") == 8
    assert ask(copy, "PRAGMA integrity_check") == "ok"
    assert ask(copy, "PRAGMA user_version") == NEWEST
    assert tables(copy) == before
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert names(path.parent) == ["checkout.db", copy.name, "secret.key"]


def test_a_copy_brings_the_version_before_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        add(later, NEXT)
        migrate(path)
    path.with_name(f"checkout.db.before-{NEXT.number:04}").replace(path)
    assert migrate(path) == []
    assert ask(path, "SELECT next_index FROM wallets") == 7


def test_one_copy_is_taken_however_many_migrations_follow(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    after_next = Migration(NEXT.number + 1, "last.sql", "DROP TABLE notes;\n")
    add(monkeypatch, NEXT, after_next)
    assert migrate(path) == [NEXT, after_next]
    assert names(path.parent) == ["checkout.db", f"checkout.db.before-{NEXT.number:04}", "secret.key"]


def test_a_migration_that_fails_half_way_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tables(path)
    with monkeypatch.context() as broken:
        add(broken, BROKEN)
        with pytest.raises(FatalError, match=r"no such table: missing.* then start again"):
            migrate(path)
    assert tables(path) == before
    assert ask(path, "SELECT next_index FROM wallets") == 7
    assert ask(path, "PRAGMA user_version") == NEWEST
    add(monkeypatch, NEXT)
    assert migrate(path) == [NEXT]


def test_migrations_before_the_one_that_fails_leave_nothing_either(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tables(path)
    add(monkeypatch, NEXT, Migration(NEXT.number + 1, "broken.sql", "DROP TABLE notes;\nDROP TABLE missing;\n"))
    with pytest.raises(FatalError, match=r"no such table: .* the version of crypto-checkout that wrote it still works"):
        migrate(path)
    assert ask(path, "PRAGMA user_version") == NEWEST
    assert ask(path, "SELECT next_index FROM wallets") == 7
    assert tables(path) == before


def test_without_room_on_the_disk_nothing_is_touched(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, NEXT)
    needed = room.bytes_needed(path)
    assert needed >= 2 * path.stat().st_size
    usage = shutil.disk_usage(path.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=needed - 1))
    with pytest.raises(FatalError, match=r"takes about .*B of free space.* Free up space, then start again"):
        migrate(path)
    assert names(path.parent) == ["checkout.db", "secret.key"]
    assert ask(path, "PRAGMA user_version") == NEWEST
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=needed))
    assert migrate(path) == [NEXT]


def test_a_migration_that_ends_within_a_statement_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, Migration(NEXT.number, "torn.sql", NEXT_SQL + "DROP TABLE wallets"))
    with pytest.raises(ValueError, match="ends within a statement: DROP TABLE wallets"):
        migrate(path)
    assert ask(path, "SELECT next_index FROM wallets") == 7


def test_without_a_copy_nothing_is_migrated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = path.with_name(f"checkout.db.before-{NEXT.number:04}")
    copy.mkdir()
    add(monkeypatch, NEXT)
    with pytest.raises(IsADirectoryError):
        migrate(path)
    assert ask(path, "PRAGMA user_version") == NEWEST
    assert names(path.parent) == ["checkout.db", copy.name, "secret.key"]


def test_a_newer_database_is_refused_and_left_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        add(later, NEXT)
        migrate(path)
    before = path.read_bytes()
    with pytest.raises(DatabaseTooNew) as refusal:
        migrate(path)
    assert str(refusal.value) == (
        f"{path} was written by a newer version of crypto-checkout (schema {NEXT.number}; this one knows {NEWEST}). "
        "Install that version again, or restore a copy that was made before the upgrade."
    )
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes " * 1000)
    with pytest.raises(FatalError, match=r"notes\.txt can't be brought up to date: file is not a database"):
        migrate(path)
    assert path.read_text() == "my notes " * 1000


def test_the_schema_for_readers_is_what_the_migrations_make(tmp_path: Path) -> None:
    path = tmp_path / "checkout.db"
    migrate(path)
    shipped = resources.files("crypto_checkout.store").joinpath("schema.sql").read_text("utf-8")
    assert tables(path) == shipped, "run scripts/schema"


def test_the_schema_for_readers_makes_the_same_tables_by_itself(tmp_path: Path) -> None:
    shipped = resources.files("crypto_checkout.store").joinpath("schema.sql").read_text("utf-8")
    path = tmp_path / "by-hand.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(shipped)
    assert tables(path) == shipped


# --- secrets ---------------------------------------------------------------------------------------------------------


SECRETS = ("whsec_newest-of-all", "whsec_older-than-that", "JBSWY3DPEHPK3PXP", "whsec_in-an-answer")
IN_CLEAR = """
    INSERT INTO webhook_endpoints (id, livemode, url, events, active, secret, old_secrets, created_at, updated_at)
    VALUES ('we_1', 0, 'https://shop.example', '["*"]', 1, 'SECRET-0', '[["SECRET-1", "2026-01-01"]]', '', '');
    INSERT INTO admin (only_row, password_hash, password_set_at, created_at, totp_secret)
    VALUES (1, 'hash', '', '', 'SECRET-2');
    INSERT INTO api_keys (id, livemode, name, prefix, sha256, scopes, created_at)
    VALUES ('key_1', 0, '', '', '', '[]', '');
    INSERT INTO idempotency_keys (api_key_id, idempotency_key, request_sha256, status_code, body, created_at)
    VALUES ('key_1', 'once', '', 201, '{"secret":"SECRET-3"}', '');
"""


@pytest.fixture
def in_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database whose secrets an earlier version stored as they are."""
    earlier = [each for each in migrations() if each.number < min(room.STEPS)]
    with monkeypatch.context() as patch:
        patch.setattr(room, "migrations", lambda: earlier)
        migrate(tmp_path / "checkout.db")
    with closing(sqlite3.connect(tmp_path / "checkout.db")) as connection:
        script = IN_CLEAR
        for number, secret in enumerate(SECRETS):
            script = script.replace(f"SECRET-{number}", secret)
        connection.executescript(script)
    return tmp_path / "checkout.db"


def stored(path: Path) -> bytes:
    """Return the bytes of a database and its logs, without the copy that a migration makes."""
    return b"".join(path.with_name(path.name + ending).read_bytes() for ending in ("", "-wal") if exists(path, ending))


def exists(path: Path, ending: str) -> bool:
    return path.with_name(path.name + ending).exists()


def test_secrets_that_were_stored_as_they_are_become_encrypted_and_leave_no_trace(in_clear: Path) -> None:
    assert all(secret.encode() in stored(in_clear) for secret in SECRETS)
    migrate(in_clear)
    assert not [secret for secret in SECRETS if secret.encode() in stored(in_clear)]
    cipher = open_cipher(in_clear.parent)
    endpoint = encryption.of_endpoint("we_1")
    assert cipher.decrypt(ask(in_clear, "SELECT secret FROM webhook_endpoints"), endpoint) == SECRETS[0]
    assert ask(in_clear, "SELECT secret_prefix FROM webhook_endpoints") == SECRETS[0][:12]
    ((old, until),) = json.loads(ask(in_clear, "SELECT old_secrets FROM webhook_endpoints"))
    assert (cipher.decrypt(old, endpoint), until) == (SECRETS[1], "2026-01-01")
    assert cipher.decrypt(ask(in_clear, "SELECT totp_secret FROM admin"), encryption.SECOND_FACTOR) == SECRETS[2]
    answer = ask(in_clear, "SELECT body FROM idempotency_keys")
    place = encryption.of_answer("key_1", "once")
    assert json.loads(cipher.decrypt(answer, place) or "null") == {"secret": SECRETS[3]}


def test_secrets_are_encrypted_whole_or_not_at_all(in_clear: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_half_way(connection: sqlite3.Connection, cipher: Cipher) -> None:
        encrypt_secrets(connection, cipher)
        raise sqlite3.OperationalError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(room, "STEPS", dict.fromkeys(room.STEPS, fail_half_way))
        with pytest.raises(FatalError):
            migrate(in_clear)
    assert ask(in_clear, "SELECT secret FROM webhook_endpoints") == SECRETS[0]
    migrate(in_clear)
    encrypted = ask(in_clear, "SELECT secret FROM webhook_endpoints")
    assert open_cipher(in_clear.parent).decrypt(encrypted, encryption.of_endpoint("we_1")) == SECRETS[0]


def test_what_is_encrypted_already_stays(in_clear: Path) -> None:
    """A restore carries over encrypted secrets into a copy by an earlier version."""
    encrypted = open_cipher(in_clear.parent).encrypt(SECRETS[0], encryption.of_endpoint("we_1"))
    with closing(sqlite3.connect(in_clear)) as connection, connection:
        connection.execute("UPDATE webhook_endpoints SET secret = ?", (encrypted,))
    migrate(in_clear)
    assert ask(in_clear, "SELECT secret FROM webhook_endpoints") == encrypted
    assert ask(in_clear, "SELECT secret_prefix FROM webhook_endpoints") == SECRETS[0][:12]
