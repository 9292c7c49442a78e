"""The variables of an installed server, for the commands that run beside it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from crypto_checkout.cli import main
from crypto_checkout.cli.install import variables
from crypto_checkout.store.migrate import migrate

TEXT = """\
# a comment, with=a sign
; OTHER=comment
PLAIN=two words  \t
QUOTED="a \\"b\\" \\$c #d"
SINGLE='e \\f "g"'
 SPACED = h
EMPTY=
LONG=one \\
two
ESCAPED=i\\j
JOINED='k'"l"m
not a variable
INSIDE=n "o" #p
"""
READ = {
    "PLAIN": "two words",
    "QUOTED": 'a "b" $c #d',
    "SINGLE": 'e \\f "g"',
    "SPACED": "h",
    "EMPTY": "",
    "LONG": "one two",
    "ESCAPED": "ij",
    "JOINED": "klm",
    "INSIDE": 'n "o" #p',
}


def test_they_are_read_as_systemd_reads_them() -> None:
    assert variables.parse(TEXT) == READ


def test_only_commands_on_the_installed_server_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file, config = tmp_path / "environment", tmp_path / "checkout.toml"
    file.write_text("A=file\nB=file\n", "utf-8")
    monkeypatch.setattr(variables, "ENVIRONMENT", file)
    monkeypatch.setattr(variables, "CONFIG", config)
    given = {"B": "given"}
    assert variables.for_commands(config, given) == {"A": "file", "B": "given"}
    assert variables.for_commands(None, {"CHECKOUT_CONFIG": str(config)})["A"] == "file"
    monkeypatch.chdir(tmp_path)
    assert variables.for_commands(None, given) == {"A": "file", "B": "given"}
    assert variables.for_commands(tmp_path / "other.toml", given) == given
    file.unlink()
    assert variables.for_commands(config, given) == given


def test_a_backup_by_hand_is_encrypted_as_the_servers_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file, config = tmp_path / "environment", tmp_path / "checkout.toml"
    file.write_text('CHECKOUT__BACKUP__PASSPHRASE="correct horse battery"\n', "utf-8")
    config.write_text("", "utf-8")
    monkeypatch.setattr(variables, "ENVIRONMENT", file)
    monkeypatch.setattr(variables, "CONFIG", config)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkout-data").mkdir()
    migrate(tmp_path / "checkout-data" / "checkout.db")
    done = CliRunner().invoke(main, ["backup"])
    assert done.exit_code == 0, done.output
    (made,) = (tmp_path / "checkout-data" / "backups").glob("checkout-*.db*")
    assert made.name.endswith(".db.age")
