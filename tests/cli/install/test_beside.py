"""Commands beside an installed server find it, with its variables, and are not run as root."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from crypto_checkout.cli import main
from crypto_checkout.cli.install import beside, places
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
    assert beside.parse(TEXT) == READ


def test_only_commands_on_the_installed_server_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file, config = tmp_path / "environment", tmp_path / "checkout.toml"
    file.write_text("A=file\nB=file\n", "utf-8")
    monkeypatch.setattr(beside, "ENVIRONMENT", file)
    monkeypatch.setattr(beside, "CONFIG", config)
    given = {"B": "given"}
    assert beside.variables(config, given) == {"A": "file", "B": "given"}
    assert beside.variables(None, {"CHECKOUT_CONFIG": str(config)})["A"] == "file"
    monkeypatch.chdir(tmp_path)
    assert beside.variables(None, given) == {"A": "file", "B": "given"}
    assert beside.variables(tmp_path / "other.toml", given) == given
    file.unlink()
    assert beside.variables(config, given) == given


@pytest.mark.sqlite  # a database on a server is backed up there
def test_a_backup_by_hand_is_encrypted_as_the_servers_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file, config = tmp_path / "environment", tmp_path / "checkout.toml"
    file.write_text('CHECKOUT__BACKUP__PASSPHRASE="correct horse battery"\n', "utf-8")
    config.write_text("", "utf-8")
    monkeypatch.setattr(beside, "ENVIRONMENT", file)
    monkeypatch.setattr(beside, "CONFIG", config)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkout-data").mkdir()
    migrate(tmp_path / "checkout-data" / "checkout.db")
    done = CliRunner().invoke(main, ["backup"])
    assert done.exit_code == 0, done.output
    (made,) = (tmp_path / "checkout-data" / "backups").glob("checkout-*.db*")
    assert made.name.endswith(".db.age")


def test_a_command_elsewhere_means_the_installed_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Found nowhere else, it would say that there is no server yet, and that all is well."""
    config, elsewhere = tmp_path / "installed" / "checkout.toml", tmp_path / "home"
    config.parent.mkdir()
    elsewhere.mkdir()
    monkeypatch.setattr(beside, "CONFIG", config)
    monkeypatch.chdir(elsewhere)
    assert beside.find_config(None, {}, "doctor") is None
    config.write_text("", "utf-8")
    assert beside.find_config(None, {}, "doctor") == config
    assert beside.find_config(None, {}, "serve") is None
    assert beside.find_config(None, {"CHECKOUT_CONFIG": "other.toml"}, "doctor") is None
    assert beside.find_config(Path("other.toml"), {}, "doctor") == Path("other.toml")
    (elsewhere / "checkout-data").mkdir()
    assert beside.find_config(None, {}, "doctor") is None


@pytest.mark.parametrize("command", ["doctor", "backup", "restore latest"])
def test_root_is_told_to_run_it_as_the_servers_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    """A backup of root's was closed to the server, which could make none any more."""
    config = tmp_path / "checkout.toml"
    config.write_text("", "utf-8")
    monkeypatch.setattr(beside, "CONFIG", config)
    monkeypatch.setattr(places, "CONFIG", config)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["--config", str(config), *command.split()])
    assert done.exit_code == 1
    assert "sudo -u crypto-checkout " in done.output
    assert command.split(maxsplit=1)[0] in done.output
    assert [*tmp_path.iterdir()] == [config]
