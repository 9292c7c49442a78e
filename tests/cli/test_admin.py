"""The owner's first way in, and the way back: what `serve` prints, and `crypto-checkout admin reset-password`."""

import os
import pty
import select
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.support.dashboard import PASSWORD, SET_UP_LINK
from tests.support.server import PROGRAM, Server, environment, new_database
from tests.support.waiting import WAIT_SECONDS

OTHER_PASSWORD = "seven lamps over gdansk"


def reset(folder: Path, said: str) -> subprocess.CompletedProcess[str]:
    """Run the command with a password on standard input."""
    return subprocess.run(
        [*PROGRAM, "admin", "reset-password"],
        cwd=folder,
        env=environment(folder=folder),
        input=said,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def link(server: Server) -> str | None:
    found = SET_UP_LINK.search(server.output)
    return found[0] if found else None


def browser(server: Server) -> httpx.Client:
    return httpx.Client(
        base_url=f"{server.url}/dashboard", headers={"Origin": server.url}, timeout=WAIT_SECONDS, trust_env=False
    )


def test_each_start_prints_a_link_of_its_own_until_there_is_a_password(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        first = link(server)
        assert first is not None
        assert first.startswith(f"{server.url}/dashboard/set-up?token=")
        assert "admin reset-password" in server.output
    with Server(tmp_path) as server, browser(server) as client:
        second = link(server)
        assert second is not None
        old, new = httpx.URL(first).params["token"], httpx.URL(second).params["token"]
        assert client.get("/set-up", params={"token": old}).status_code == 404
        body = {"token": new, "password": PASSWORD, "again": PASSWORD}
        assert client.post("/set-up", data=body).status_code == 303
        for secret in (old, new, PASSWORD):
            assert secret not in server.log
    with Server(tmp_path) as server, browser(server) as client:
        assert link(server) is None
        assert "no password" not in server.output
        assert client.post("/sign-in", data={"password": PASSWORD}).status_code == 303


def test_the_command_sets_the_password_beside_the_running_server_and_ends_all_logins(tmp_path: Path) -> None:
    with Server(tmp_path) as server, browser(server) as client:
        set_up = link(server)
        assert set_up is not None
        body = {"token": httpx.URL(set_up).params["token"], "password": PASSWORD, "again": PASSWORD}
        client.post("/set-up", data=body)
        assert client.get("/test/settings").status_code == 200
        done = reset(tmp_path, f"{OTHER_PASSWORD}\n")
        assert done.returncode == 0, done.stderr
        assert "Logins ended: 1." in done.stdout
        assert f"Sign in at {server.url}/dashboard" in done.stdout
        assert OTHER_PASSWORD not in done.stdout
        assert client.get("/test/settings").status_code == 303
        assert client.post("/sign-in", data={"password": PASSWORD}).status_code == 403
        assert client.post("/sign-in", data={"password": OTHER_PASSWORD}).status_code == 303
        assert "command line" in client.get("/test/settings/trail").text


def test_it_works_while_no_server_runs(tmp_path: Path) -> None:
    new_database(tmp_path)
    assert reset(tmp_path, OTHER_PASSWORD).returncode == 0
    with Server(tmp_path) as server, browser(server) as client:
        assert link(server) is None
        assert client.post("/sign-in", data={"password": OTHER_PASSWORD}).status_code == 303


@pytest.mark.parametrize("said", ["password1234\n", "short\n", "", "\n"])
def test_an_obvious_password_changes_nothing(tmp_path: Path, said: str) -> None:
    new_database(tmp_path)
    done = reset(tmp_path, said)
    assert done.returncode == 1
    assert "Nothing was changed." in done.stderr
    with Server(tmp_path) as server:
        assert link(server) is not None


def test_on_a_terminal_it_asks_twice_and_shows_nothing_of_it(tmp_path: Path) -> None:
    new_database(tmp_path)
    ours, theirs = pty.openpty()
    command = [*PROGRAM, "admin", "reset-password"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(folder=tmp_path), stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = ""
        for prompt in ("New password", "Repeat the password"):
            while not shown.rpartition("\n")[2].strip().endswith(":") or prompt not in shown:
                if not select.select([ours], [], [], WAIT_SECONDS)[0]:
                    process.kill()
                    pytest.fail(f"it never asks {prompt!r}: {shown}")
                shown += os.read(ours, 1000).decode()
            os.write(ours, f"{OTHER_PASSWORD}\n".encode())
        while chunk := read(ours):
            shown += chunk
    os.close(ours)
    assert process.returncode == 0
    assert "password is set" in shown
    assert OTHER_PASSWORD not in shown


def read(descriptor: int) -> str:
    """Return what a terminal shows next; nothing once its program has ended."""
    try:
        return os.read(descriptor, 1000).decode()
    except OSError:
        return ""
