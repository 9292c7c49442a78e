"""`crypto-checkout backup` into the folder, `backups`, and `restore` by name, encrypted ones too; on a real server."""

import json
import random
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pyrage import x25519

from tests.support.server import PROGRAM, Server, command, environment

pytestmark = pytest.mark.sqlite  # backups of a file; those of a server are its own

NEW = {"amount": {"value": "10.00", "currency": "USD"}}
WORDS = "correct horse battery staple"


def sell(server: Server, times: int = 1) -> None:
    for _ in range(times):
        assert server.api.post("/checkout_sessions", json=NEW).status_code == 201


def run(folder: Path, *arguments: str, environ: Mapping[str, str] | None = None, given: str = "") -> str:
    """Run a command that must succeed; return what it printed."""
    done = tried(folder, *arguments, environ=environ, given=given)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tried(
    folder: Path, *arguments: str, environ: Mapping[str, str] | None = None, given: str = ""
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=environment(environ) | {"PYTHONWARNINGS": "ignore"},  # nobody's terminal hides what is typed here
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def listed(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(folder, "backups", "--json"))["data"]
    return found


def sessions(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "checkout-data" / "checkout.db")) as connection:
        count: int = connection.execute("SELECT COUNT(*) FROM checkout_sessions").fetchone()[0]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return count


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a server that made a backup of two sessions, and then three more; it has ended."""
    folder = tmp_path_factory.mktemp("shop")
    with Server(folder) as server:
        sell(server, 2)
        said = run(folder, "backup")
        assert "Wrote" in said
        assert "restore checkout-" in said
        sell(server, 3)
    return folder


@pytest.fixture
def shop(ended: Path, tmp_path: Path) -> Path:
    shutil.copytree(ended, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_a_backup_in_the_folder_is_listed_and_restored_by_its_name(shop: Path) -> None:
    (backup,) = listed(shop)
    assert backup["sessions"] == 2
    assert (backup["verified"], backup["encrypted"]) == (True, False)
    shown = run(shop, "backups")
    assert backup["name"] in shown
    assert "…" not in shown
    assert re.search(r" 2 +checked$", shown, re.MULTILINE)
    said = run(shop, "restore", backup["name"])
    assert "The previous database is kept" in said
    assert "Logins to the dashboard have ended" in said
    assert sessions(shop) == 2
    with Server(shop) as server:
        assert server.client(None).get(f"{server.url}/readyz").is_success


def test_latest_is_the_newest_that_was_checked(shop: Path) -> None:
    (backup,) = listed(shop)
    newer = shop / "checkout-data" / "backups" / "checkout-29991231-235959.db"
    newer.write_bytes(b"brought by somebody")
    said = run(shop, "restore", "latest")
    assert backup["name"] in said
    assert sessions(shop) == 2


def test_a_name_that_is_not_there_is_told_and_nothing_changes(shop: Path) -> None:
    before = contents(shop)
    refused = tried(shop, "restore", "checkout-20010101-000000.db")
    assert refused.returncode == 1
    assert "neither a file" in refused.stderr
    assert contents(shop) == before
    shutil.rmtree(shop / "checkout-data" / "backups")
    refused = tried(shop, "restore", "latest")
    assert refused.returncode == 1
    assert "There is no checked backup in" in refused.stderr


def test_without_a_file_nothing_else_is_asked_for(shop: Path) -> None:
    refused = tried(shop, "backup", "--with-key")
    assert refused.returncode == 2
    assert "need a FILE" in refused.stderr


def test_a_backup_with_a_passphrase_is_restored_by_who_knows_it(shop: Path) -> None:
    locked = {"CHECKOUT__BACKUP__PASSPHRASE": WORDS}
    said = run(shop, "backup", environ=locked)
    assert "encrypted" in said
    name = listed(shop)[0]["name"]
    assert name.endswith(".db.age")
    file = shop / "checkout-data" / "backups" / name
    assert b"SQLite" not in file.read_bytes()
    run(shop, "restore", "latest", given=f"{WORDS}\n")
    assert sessions(shop) == 5
    before = contents(shop)
    refused = tried(shop, "restore", name, given="another one, as long\n")
    assert refused.returncode == 1
    assert "This is not the passphrase of" in refused.stderr
    assert contents(shop) == before
    run(shop, "restore", name, environ=locked)


def test_a_backup_to_a_public_key_is_restored_with_its_identity_only(shop: Path) -> None:
    identity, other = x25519.Identity.generate(), x25519.Identity.generate()
    (shop / "mine").write_text(f"# created: now\n{identity}\n", "utf-8")
    (shop / "other").write_text(f"{other}\n", "utf-8")
    run(shop, "backup", environ={"CHECKOUT__BACKUP__AGE_RECIPIENTS": f'["{identity.to_public()}"]'})
    run(shop, "backup", "copy.db.age", "--encrypt-to", str(identity.to_public()))
    for backup in ("latest", "copy.db.age"):
        before = contents(shop)
        for wrong, words in (
            ((), "--identity FILE"),
            (("--identity", "other"), "can't be decrypted with this identity"),
        ):
            refused = tried(shop, "restore", backup, *wrong)
            assert refused.returncode == 1
            assert words in refused.stderr
            assert contents(shop) == before
        run(shop, "restore", backup, "--identity", "mine")
        assert sessions(shop) == 5


def test_a_key_that_is_none_is_refused_before_anything_is_made(shop: Path) -> None:
    refused = tried(shop, "backup", "copy.db.age", "--encrypt-to", "age1nonsense")
    assert refused.returncode == 2
    assert "a public key of age" in refused.stderr
    assert not (shop / "copy.db.age").exists()
    refused = tried(shop, "backup", environ={"CHECKOUT__BACKUP__AGE_RECIPIENTS": '["age1nonsense"]'})
    assert "a public key of age" in refused.stderr


def test_what_is_not_encrypted_takes_no_identity(shop: Path) -> None:
    (shop / "mine").write_text(f"{x25519.Identity.generate()}\n", "utf-8")
    refused = tried(shop, "restore", "latest", "--identity", "mine")
    assert refused.returncode == 1
    assert "isn't encrypted" in refused.stderr


@pytest.mark.parametrize("locked", [{}, {"CHECKOUT__BACKUP__PASSPHRASE": WORDS}])
def test_a_restore_that_is_killed_leaves_one_database_or_the_other(shop: Path, locked: Mapping[str, str]) -> None:
    run(shop, "backup", environ=locked)
    before, chance = sessions(shop), random.Random(11)
    started = time.monotonic()
    run(shop, "restore", "latest", environ=locked)
    took = time.monotonic() - started
    for _ in range(6):
        process = subprocess.Popen(
            [*PROGRAM, "restore", "latest"],
            cwd=shop,
            env=environment(locked),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(chance.uniform(0.2, 1) * took)
        process.kill()
        process.wait()
        assert sessions(shop) in {5, before}
    run(shop, "restore", "latest", environ=locked)
    with Server(shop) as server:
        assert server.client(None).get(f"{server.url}/readyz").is_success
    assert [path.name for path in (shop / "checkout-data").iterdir() if "part" in path.name] == []


def test_doctor_tells_of_a_backup_that_is_late(shop: Path) -> None:
    def check() -> dict[str, str]:
        found: list[dict[str, str]] = json.loads(command(shop, "doctor", "--json").stdout)["checks"]
        return {each["name"]: each for each in found}["backup"]

    assert check()["mark"] == "ok"
    assert "copy it to another machine" in check()["what"]
    folder = shop / "checkout-data" / "backups"
    record = folder / "backups.json"
    name = listed(shop)[0]["name"]
    (folder / name).rename(folder / "checkout-20260101-000000.db")
    record.write_text(record.read_text("utf-8").replace(name, "checkout-20260101-000000.db"), "utf-8")
    late = check()
    assert late["mark"] == "warn"
    assert "One is due every 24 hours" in late["advice"]
