"""The guide *Past one machine*: its commands are run in order, on machines that are folders, and do what it says.

The PostgreSQL servers, ours, and nginx are real. `sudo`, `scp` and a few commands that need root are programs of the
test's, and `systemctl … postgresql` is done by the test.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.http.docs.contents import guide_text
from tests.conftest import found
from tests.http.docs.test_standby import INSTALL, NOTHING, SERVER, SERVER_UNIT, SHOP_KEY, SYSTEMCTL, is_alive
from tests.support import nginx
from tests.support.guides import commands
from tests.support.nginx import Nginx
from tests.support.ports import free_port
from tests.support.postgresql import DURABLE, USER, PostgresqlServer
from tests.support.waiting import WAIT_SECONDS, wait_until

GUIDE = guide_text("past-one-machine", "")
SHOPS = ("shop-1", "shop-2")
NEW = {"amount": {"value": "10.00", "currency": "USD"}}
DATA = "/var/lib/postgresql/15/main"

SUDO = """#!/bin/sh
# sudo [-u USER] COMMAND: everybody is the user of the test here, but for PostgreSQL's, which root can't stand for.
if [ "$1" = -u ]; then
    user=$2
    shift 2
    if [ "$user" = postgres ] && [ "$(id -u)" = 0 ]; then exec runuser -u postgres -- "$@"; fi
