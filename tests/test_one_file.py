"""The one file that `scripts/build` makes: it does all that the package does, on a machine without Python."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from pyrage import x25519

from crypto_checkout.core.sandbox import Scenario
from tests.support.anvil import Anvil
from tests.support.machine import booted
from tests.support.server import KEY, LISTENING, command
from tests.support.shop import FRESH_XPUB
from tests.support.waiting import WAIT_SECONDS, wait_until

pytestmark = [pytest.mark.heavy, pytest.mark.process]

ROOT = Path(__file__).parent.parent
MOST_BYTES = 50_000_000
BARE = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "CHECKOUT__SERVER__PORT": "0"}
SECONDS = 120
PRICE = {"amount": {"value": "10.00", "currency": "USD"}}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it once, by the script itself."""
    folder = tmp_path_factory.mktemp("one-file")
    subprocess.run([ROOT / "scripts" / "build", folder], check=True, timeout=1200)
    return folder / "crypto-checkout"


def run(program: Path, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [program, *arguments], cwd=folder, env=BARE, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def serving(before: Sequence[str | Path], folder: Path) -> Iterator[httpx.Client]:
    """Run a server; yield a client of its API with the key that it prints."""
    out = folder / "serve.out"
    with out.open("wb") as log:
        process = subprocess.Popen([*before, "serve"], cwd=folder, env=BARE, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until(
            lambda: KEY.search(out.read_text("utf-8")),
            "a key",
            is_running=lambda: process.poll() is None,
            output=lambda: out.read_text("utf-8"),
        )
        text = out.read_text("utf-8")
        url, key = LISTENING.search(text), KEY.search(text)
        assert url is not None, text
        assert key is not None, text
        headers = {"Authorization": f"Bearer {key[0]}"}
        with httpx.Client(base_url=url[1], headers=headers, timeout=WAIT_SECONDS, trust_env=False) as client:
            yield client
    finally:
        process.terminate()
        process.wait(SECONDS)


def get_paid(client: httpx.Client) -> None:
    """Ask for money, open the payer's page, pay, and read the documentation and the dashboard."""
    made = client.post("/api/v1/checkout_sessions", json=PRICE).raise_for_status().json()
    page = client.get(f"/checkout/{made['id']}", headers={"Accept-Language": "ar"}).raise_for_status().text
    assert 'dir="rtl"' in page
    assert made["address"] in re.sub(r"<[^>]*>|\s", "", page)
    pay = client.post(f"/api/v1/test_helpers/checkout_sessions/{made['id']}/pay", json={"scenario": "exact"})
    assert pay.raise_for_status().json()["status"] == "paid"
    for path in (
        "/docs",
        "/docs/chains",
        "/dashboard",
        "/openapi.json",
        "/metrics",
        f"/checkout/{made['id']}/preview.png",
    ):
        assert client.get(path, follow_redirects=True).status_code in {200, 404}, path
    assert "checkout_sessions" in client.get("/docs").raise_for_status().text


def test_its_size_checksum_and_bill_of_materials_are_as_promised(program: Path) -> None:
    assert program.stat().st_size < MOST_BYTES
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    bill = json.loads(program.with_name("crypto-checkout.cdx.json").read_text("utf-8"))
    sums = program.with_name("crypto-checkout.sha256").read_text("utf-8").splitlines()
    assert sums[0] == f"{digest}  crypto-checkout"
    assert bill["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": digest}]
    versions = {each["name"]: each["version"] for each in bill["components"]}
    assert {name: versions[name] for name in ("starlette", "web3")} == {
        name: version(name) for name in ("starlette", "web3")
    }
    assert {"cpython", "openssl", "sqlite"} <= versions.keys()
    assert not {"pip", "pyinstaller"} & versions.keys()
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--strict", "crypto-checkout.sha256"], cwd=program.parent, check=True)


def test_it_says_what_the_package_says(program: Path, tmp_path: Path) -> None:
    assert run(program, tmp_path, "--help") == command(tmp_path, "--help").stdout
    assert run(program, tmp_path, "openapi") == command(tmp_path, "openapi").stdout
    told = json.loads(run(program, tmp_path, "version", "--json"))
    assert told["oneFile"] is True
    assert told["commit"] == json.loads(command(tmp_path, "version", "--json").stdout)["commit"]


def test_it_serves_and_is_paid(program: Path, tmp_path: Path) -> None:
    with serving([program], tmp_path) as client:
        get_paid(client)
    assert f"{program} init" in (tmp_path / "serve.out").read_text("utf-8")


def test_it_encrypts_backups_and_restores_them(program: Path, tmp_path: Path) -> None:
    with serving([program], tmp_path) as client:
        get_paid(client)
    identity = x25519.Identity.generate()
    (tmp_path / "identity").write_text(f"{identity}\n", "utf-8")
    run(program, tmp_path, "backup", "copy.db.age", "--encrypt-to", str(identity.to_public()))
    run(program, tmp_path, "restore", "copy.db.age", "--identity", "identity")
    (tmp_path / "checkout.toml").write_text('[backup]\npassphrase = "correct horse battery"\n', "utf-8")
    run(program, tmp_path, "backup")
    assert "is now restored" in run(program, tmp_path, "restore", "latest")


def test_its_demo_plays_every_scenario_with_servers_of_its_own(program: Path, tmp_path: Path) -> None:
    played = json.loads(run(program, tmp_path, "demo", "--sandbox", "--json"))
    assert played["ok"] is True, played["problems"]
    assert len(played["scenarios"]) == len(Scenario)


@pytest.mark.anvil
def test_it_follows_a_real_chain(program: Path, tmp_path: Path, anvil: Callable[..., Anvil]) -> None:
    (tmp_path / "checkout.toml").write_text(
        f'[wallet]\nxpub = "{FRESH_XPUB}"\n[[chains]]\nid = 31337\nname = "Anvil"\nrpc_urls = ["{anvil().url}"]\n',
        "utf-8",
    )
    with serving([program], tmp_path) as client:
        wait_until(lambda: client.get("/readyz").status_code == httpx.codes.OK, "the chain")
        key = json.loads(run(program, tmp_path, "keys", "create", "--mode", "live", "--name", "shop", "--json"))["key"]
        client.headers["Authorization"] = f"Bearer {key}"
        # No price without a network, but the answer says so, and no other thing is wrong.
        answer = client.post("/api/v1/checkout_sessions", json=PRICE)
        assert answer.json().get("error", {}).get("code") in {None, "price_unavailable"}


def test_it_runs_as_an_ordinary_user_where_there_is_no_python(program: Path, tmp_path: Path) -> None:
    bootstrap, chroot = (shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") for name in ("debootstrap", "chroot"))
    if os.geteuid() != 0 or bootstrap is None or chroot is None:
        pytest.skip("this takes root and debootstrap, and its network: apt-get install debootstrap")
    system = tmp_path / "system"
    with (tmp_path / "debootstrap.log").open("wb") as log:
        subprocess.run(
            [bootstrap, "--variant=minbase", "stable", system], stdout=log, stderr=log, check=True, timeout=900
        )
    assert not [*system.glob("usr/bin/python*")]
    home = system / "srv" / "shop"
    home.mkdir(parents=True)
    shutil.copy2(program, home)
    for path in (home, home / program.name):
        os.chown(path, 65534, 65534)
    inside = [chroot, "--userspec=65534:65534", str(system), "/usr/bin/env", "-C", "/srv/shop", "./crypto-checkout"]
    with serving(inside, home) as client:
        get_paid(client)


def test_it_installs_itself_and_a_newer_one_takes_its_place(program: Path, tmp_path: Path) -> None:
    """Try what a program copies and replaces; `tests.cli.install` tries the rest, from a Python environment."""
    installed, unit = Path("/usr/local/bin/crypto-checkout"), Path("/etc/systemd/system/crypto-checkout.service")
    newer = tmp_path / "newer"
    shutil.copy2(program, newer)
    with newer.open("ab") as file:
        file.write(bytes(16))
    with booted(tmp_path, {"/srv/old": program.parent, "/srv/new": tmp_path}) as machine:
        machine.run("sh", "-c", "mkdir -p /srv/own && cp /srv/old/crypto-checkout /srv/own/")
        first = machine.run("/srv/own/crypto-checkout", "install", "--yes").stdout
        assert machine.path(installed).read_bytes() == program.read_bytes()
        key, url = KEY.search(first), LISTENING.search(first)
        assert key is not None, first
        assert url is not None, first
        headers = {"Authorization": f"Bearer {key[0]}"}
        with (
            machine.network(),
            httpx.Client(base_url=url[1], headers=headers, timeout=WAIT_SECONDS, trust_env=False) as client,
        ):
            get_paid(client)
        assert machine.run(installed, "install").stdout.startswith("Nothing to do")

        dry = machine.run("/srv/new/newer", "install", "--dry-run").stdout
        assert "stop the server, and replace /usr/local/bin/crypto-checkout by this program" in dry
        done = machine.run("/srv/new/newer", "install", "--yes").stdout
        assert "Step 2 of 2 is done" in done
        assert machine.path(installed).read_bytes() == newer.read_bytes()
        assert machine.path(f"{installed}.previous").read_bytes() == program.read_bytes()
        log = machine.run("journalctl", "--unit=crypto-checkout", "--output=cat").stdout
        assert log.count("Stopped. Everything is saved.") == 1
        with (
            machine.network(),
            httpx.Client(base_url=url[1], headers=headers, timeout=WAIT_SECONDS, trust_env=False) as client,
        ):
            assert client.get("/api/v1/checkout_sessions").raise_for_status().json()["data"]
            get_paid(client)

        back = machine.run(f"{installed}.previous", "install", "--yes").stdout
        assert "Step 2 of 2 is done" in back
        assert machine.path(installed).read_bytes() == program.read_bytes()
        machine.run(installed, "uninstall", "--yes")
        gone = (installed, Path(f"{installed}.previous"), unit)
        assert not [place for place in gone if machine.path(place).exists()]
        assert machine.path("/var/lib/crypto-checkout/checkout-data/checkout.db").exists()


@pytest.mark.parametrize(
    ("before", "why", "place"),
    [
        ("mount -t tmpfs -o size=9m tmpfs /usr/local/bin", "The disk is full: make room on it", None),
        ("mount --bind /usr /usr && mount -o remount,bind,ro /usr", "", "/opt/bin/crypto-checkout"),
        ("mount -o remount,bind,ro /opt; mount --bind /usr /usr && mount -o remount,bind,ro /usr", "read-only", None),
        ("printf '#!/bin/sh\\n' >/usr/local/bin/crypto-checkout", "is another program", None),
    ],
)
def test_it_is_put_where_it_can_be(program: Path, tmp_path: Path, before: str, why: str, place: str | None) -> None:
    (tmp_path / "opt").mkdir()
    with booted(tmp_path, {"/srv/old": program.parent, "/opt": tmp_path / "opt"}) as machine:
        machine.run("sh", "-c", before)
        done = machine.run("/srv/old/crypto-checkout", "install", "--yes", check=place is not None)
        assert why in done.stderr
        assert "Traceback" not in done.stderr
        if place is not None:
            assert machine.path(place).exists()
            unit = machine.path("/etc/systemd/system/crypto-checkout.service").read_text("utf-8")
            assert f"\nExecStart={place} --config" in unit
            machine.run(place, "uninstall", "--yes")
            assert not machine.path(place).exists()
