"""`crypto-checkout keys`: make, list and revoke. That a running server notices is in `tests.cli.test_serve`."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from crypto_checkout.cli import main
from crypto_checkout.core.owner.api_key import Scope
from tests.support import server
from tests.support.server import new_database

Run = Callable[..., Result]

EVERYTHING = [scope.value for scope in Scope]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    new_database(tmp_path)

    def run_keys(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["keys", *arguments])

    return run_keys


def made(run: Run, *arguments: str) -> dict[str, Any]:
    result = run("create", "--name", "shop", "--json", *arguments)
    assert result.exit_code == 0, result.output
    key: dict[str, Any] = json.loads(result.stdout)
    return key


def listed(run: Run) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = json.loads(run("list", "--json").stdout)
    return keys


def database() -> str:
    """Return the database of the folder as it is shown."""
    path = Path.cwd() / "checkout-data" / "checkout.db"
    return str(path) if server.url_in_place_of is None else server.url_in_place_of(path, has_tables=True)


# --- create ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["live", "test"])
def test_a_key_is_printed_with_its_id_mode_and_scopes_and_nothing_else(run: Run, mode: str) -> None:
    key = made(run, "--mode", mode, "--scope", "links:read")
    assert set(key) == {"id", "key", "mode", "scopes"}
    assert re.fullmatch(r"ak_[0-9A-HJKMNP-TV-Z]{26}", key["id"])
    assert re.fullmatch(rf"ck_{mode}_[0-9A-Za-z]{{32}}", key["key"])
    assert (key["mode"], key["scopes"]) == (mode, ["links:read"])


def test_without_a_mode_it_is_a_test_key_and_without_scopes_it_may_do_everything(run: Run) -> None:
    key = made(run)
    assert (key["mode"], key["scopes"]) == ("test", EVERYTHING)


def test_scopes_may_follow_one_option(run: Run) -> None:
    key = made(run, "--scope", "events:read", "links:write", "--mode", "test", "events:read")
    assert key["scopes"] == ["links:write", "events:read"]
    refused = run("create", "--name", "shop", "links:write")
    assert refused.exit_code == 2
    assert "--scope links:write" in refused.stderr


def test_scopes_are_kept_once_each_in_one_order(run: Run) -> None:
    key = made(run, "--scope", "events:read", "--scope", "links:write", "--scope", "events:read")
    assert key["scopes"] == ["links:write", "events:read"]
    assert listed(run)[0]["scopes"] == ["links:write", "events:read"]


def test_a_live_key_is_made_before_there_is_a_live_chain(run: Run) -> None:
    assert not Path("checkout.toml").exists()
    assert made(run, "--mode", "live")["key"].startswith("ck_live_")


def test_for_people_the_key_stands_alone_on_a_line(run: Run) -> None:
    result = run("create", "--name", "shop")
    assert result.exit_code == 0
    text, empty, advice, place = result.stdout.splitlines()
    assert re.fullmatch(r"ck_test_\w{32}", text)
    assert not empty
    assert listed(run)[0]["id"] in advice
    assert database() in place


def test_a_live_key_without_a_live_chain_is_made_with_a_word_about_that(run: Run) -> None:
    assert "No chain is enabled" in run("create", "--name", "shop", "--mode", "live").stdout


def test_the_key_itself_is_kept_nowhere(run: Run, tmp_path: Path) -> None:
    text = made(run)["key"]
    assert text not in run("list").output + run("list", "--json").output
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not any(text[14:].encode() in path.read_bytes() for path in files)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--name", "shop", "--scope", "links:delete"), "links:delete"),
        (("--name", "shop", "--mode", "both"), "both"),
        (("--scope", "links:read"), "--name"),
        (("--name", " "), "--name"),
        (("--name", "n" * 201), "--name"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name_and_makes_no_key(
    run: Run, arguments: tuple[str, ...], named: str
) -> None:
    result = run("create", *arguments)
    assert result.exit_code == 2
    assert named in result.stderr
    assert not result.stdout
    assert listed(run) == []


def test_an_unknown_scope_is_answered_with_the_known_ones(run: Run) -> None:
    said = run("create", "--name", "shop", "--scope", "links").stderr
    assert all(scope in said for scope in EVERYTHING)


def test_a_wrong_configuration_ends_it_with_the_mistakes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "checkout.toml").write_text("[server]\nport = 70000\n[log]\nlevel = 5\n", "utf-8")
    result = run("list")
    assert result.exit_code == 2
    assert "server.port" in result.stderr
    assert "log.level" in result.stderr


# --- list ------------------------------------------------------------------------------------------------------------


def test_without_keys_the_list_says_how_to_make_one(run: Run) -> None:
    assert listed(run) == []
    for_people = run("list")
    assert "crypto-checkout keys create" in for_people.stdout
    assert for_people.stderr == f"In {database()}.\n"


def test_the_list_shows_every_key_of_both_modes_newest_first(run: Run) -> None:
    test, live = made(run), made(run, "--mode", "live", "--scope", "links:read")
    newest, oldest = listed(run)
    assert (newest["id"], oldest["id"]) == (live["id"], test["id"])
    created_at = newest.pop("createdAt")
    assert newest == {
        "id": live["id"],
        "object": "api_key",
        "livemode": True,
        "name": "shop",
        "prefix": live["key"][:14],
        "scopes": ["links:read"],
        "lastUsedAt": None,
        "revokedAt": None,
    }
    assert created_at.endswith("Z")
    for_people = run("list").stdout
    assert all(word in for_people for word in (live["id"], test["id"], "active", "never used", "links:read"))


# --- revoke ----------------------------------------------------------------------------------------------------------


def test_a_revoked_key_stays_listed(run: Run) -> None:
    key, other = made(run), made(run)
    result = run("revoke", key["id"])
    assert result.exit_code == 0
    assert result.stdout == f"{key['key'][:14]}… (shop) is revoked.\n"
    revoked_at = {each["id"]: each["revokedAt"] for each in listed(run)}
    assert revoked_at[key["id"]] is not None
    assert revoked_at[other["id"]] is None
    assert re.search(r"revoked 20[-\d]+ [:\d]+ UTC", run("list").stdout)


def test_revoking_twice_keeps_the_first_time(run: Run) -> None:
    key = made(run)
    first, second = (json.loads(run("revoke", key["id"], "--json").stdout) for _ in range(2))
    assert first["revokedAt"] is not None
    assert first == second


def test_an_unknown_id_is_refused_with_the_way_to_find_it(run: Run) -> None:
    made(run)
    result = run("revoke", "ak_nonsense")
    assert result.exit_code == 1
    assert result.stderr == "Error: There is no API key ak_nonsense; `crypto-checkout keys list` shows them.\n"
    assert listed(run)[0]["revokedAt"] is None
