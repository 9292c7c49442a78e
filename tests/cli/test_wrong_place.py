"""Commands in a folder that isn't the server's, and as a user who may not read them: a sentence, nothing made."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from crypto_checkout.cli import main
from tests.cli.test_commands import commands
from tests.support.server import Server, command, environment, new_database

pytestmark = pytest.mark.sqlite  # the paths and the permissions of a file

ARGUMENTS = {
    "keys create": ("--name", "shop", "--mode", "live"),
    "keys list": (),
    "keys revoke": ("ak_1",),
    "links create": ("--title", "Tea", "--amount", "3.50"),
    "links list": ("--json",),
    "sessions list": (),
    "sessions show": ("cs_1",),
    "sessions accept": ("cs_1",),
    "sessions expire": ("cs_1",),
    "webhooks list": ("--json",),
    "webhooks test": ("we_1",),
    "webhooks enable": ("we_1",),
    "webhooks replay": ("we_1", "--event", "evt_1"),
    "listen": ("--forward-to", "localhost:1"),
    "trigger": ("session.paid",),
    "explain": ("cs_1",),
    "reconcile": (),
    "chains reanchor": ("1", "--yes"),
    "backup": ("copy.db",),
    "migrate": (),
    "admin reset-password": (),
}
MAKERS = {"init", "serve", "restore", "demo"}
"""The commands that may make a file or a database."""


@pytest.mark.parametrize("name", ARGUMENTS)
def test_in_a_wrong_folder_it_names_the_path_and_the_way_out_and_makes_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(main, [*name.split(), *ARGUMENTS[name]])
    assert refused.exit_code in {1, 2}
    assert refused.stdout == ""
    assert f"There is no database at {tmp_path / 'checkout-data' / 'checkout.db'}" in refused.stderr
    assert f"--config FILE {name}" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_other_command_makes_nothing_there_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    groups = {id(inner): str(group.name) for group in commands() for inner in getattr(group, "commands", {}).values()}
    leaves = [each for each in commands() if not hasattr(each, "commands") and not each.hidden]
    names = {f"{groups[id(each)]} {each.name}".removeprefix("main ") for each in leaves}
    assert names > {*ARGUMENTS, *MAKERS}
    for name in names - {*ARGUMENTS, *MAKERS}:
        done = CliRunner().invoke(main, name.split())
        assert done.exception is None or isinstance(done.exception, SystemExit), name
        assert list(tmp_path.iterdir()) == [], name


def test_a_list_names_its_database_and_a_copy_of_an_empty_ledger_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = new_database(tmp_path)
    monkeypatch.chdir(tmp_path)
    for kind in ("keys", "links", "sessions", "webhooks"):
        listed = CliRunner().invoke(main, [kind, "list"])
        assert listed.stdout.startswith("There are no ")
        assert listed.stderr == f"In {path}.\n"
        assert CliRunner().invoke(main, [kind, "list", "--json"]).stdout == "[]\n"
    said = CliRunner().invoke(main, ["backup", "copy.db"]).stdout
    assert f"no payments: {path} never had a session" in said
    assert "--config FILE backup copy.db" in said


def test_a_copy_of_a_ledger_with_a_session_says_nothing_of_that(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        body = {"amount": {"value": "10.00", "currency": "USD"}}
        assert server.api.post("/checkout_sessions", json=body).status_code == 201
        assert "empty" not in command(tmp_path, "backup", "copy.db").stdout


# --- as another user -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop_of_another() -> Iterator[Path]:
    """A folder that belongs to another user, with a configuration and a database that only that user may read."""
    if os.geteuid() != 0:
        pytest.skip("only root may give files to another user")
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to others
    folder.chmod(0o755)
    path = new_database(folder)
    (folder / "checkout.toml").write_text("", "utf-8")
    (folder / "checkout.toml").chmod(0o600)
    owner = pwd.getpwnam("daemon").pw_uid
    for each in (folder, folder / "checkout.toml", path.parent, *path.parent.iterdir()):
        os.chown(each, owner, owner)
    yield folder
    shutil.rmtree(folder)


AS_NOBODY = """
import os, pwd, sys
from click.testing import CliRunner
from crypto_checkout.cli import main

folder, *arguments = sys.argv[1:]
CliRunner().invoke(main, arguments)  # imports what it needs, which may be closed to others as well
nobody = pwd.getpwnam("nobody").pw_uid
os.setgroups([])
os.setgid(nobody)
os.setuid(nobody)
os.chdir(folder)
refused = CliRunner().invoke(main, arguments)
if not isinstance(refused.exception, SystemExit):
    raise refused.exception or AssertionError(refused.output)
sys.exit(refused.stderr)
"""


@pytest.mark.parametrize(("name", "is_configured"), [("keys list", True), ("keys list", False), ("backup", False)])
def test_files_of_another_user_are_a_sentence_with_sudo(
    name: str, shop_of_another: Path, tmp_path: Path, *, is_configured: bool
) -> None:
    new_database(tmp_path)
    configuration, aside = shop_of_another / "checkout.toml", shop_of_another / "aside"
    if not is_configured:
        configuration.rename(aside)
    try:
        refused = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(shop_of_another), *name.split(), *ARGUMENTS[name]],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        if not is_configured:
            aside.rename(configuration)
    assert "Traceback" not in refused.stderr, refused.stderr
    assert refused.returncode != 0
    assert "It belongs to user daemon: run this as that user (sudo -u daemon …)." in refused.stderr
