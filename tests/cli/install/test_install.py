"""`crypto-checkout install` and `uninstall` on a machine that systemd runs, from a Python environment.

`tests.test_one_file` installs and upgrades the one file.
"""

import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from crypto_checkout.cli import main
from crypto_checkout.cli.install import install, service, unit
from crypto_checkout.cli.install.places import Program
from crypto_checkout.config import load
from crypto_checkout.core.backups import Rotation
from crypto_checkout.http.docs.contents import guide_text
from crypto_checkout.store.age_files import Encryption
from crypto_checkout.store.backups.making import Job
from crypto_checkout.store.backups.worker import to_line
from tests.support.machine import Machine, booted
from tests.support.server import KEY
from tests.support.waiting import WAIT_SECONDS, wait_until

pytestmark = [pytest.mark.heavy, pytest.mark.process]

ROOT = Path(__file__).parent.parent.parent.parent
ENVIRONMENT = Path("/opt/checkout")
PROGRAM = ENVIRONMENT / "bin" / "crypto-checkout"
FOLDER = Path("/var/lib/crypto-checkout")
CONFIG = FOLDER / "checkout.toml"
DATA = FOLDER / "checkout-data"
UNIT = Path("/etc/systemd/system/crypto-checkout.service")
URL = "http://127.0.0.1:4020"
COLD = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
PRICE = {"amount": {"value": "10.00", "currency": "USD"}}
SCRIPT = f"""\
#!/bin/sh
LD_LIBRARY_PATH=/opt/python/lib exec {ENVIRONMENT}/bin/python -m crypto_checkout "$@"
"""
STEP = re.compile(r"^Step \d+ of (\d+) is done", re.MULTILINE)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine with the program in an environment at /opt: this one's Python, packages and source, at other places."""
    source = ROOT / "crypto_checkout"
    packages = Path(httpx.__file__).parent.parent
    shown = {"/opt/python": Path(sys.base_prefix), "/opt/packages": packages, "/opt/source/crypto_checkout": source}
    with booted(tmp_path, shown) as made:
        made.run("/opt/python/bin/python3", "-m", "venv", "--without-pip", ENVIRONMENT)
        (site,) = made.path(ENVIRONMENT).glob("lib/python3*/site-packages")
        (site / "shown.pth").write_text("/opt/source\n/opt/packages\n", "utf-8")
        made.path(PROGRAM).write_text(SCRIPT, "utf-8")
        made.path(PROGRAM).chmod(0o755)
        yield made


def rights(machine: Machine, place: Path) -> tuple[str, str, int]:
    """Return the names of a file's user and group in the machine, and its rights."""
    owner, group, mode = machine.run("stat", "--format=%U %G %a", place).stdout.split()
    return owner, group, int(mode, 8)


def shown(machine: Machine, name: str) -> str:
    return machine.run("systemctl", "show", "crypto-checkout", f"--property={name}", "--value").stdout.strip()


def get_paid(machine: Machine, key: str) -> str:
    """Take a payment in test mode, and return its session's id."""
    with (
        machine.network(),
        httpx.Client(base_url=URL, headers={"Authorization": f"Bearer {key}"}, timeout=60, trust_env=False) as client,
    ):
        made = client.post("/api/v1/checkout_sessions", json=PRICE).raise_for_status().json()
        paid = client.post(f"/api/v1/test_helpers/checkout_sessions/{made['id']}/pay", json={"scenario": "exact"})
        assert paid.raise_for_status().json()["status"] == "paid"
        return str(made["id"])


def has_session(machine: Machine, key: str, session: str) -> bool:
    with machine.network():
        answer = httpx.get(
            f"{URL}/api/v1/checkout_sessions/{session}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=WAIT_SECONDS,
            trust_env=False,
        )
    return answer.is_success