fi
exec "$@"
"""
SCP = """#!/bin/sh
# scp FILE shop-2.example.com:PATH: the other machine is a folder here.
cp "$1" "${2#shop-2.example.com:}"
"""


class Machines:
    """Folders that stand for machines, two PostgreSQL servers, and the guide's commands on them."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.servers = {name: PostgresqlServer(programs, **DURABLE) for name in ("db-1", "db-2")}
        self.ports = {name: free_port() for name in SHOPS}
        ours = folder / "bin"
        ours.mkdir()
        for name, text in {
            "sudo": SUDO,
            "systemctl": SYSTEMCTL,
            "scp": SCP,
            "chown": NOTHING,
            "install": INSTALL,
            "crypto-checkout": SERVER.format(python=sys.executable),
        }.items():
            (ours / name).write_text(text, "utf-8")
            (ours / name).chmod(0o755)
        self.path = f"{ours}:{programs}:{os.environ['PATH']}"
        for name in SHOPS:
            for place in ("var/lib/crypto-checkout/checkout-data", "etc/systemd/system"):
                (folder / name / place).mkdir(parents=True)
            unit = folder / name / "etc/systemd/system/crypto-checkout.service"
            unit.write_text(self._here(name, SERVER_UNIT), "utf-8")

    def run(self, line: str) -> str:
        """Run one command of the guide, such as `db-1$ sudo …`, and return what it prints."""
        machine, _, command = line.strip().partition("$ ")
        if command.endswith(" postgresql"):
            self._manage(self.servers[machine], shlex.split(command)[2:-1])
            return ""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("CHECKOUT")}
        environ |= {"PATH": self.path, "MACHINE": str(self.folder / machine), "PGUSER": USER}
        if machine in self.servers:
            environ["PGHOST"] = str(self.servers[machine].folder)
        else:
            environ["CHECKOUT__SERVER__PORT"] = str(self.ports[machine])
            environ |= {"CHECKOUT__RATE_LIMIT__PER_SECOND": "10000", "CHECKOUT__RATE_LIMIT__BURST": "100000"}
        done = subprocess.run(
            ["bash", "-c", self._here(machine, command)],
            cwd="/" if machine in self.servers else self.folder / machine,
            env=environ,
            capture_output=True,
            text=True,
            timeout=2 * WAIT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def log(self, machine: str) -> str:
        return (self.folder / machine / "crypto-checkout.log").read_text("utf-8", "replace")

    def close(self) -> None:
        for name in SHOPS:
            self.run(f"{name}$ systemctl disable --now crypto-checkout")
        for server in self.servers.values():
            server.remove()

    @staticmethod
    def _manage(server: PostgresqlServer, how: list[str]) -> None:
        if how[0] in {"restart", "stop", "disable"} and server.is_running:
            server.stop()
        if how[0] in {"restart", "start"}:
            server.start()

    def _here(self, machine: str, text: str) -> str:
        text = text.replace(" --pwprompt", "")  # all may in
        for name, server in self.servers.items():
            text = text.replace(f"{name}.example.com", str(server.folder))
        if machine in self.servers:
            return text.replace(DATA, str(self.servers[machine].folder / "data"))
        text = text.replace("shop-2.example.com:/", f"shop-2.example.com:{self.folder}/shop-2/")
        return re.sub(r"(?<![\w./-])/(?=(var|etc)/)", f"{self.folder}/{machine}/", text)


@pytest.fixture
def machines(postgresql_server: PostgresqlServer, tmp_path: Path) -> Iterator[Machines]:
    made = Machines(tmp_path, postgresql_server.programs)
    try:
        yield made
    finally:
        made.close()


def block(info: str) -> str:
    """Return the text of a block in the guide."""
    (text,) = re.findall(rf"^```{info}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    return str(text)


def configuration(machines: Machines) -> str:
    """Return the guide's, with the two servers and the proxy where they are here."""
    hosts = ",".join(str(each.folder) for each in machines.servers.values())
    text = re.sub(r"postgresql://[^\"]*", f"postgresql://checkout@/checkout?host={hosts}", block("toml"))
    return re.sub(r"\b(0\.0\.0\.0|10\.0\.0\.10)\b", "127.0.0.1", text)


def is_said(machines: Machines, line: str, what: str) -> bool:
    """Tell whether a command prints something."""
    return what in machines.run(line)


def sell(url: str, key: str, names: range) -> dict[str, str]:
    """Make sessions, each until it is answered; return their addresses by their ids."""
    sold: dict[str, str] = {}
    with httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=WAIT_SECONDS, trust_env=False) as client:
        for name in names:
            answers: list[Any] = []

            def is_sold(name: int = name, answers: list[Any] = answers) -> bool:
                order = {"Idempotency-Key": f"order-{name}"}
                answer = client.post(f"{url}/api/v1/checkout_sessions", json=NEW, headers=order)
                answers.append(answer.json() if answer.status_code == 201 else None)
                return answers[-1] is not None

            wait_until(is_sold, f"sell order {name}")
            sold[answers[-1]["id"]] = answers[-1]["address"]
    return sold


def test_the_commands_of_the_guide_make_a_shop_that_outlives_a_machine(machines: Machines, tmp_path: Path) -> None:
    program = found("nginx", nginx.find(), "there is no nginx: apt-get install nginx")
    first, second = machines.servers.values()
    first.start()
    second.prepare_folder()
    (second.folder / "data").mkdir()
    for line in commands(GUIDE, "A database server and its standby"):
        if "pg_stat_replication" in line:
            wait_until(partial(is_said, machines, line, "| sync\n"), "follow")
        else:
            machines.run(line)

    text = configuration(machines)
    (tmp_path / "shop-1/var/lib/crypto-checkout/checkout.toml").write_text(text, "utf-8")
    machines.run("shop-1$ systemctl enable --now crypto-checkout")
    wait_until(lambda: SHOP_KEY.search(machines.log("shop-1")), "serve", output=lambda: machines.log("shop-1"))
    (key,) = SHOP_KEY.findall(machines.log("shop-1"))[:1]
    *others, leader = commands(GUIDE, "Two servers")
    for line in others:
        machines.run(line)
    wait_until(lambda: is_alive(f"http://127.0.0.1:{machines.ports['shop-2']}"), "serve")
    assert "has led since" in machines.run(leader)

    upstream = block("nginx upstream")
    for name, port in machines.ports.items():
        upstream = upstream.replace(f"{name}.example.com:4020", f"127.0.0.1:{port}")
    site = f"location / {{ proxy_pass http://checkout; proxy_http_version 1.1; {block('nginx location')} }}"
    with Nginx(program, tmp_path, {"shop": site}, upstream=upstream) as proxy:
        url = proxy.urls["shop"]
        sold = sell(url, key, range(6))
        (hand_over,) = commands(GUIDE, "Update")
        machines.run(hand_over)
        machines.run("shop-1$ systemctl disable --now crypto-checkout")
        sold |= sell(url, key, range(6, 12))
        machines.run("shop-1$ systemctl enable --now crypto-checkout")
        for line in commands(GUIDE, "Fail over"):
            machines.run(line)
        sold |= sell(url, key, range(12, 18))
        assert len({*sold.values()}) == 18
        with httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=WAIT_SECONDS, trust_env=False) as client:
            for session_id, address in sold.items():
                assert client.get(f"{url}/api/v1/checkout_sessions/{session_id}").json()["address"] == address


def test_every_command_of_the_guide_is_run_above() -> None:
    sections = ("A database server and its standby", "Two servers", "Update", "Fail over")
    assert sorted(line for heading in sections for line in commands(GUIDE, heading)) == sorted(
        line.strip() for line in GUIDE.splitlines() if re.match(r"\s*(db|shop)-\d\$ ", line)
    )
