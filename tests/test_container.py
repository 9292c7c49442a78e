"""The image that the Containerfile makes: run as an ordinary user, without rights, on a machine of the test's own.

Building takes buildah, debootstrap (for the base, in place of a registry's) and a network for packages.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.machine import Machine, booted
from tests.support.server import KEY
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.heavy, pytest.mark.process]

ROOT = Path(__file__).parent.parent
MOST_BYTES = 200_000_000
"""The image, without Debian."""
URL = "http://127.0.0.1:4020"
USER = 4242
PRICE = {"amount": {"value": "10.00", "currency": "USD"}}
LIMITS = "--ulimit nofile=1000:1000 --ulimit nproc=1000:1000 --cgroups=disabled"
"""What a machine in a machine doesn't allow: raising limits, and control groups of a user's own."""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it, and return a folder with its archive, `image.tar`, and its description, `image.json`."""
    for tool in ("buildah", "podman", "debootstrap"):
        if shutil.which(tool) is None:
            pytest.skip("this takes buildah, podman and debootstrap: apt-get install buildah podman debootstrap")
    folder = tmp_path_factory.mktemp("container")
    storage = ["--root", str(folder / "root"), "--runroot", str(folder / "run"), "--storage-driver", "vfs"]

    def run(*command: str | Path) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout.strip()

    run("debootstrap", "--variant=minbase", "trixie", folder / "debian")
    container = run("buildah", *storage, "from", "scratch")
    run("buildah", *storage, "add", "--quiet", container, folder / "debian", "/")
    run("buildah", *storage, "commit", "--quiet", container, "localhost/debian")
    options = ("--isolation", "chroot", "--format", "docker", "--build-arg", "BASE=localhost/debian")
    mounts = [option for each in pip_settings(folder) for option in ("--volume", each)]
    run("buildah", *storage, "bud", *options, *mounts, "--tag", "localhost/crypto-checkout", ROOT)
    run("buildah", *storage, "push", "--quiet", "localhost/crypto-checkout", f"docker-archive:{folder}/image.tar:shop")
    described = json.loads(run("buildah", *storage, "inspect", "--type", "image", "localhost/crypto-checkout"))
    images = json.loads(run("buildah", *storage, "images", "--json"))
    sizes = {each["names"][0].partition(":")[0]: to_bytes(each["size"]) for each in images if each["names"]}
    described["ownBytes"] = sizes["localhost/crypto-checkout"] - sizes["localhost/debian"]
    (folder / "image.json").write_text(json.dumps(described), "utf-8")
    folder.chmod(0o755)
    for place in ("root", "run", "debian"):
        shutil.rmtree(folder / place)
    return folder


def to_bytes(text: str) -> float:
    number, unit = text.split()
    return float(number) * {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9}[unit.upper()]


def pip_settings(folder: Path) -> list[str]:
    """Return the mounts by which pip inside the build asks where pip asks here; none where it asks the default."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    lines, mounts = ["[global]"], []
    for name, value in re.findall(
        r"^[\w:]+\.(cert|find-links|index-url|extra-index-url)='(.*)'$", listed, re.MULTILINE
    ):
        if name == "cert":
            mounts.append(f"{value}:/opt/cert.pem:ro")
            lines.append("cert = /opt/cert.pem")
            continue
        lines.append(f"{name} = {value}")
        for place in re.findall(r"(?:file://|^|\s)(/[^\s]+)", value):
            top = "/" + "/".join(Path(place).parts[1:3])
            if Path(top).is_dir():
                mounts.append(f"{top}:{top}:ro")
    file = folder / "pip.conf"
    file.write_text("\n".join(dict.fromkeys(lines)) + "\n", "utf-8")
    return [*dict.fromkeys([*mounts, f"{file}:/etc/pip.conf:ro"])]


class Podman:
    """An ordinary user's podman on a machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        home, run = "/home/owner", f"/run/user/{USER}"
        machine.run("useradd", "--create-home", "--uid", str(USER), "owner")
        machine.run("install", "-d", "-o", "owner", "-m", "700", run, "/srv/storage/own")
        user = f"setpriv --reuid={USER} --regid={USER} --init-groups env -C {home} HOME={home} XDG_RUNTIME_DIR={run}"
        self._command = f"{user} podman --root /srv/storage/own/root --runroot {run}/c --storage-driver vfs".split()

    def __call__(self, *arguments: str, check: bool = True) -> str:
        done = self._machine.run(*self._command, *arguments, check=check)
        return done.stdout + done.stderr


@contextmanager
def shop(machine: Machine, key: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {key}"}
    with machine.network(), httpx.Client(base_url=URL, headers=headers, timeout=60, trust_env=False) as client:
        yield client


def test_its_description_and_size_are_as_promised(image: Path) -> None:
    described = json.loads((image / "image.json").read_text("utf-8"))
    config = described["Docker"]["config"]
    assert config["User"] == "10001:10001"
    assert config["Volumes"] == {"/data": {}}
    assert config["StopSignal"] == "SIGTERM"
    assert "/healthz" in config["Healthcheck"]["Test"][1]
    assert described["ownBytes"] < MOST_BYTES


def test_it_is_paid_without_rights_and_its_volume_outlives_it(image: Path, tmp_path: Path) -> None:
    storage = image / "storage"
    storage.mkdir()
    storage.chmod(0o755)
    with booted(tmp_path, {"/srv/image": image, "/srv/storage": storage}) as machine:
        podman = Podman(machine)
        podman("load", "--quiet", "--input", "/srv/image/image.tar")
        safe = "--read-only --cap-drop all --security-opt no-new-privileges --volume shop:/data"
        start = f"run --detach --name shop {safe} --publish 127.0.0.1:4020:4020 {LIMITS} shop".split()
        podman(*start)
        wait_until(lambda: KEY.search(podman("logs", "shop")), "a key", output=lambda: podman("logs", "shop"))
        key = KEY.findall(podman("logs", "shop"))[0]
        with shop(machine, key) as client:
            made = client.post("/api/v1/checkout_sessions", json=PRICE).raise_for_status().json()
            paid = client.post(f"/api/v1/test_helpers/checkout_sessions/{made['id']}/pay", json={"scenario": "exact"})
            assert paid.raise_for_status().json()["status"] == "paid"
        podman("healthcheck", "run", "shop")
        assert "10001" in podman("exec", "shop", "id", "-u")
        assert "running as process" in podman("exec", "shop", "crypto-checkout", "doctor", check=False)
        podman("exec", "shop", "crypto-checkout", "init")
        podman("exec", "shop", "sh", "-c", "touch /data/own")
        assert "Read-only" in podman("exec", "shop", "sh", "-c", "touch /opt/own", check=False)
        podman("stop", "shop")
        assert "Stopped. Everything is saved." in podman("logs", "shop")
        assert podman("inspect", "--format", "{{.State.ExitCode}}", "shop").split()[0] == "0"
        podman("rm", "shop")
        podman(*start)
        wait_until(lambda: "listens on" in podman("logs", "shop"), "a start", output=lambda: podman("logs", "shop"))
        with shop(machine, key) as client:
            assert client.get(f"/api/v1/checkout_sessions/{made['id']}").is_success
        podman("rm", "--force", "shop")
        shutil.rmtree(storage)