def answers(machine: Machine) -> bool:
    try:
        with machine.network():
            return httpx.get(f"{URL}/healthz", timeout=WAIT_SECONDS, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def as_server(machine: Machine, command: str) -> subprocess.CompletedProcess[str]:
    """Run a shell's command as the server's user, in the server's own view of the files, with its rights."""
    pid = shown(machine, "MainPID")
    enter = ("nsenter", f"--target={pid}", "--mount", "setpriv", "--reuid=crypto-checkout", "--regid=crypto-checkout")
    return machine.run(*enter, "--init-groups", "sh", "-c", command, check=False)


# --- on a machine ----------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_the_steps_and_does_none(machine: Machine) -> None:
    dry = machine.run(PROGRAM, "install", "--dry-run").stdout
    assert "Nothing is done. It would:" in dry
    assert not machine.path(FOLDER).exists()
    assert not machine.path(UNIT).exists()
    assert machine.run("id", "crypto-checkout", check=False).returncode != 0
    done = machine.run(PROGRAM, "install", "--yes").stdout
    assert dry.partition("\n")[2].rstrip() in done
    assert int(STEP.findall(done)[0]) == len(re.findall(r"^ +\d+\. ", dry, re.MULTILINE))


def test_it_installs_a_server_that_is_paid_and_repeating_changes_nothing(machine: Machine) -> None:
    done = machine.run(PROGRAM, "install", "--yes").stdout
    key, link = KEY.search(done), re.search(rf"{URL}(/dashboard/set-up\?token=\S+)", done)
    assert key is not None, done
    assert link is not None, done
    with machine.network():
        assert httpx.get(link[0], timeout=WAIT_SECONDS, trust_env=False).is_success
    session = get_paid(machine, key[0])

    before = shown(machine, "InvocationID")
    again = machine.run(PROGRAM, "install").stdout
    assert again.startswith("Nothing to do: everything is in place.")
    assert shown(machine, "InvocationID") == before

    machine.reboot()
    wait_until(lambda: answers(machine), "the server after a power cut")
    assert has_session(machine, key[0], session)


def test_it_stops_as_it_does_by_hand(machine: Machine) -> None:
    machine.run(PROGRAM, "install", "--yes")
    machine.run("systemctl", "stop", "crypto-checkout")
    log = machine.run("journalctl", "--unit=crypto-checkout", "--output=cat").stdout
    assert "Stopped. Everything is saved." in log
    assert shown(machine, "Result") == "success"


def test_the_server_can_write_its_data_and_nothing_else(machine: Machine) -> None:
    machine.run(PROGRAM, "install", "--yes")
    assert as_server(machine, f"touch {DATA}/mine && rm {DATA}/mine").returncode == 0
    for place in (FOLDER / "mine", CONFIG, FOLDER / "environment", Path("/etc/mine"), Path("/var/lib/mine")):
        assert as_server(machine, f"echo 1 >>{place}").returncode != 0, place
    assert as_server(machine, f"mv {CONFIG} {DATA}/").returncode != 0
    assert as_server(machine, "ls /root /home").returncode != 0 or as_server(machine, "ls /home").stdout == ""
    pid = shown(machine, "MainPID")
    status = dict(
        line.split(":\t", 1)
        for line in machine.path(f"/proc/{pid}/status").read_text("ascii").splitlines()
        if ":\t" in line
    )
    assert (status["NoNewPrivs"], status["Seccomp"], status["CapBnd"]) == ("1", "2", "0" * 16)
    assert rights(machine, DATA / "checkout.db") == ("crypto-checkout", "crypto-checkout", 0o600)


def test_all_that_computes_and_all_that_it_starts_runs_under_its_restrictions(machine: Machine) -> None:
    machine.run(PROGRAM, "install", "--yes")
    job = Job(DATA / "checkout.db", DATA / "backups", Encryption(), Rotation(7, 4))
    line = to_line(job, datetime.now(UTC)).decode()
    script = (
        f"(echo '{line.strip()}'; sleep 30) | {PROGRAM} backup-worker\n"
        f"echo 'a long password of nine words, made up today' | {PROGRAM} --config {CONFIG} admin reset-password\n"
    )
    machine.path(FOLDER / "try.sh").write_text(script, "utf-8")
    text = unit.text(Program(PROGRAM)).replace("Type=exec", "Type=oneshot").replace("Restart=on-failure\n", "")
    text = re.sub("ExecStart=.*", f"ExecStart=/bin/sh -e {FOLDER}/try.sh", text)
    machine.path("/etc/systemd/system/try.service").write_text(text, "utf-8")
    machine.run("systemctl", "start", "try")
    log = machine.run("journalctl", "--unit=try", "--output=cat").stdout
    assert '"made":' in log
    assert "The dashboard's password is set" in log
    assert len([*machine.path(DATA / "backups").glob("*.db")]) == 1


def test_its_commands_run_beside_it_as_its_user(machine: Machine) -> None:
    machine.run(PROGRAM, "install", "--yes")
    user = ("setpriv", "--reuid=crypto-checkout", "--regid=crypto-checkout", "--init-groups", "env", "-C", FOLDER)
    assert machine.run(*user, PROGRAM, "keys", "create", "--mode", "test", "--name", "shop").returncode == 0
    machine.run(*user, PROGRAM, "backup", "copy.db")
    closed = ("env", "-C", "/root", *user[:-3])
    for where in (user, closed):
        checks = machine.run(*where, PROGRAM, "doctor", check=False).stdout
        assert "nobody else can read it (700)" in checks
        assert "running as process" in checks
    served = machine.run(*closed, PROGRAM, "restore", "latest", check=False).stderr
    assert "no checked backup" in served
    machine.run(*closed, PROGRAM, "backup")
    served = machine.run(*closed, PROGRAM, "restore", "latest", check=False).stderr
    assert "sudo systemctl stop crypto-checkout" in served


def test_a_lost_machines_backup_is_restored_by_the_guide(machine: Machine) -> None:
    first = machine.run(PROGRAM, "install", "--yes").stdout
    key = KEY.findall(first)[0]
    session = get_paid(machine, key)
    user = ("setpriv", "--reuid=crypto-checkout", "--regid=crypto-checkout", "--init-groups", "env", "-C", FOLDER)
    machine.run(*user, PROGRAM, "backup")
    (backup,) = machine.path(DATA / "backups").glob("checkout-*.db")
    kept = "/srv/kept"
    places = (CONFIG, FOLDER / "environment", DATA / "secret.key", DATA / "backups" / backup.name)
    machine.run("sh", "-c", f"mkdir {kept} && cp {' '.join(map(str, places))} {kept}")
    machine.run(PROGRAM, "uninstall", "--yes")
    machine.run("rm", "-r", FOLDER)

    text = guide_text("operate", "").partition("On a new machine, with what you kept")[2]
    commands = re.findall(r"^\$ (.+)$", text.partition("```console\n")[2].partition("```")[0], re.MULTILINE)
    assert len(commands) == 9
    sudo = 'sudo() { if [ "$1" = -u ]; then user=$2; shift 2; runuser -u "$user" -- "$@"; else "$@"; fi; }'
    script = [f"cd {kept}", sudo]
    for command in commands:
        line = re.sub(r"(\./)?crypto-checkout (?=install|restore)", f"{PROGRAM} ", command)
        line = re.sub(r"checkout-\d+-\d+\.db", backup.name, line)
        script.append(line)
    machine.run("sh", "-ec", "\n".join(script))
    assert answers(machine)
    assert has_session(machine, key, session)
    assert machine.run(PROGRAM, "install").stdout.startswith("Nothing to do")


def test_the_options_fill_the_new_file_and_are_refused_beside_one(machine: Machine) -> None:
    chosen = ("--cold-address", COLD, "--chain", "base", "--public-url", "https://pay.example.com")
    wrong = machine.run(PROGRAM, "install", "--yes", "--public-url", "http://pay.example.com", check=False)
    assert wrong.returncode == 2
    assert "https://" in wrong.stderr
    assert not machine.path(FOLDER).exists()
    done = machine.run(PROGRAM, "install", "--yes", *chosen).stdout
    assert f"Everything will go to {COLD}" in done
    assert "https://pay.example.com/dashboard/set-up?token=" in done
    assert "not ready yet: " in done  # a chain without a network
    config = load(machine.path(CONFIG), {})
    assert (config.server.public_url, config.wallet.cold_address) == ("https://pay.example.com", COLD.lower())
    assert [chain.id for chain in config.chains] == [8453]
    assert [str(each) for each in config.server.trusted_proxies] == ["127.0.0.1/32"]
    again = machine.run(PROGRAM, "install", "--yes", *chosen, check=False)
    assert again.returncode == 2
    assert "is never changed" in again.stderr


def test_it_repairs_what_is_not_as_it_should_be_and_leaves_the_owners_file(machine: Machine) -> None:
    first = machine.run(PROGRAM, "install", "--yes").stdout
    key = KEY.findall(first)[0]
    session = get_paid(machine, key)
    mine = machine.path(CONFIG).read_text("utf-8").replace('name = ""', 'name = "Ada\'s"', 1)
    machine.path(CONFIG).write_text(mine, "utf-8")
    machine.run("chown", "crypto-checkout:", CONFIG)
    machine.run("chmod", "666", CONFIG)
    machine.run("chmod", "755", DATA)
    machine.run("rm", FOLDER / "environment")
    machine.run("chown", "root:", DATA / "secret.key")
    machine.run("sed", "--in-place", "s/^ProtectHome.*//", UNIT)
    machine.run("systemctl", "disable", "crypto-checkout")

    done = machine.run(PROGRAM, "install", "--yes").stdout
    assert "a file of other users" in done
    assert "stop the server, and replace" in done
    assert machine.path(CONFIG).read_text("utf-8") == mine
    assert rights(machine, CONFIG) == ("root", "crypto-checkout", 0o640)
    assert rights(machine, FOLDER) == ("root", "crypto-checkout", 0o1775)
    assert rights(machine, DATA) == ("crypto-checkout", "crypto-checkout", 0o700)
    assert rights(machine, DATA / "secret.key")[0] == "crypto-checkout"
    assert machine.path(UNIT).read_text("utf-8") == unit.text(Program(PROGRAM))
    assert shown(machine, "UnitFileState") == "enabled"
    assert has_session(machine, key, session)
    assert machine.run(PROGRAM, "install").stdout.startswith("Nothing to do")


def test_a_linked_file_in_the_data_folder_is_not_given_away(machine: Machine) -> None:
    machine.run(PROGRAM, "install", "--yes")
    machine.run("cp", "/etc/shadow", FOLDER / "secret")
    machine.run("ln", FOLDER / "secret", DATA / "hard")
    machine.run("ln", "--symbolic", "/etc/shadow", DATA / "soft")
    machine.run(PROGRAM, "install", "--yes")
    assert rights(machine, FOLDER / "secret")[0] == "root"
    assert rights(machine, Path("/etc/shadow"))[0] == "root"


def test_killed_after_any_step_it_goes_on_from_there(machine: Machine) -> None:
    one_step = (
        "import os, signal, sys\n"
        "from crypto_checkout.cli import install, main\n"
        "steps = install.plan.steps\n"
        "kill = install.plan.Step('end', 'kill', lambda: os.kill(os.getpid(), signal.SIGKILL))\n"
        "install.plan.steps = lambda wanted: [*steps(wanted)[:1], *([kill] if steps(wanted)[1:] else [])]\n"
        "main(['install', '--yes'])\n"
    )
    environ = ("env", "LD_LIBRARY_PATH=/opt/python/lib")
    dry = machine.run(PROGRAM, "install", "--dry-run").stdout
    for _ in range(len(re.findall(r"^ +\d+\. ", dry, re.MULTILINE)) - 1):
        killed = machine.run(*environ, ENVIRONMENT / "bin" / "python", "-c", one_step, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert "Step 1 of 2 is done" in killed.stdout
    last = machine.run(PROGRAM, "install", "--yes").stdout
    assert "Step 1 of 1 is done" in last
    assert KEY.search(last)
    assert machine.run(PROGRAM, "install").stdout.startswith("Nothing to do")


def test_killed_at_any_time_it_goes_on_from_there(machine: Machine) -> None:
    dice = random.Random(7)
    for _ in range(10):
        process = subprocess.Popen(
            machine.inside(PROGRAM, dice.choice(["install", "install", "uninstall"]), "--yes"),
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        with suppress(subprocess.TimeoutExpired):
            process.wait(dice.uniform(0.2, 2))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    machine.run(PROGRAM, "install", "--yes")
    assert answers(machine)
    assert machine.run(PROGRAM, "install").stdout.startswith("Nothing to do")
    assert not [*machine.path("/etc/systemd/system").glob(".*part"), *machine.path(FOLDER).glob(".*part")]


def test_uninstalled_it_leaves_the_data_and_installed_again_it_goes_on_with_them(machine: Machine) -> None:
    key = KEY.findall(machine.run(PROGRAM, "install", "--yes").stdout)[0]
    session = get_paid(machine, key)
    dry = machine.run(PROGRAM, "uninstall", "--dry-run").stdout
    assert answers(machine)
    gone = machine.run(PROGRAM, "uninstall", "--yes").stdout
    assert dry.partition("\n")[2].rstrip() in gone
    assert f"{FOLDER} stays" in gone
    assert not answers(machine)
    assert not machine.path(UNIT).exists()
    assert machine.path(PROGRAM).exists()
    assert machine.path(DATA / "checkout.db").exists()
    assert machine.run(PROGRAM, "uninstall").stdout.startswith("Nothing to do")
    machine.run(PROGRAM, "install", "--yes")
    assert has_session(machine, key, session)


def test_an_older_program_is_not_put_before_newer_data_until_its_own_is_restored(machine: Machine) -> None:
    key = KEY.findall(machine.run(PROGRAM, "install", "--yes").stdout)[0]
    session = get_paid(machine, key)
    user = ("setpriv", "--reuid=crypto-checkout", "--regid=crypto-checkout", "--init-groups", "env", "-C", FOLDER)
    before = DATA / "checkout.db.before-9999"
    machine.run(*user, PROGRAM, "backup", before)
    machine.run("systemctl", "stop", "crypto-checkout")
    raise_version = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA user_version = 9999')"
    machine.run(*user, ENVIRONMENT / "bin" / "python", "-c", raise_version, DATA / "checkout.db")
    refused = machine.run(PROGRAM, "install", "--yes", check=False)
    assert refused.returncode == 1
    assert "was written by a newer version" in refused.stderr
    restore = re.search(r"sudo -u crypto-checkout (\S+ --config \S+ restore) FILE", " ".join(refused.stderr.split()))
    assert restore is not None, refused.stderr
    machine.run(*user, *restore[1].split(), before)
    machine.run(PROGRAM, "install", "--yes")
    assert has_session(machine, key, session)


FULL = "mount -t tmpfs -o size=8k tmpfs /etc/systemd/system; head -c 8k /dev/zero >/etc/systemd/system/x"
SETTINGS = f"mkdir {FOLDER}; cat >{CONFIG} <<'END'\n{{}}\nEND"


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ("mount -t tmpfs tmpfs /run/systemd", "systemd doesn't run this machine"),
        (f"printf '[Service]\nWorkingDirectory=/srv/shop\n' >{UNIT}", "by hand, and its server is in /srv/shop"),
        (SETTINGS.format("wrong = 1"), "wrong"),
        (SETTINGS.format('[database]\npath = "/srv/a/b.db"'), "[database] path leads to /srv/a"),
        (SETTINGS.format('[database]\npath = "my.db"'), "name a folder of its own"),
        (SETTINGS.format('[backup]\nfolder = "/home/b"'), "which the unit hides"),
        (FULL, "disk is full"),
        (f"chmod 700 {ENVIRONMENT}", "Other users can't run"),
    ],
)
def test_it_says_why_it_cannot_go_on(machine: Machine, before: str, why: str) -> None:
    machine.run("sh", "-c", before)
    failed = machine.run(PROGRAM, "install", "--yes", check=False)
    assert failed.returncode in {1, 2}
    assert why in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_port_that_another_program_has_is_named_before_anything_is_done(machine: Machine) -> None:
    other = subprocess.Popen(
        machine.inside("/opt/python/bin/python3", "-m", "http.server", "4020", "--bind", "127.0.0.1")
    )
    try:
        with machine.network():
            wait_until(
                lambda: httpx.get(URL, timeout=WAIT_SECONDS, trust_env=False).is_success if _connects() else False,
                "the other",
            )
        failed = machine.run(PROGRAM, "install", "--yes", check=False)
        assert failed.returncode == 1
        assert "Another program listens on 127.0.0.1:4020" in failed.stderr
        assert not machine.path(FOLDER).exists()
    finally:
        other.kill()
        other.wait()


def _connects() -> bool:
    try:
        httpx.get(URL, timeout=WAIT_SECONDS, trust_env=False)
    except httpx.HTTPError:
        return False
    return True


def test_a_server_that_does_not_start_is_shown_with_the_end_of_its_log(machine: Machine) -> None:
    machine.run(PROGRAM, "install", "--yes")
    machine.run("systemctl", "stop", "crypto-checkout")
    machine.run("sh", "-c", f"head -c 100000 /dev/urandom >{DATA}/checkout.db; rm -f {DATA}/checkout.db-*")
    failed = machine.run(PROGRAM, "install", "--yes", check=False)
    assert failed.returncode == 1
    assert "checkout.db" in failed.stderr


# --- without one -----------------------------------------------------------------------------------------------------


def test_only_root_installs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for name in ("install", "uninstall"):
        refused = CliRunner().invoke(main, [name])
        assert refused.exit_code == 1
        assert "run it with sudo" in refused.output


def test_without_systemd_the_way_without_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(service, "BOOTED", tmp_path / "none")
    refused = CliRunner().invoke(install, ["--yes"])
    assert refused.exit_code == 1
    assert "systemd doesn't run this machine" in refused.output


def test_the_systems_own_programs_come_before_those_that_path_finds_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("sh", "only-here"):
        (tmp_path / name).write_text("#!/bin/sh\n", "utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert Path(service.tool("sh")).parent != tmp_path
    assert Path(service.tool("only-here")).parent == tmp_path


@pytest.mark.parametrize("name", ["/opt/a b/c", "/opt/50%/c", "/opt/$x/c"])
def test_a_path_of_odd_characters_is_spelt_for_systemd(name: str) -> None:
    program = Program(Path(name) / "crypto-checkout")
    assert unit.program_of(unit.text(program)) == program.path


def test_backups_elsewhere_may_be_missing() -> None:
    text = unit.text(Program(Path("/opt/x")), DATA, Path("/mnt/backups"))
    assert f"\nReadWritePaths={DATA} -/mnt/backups\n" in text
    assert f"\nReadWritePaths={DATA}\n" in unit.text(Program(Path("/opt/x")), DATA, DATA / "backups")
