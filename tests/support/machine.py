"""A machine of the test's own: this one's files under a layer that takes all changes, run by systemd as process 1.

    with booted(tmp_path) as machine:
        machine.run("systemctl", "is-system-running")
        with machine.network():
            httpx.get("http://127.0.0.1:4020/healthz")

It has its own processes, network, users, journal and /tmp, in namespaces of the kernel. What was written stays through
`reboot`. It takes root and systemd's files; without them the test is skipped.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.waiting import wait_until

SYSTEMD = Path("/usr/lib/systemd/systemd")
SECONDS = 180
_NEW_NETWORK = 0x40000000
_ENTER = ("--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--root", "--wd")
_UNWANTED = "etc/systemd/system/*.wants etc/systemd/system/*.service etc/cron.* usr/local/bin/crypto-checkout"
_OPTIONS = "--system --unit=multi-user.target --show-status=no systemd.unified_cgroup_hierarchy=1"
_BOOT = r"""
set -e
mkdir -p "$GROUP"
echo $$ >"$GROUP/cgroup.procs"
exec unshare --cgroup --mount --pid --fork --kill-child --uts --ipc --net bash -c '
set -e
mount --make-rprivate /
[ -d "$DISK/upper" ] || NEW=yes
mkdir -p "$DISK/upper" "$DISK/work" "$DISK/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$DISK/upper,workdir=$DISK/work" "$DISK/root"
cd "$DISK/root"
[ -z "$NEW" ] || rm -rf $UNWANTED
mkdir -p etc/systemd/system
mount -t proc proc proc
mount -t sysfs sysfs sys -o ro
mount -t cgroup2 cgroup2 sys/fs/cgroup
for place in run dev tmp; do mount -t tmpfs tmpfs $place -o mode=755; done
chmod 1777 tmp
mkdir dev/pts dev/shm
mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mkdir dev/net
for device in null zero full random urandom tty net/tun; do
    [ ! -e /dev/$device ] || { touch dev/$device; mount --bind /dev/$device dev/$device; }
done
for place in $SHOWN; do mkdir -p ".${place#*:}"; mount --bind "${place%%:*}" ".${place#*:}"; done
mkdir -p .before
pivot_root . .before
exec env --ignore-environment container=test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    chroot / sh -c "umount --lazy /.before; exec $SYSTEMD"
'
"""


class Machine:
    """A running machine. `shown` are folders of this one at places of their own in it: {"/opt/source": folder}."""

    def __init__(self, disk: Path, group: Path, shown: dict[str, Path]) -> None:
        self._disk, self._group, self._shown = disk, group, shown
        self._process: subprocess.Popen[bytes] | None = None
        self._boot()

    def run(self, *command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program as root in it, to its end."""
        done = subprocess.run(self.inside(*command), capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == 0 or not check, f"{command}: {done.stdout}\n{done.stderr}"
        return done

    def inside(self, *command: str | Path) -> list[str]:
        """Return the command that runs a program as root in it."""
        environ = ("env", "--ignore-environment", "HOME=/root", "LANG=C.UTF-8")
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return ["nsenter", f"--target={self._first()}", *_ENTER, *environ, path, *map(str, command)]

    def path(self, place: str | Path) -> Path:
        """Return the path of one of its files as seen from here."""
        return Path(f"/proc/{self._first()}/root{place}")

    @contextmanager
    def network(self) -> Iterator[None]:
        """Let this thread's new connections be those of the machine."""
        libc = ctypes.CDLL(None, use_errno=True)
        ours = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)
        theirs = os.open(f"/proc/{self._first()}/ns/net", os.O_RDONLY)
        try:
            assert libc.setns(theirs, _NEW_NETWORK) == 0, os.strerror(ctypes.get_errno())
            yield
        finally:
            libc.setns(ours, _NEW_NETWORK)
            os.close(ours)
            os.close(theirs)

    def reboot(self) -> None:
        """Cut its power, and start it again."""
        self.cut_power()
        self._boot()

    def cut_power(self) -> None:
        """End all that runs in it at once. Repeating is safe."""
        process, self._process = self._process, None
        if process is None:
            return
        for child in _children(process.pid):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)  # the first process of its space: all others end with it
        process.kill()
        process.wait()
        _remove_group(self._group)

    def _boot(self) -> None:
        environ = {
            "PATH": os.environ["PATH"],
            "GROUP": str(self._group),
            "DISK": str(self._disk),
            "SYSTEMD": f"{SYSTEMD} {_OPTIONS}",
            "NEW": "",
            "UNWANTED": _UNWANTED,
            "SHOWN": " ".join(f"{place}:{where}" for where, place in self._shown.items()),
        }
        log = self._disk.with_name("boot.log")
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                ["bash", "-c", _BOOT], env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        process = self._process
        wait_until(
            self._has_booted,
            "the machine",
            is_running=lambda: process.poll() is None,
            output=lambda: log.read_text("utf-8"),
        )

    def _has_booted(self) -> bool:
        with suppress(OSError, IndexError):  # there is no first process yet, or it has just ended
            if Path(f"/proc/{self._first()}/comm").read_text("ascii").strip() == "systemd":
                return self.run("systemctl", "is-system-running", check=False).stdout.strip() in {"running", "degraded"}
        return False

    def _first(self) -> int:
        assert self._process is not None, "it is switched off"
        return _children(self._process.pid)[0]


@contextmanager
def booted(folder: Path, shown: dict[str, Path] | None = None) -> Iterator[Machine]:
    """Start a machine whose changes are kept in memory, below a folder; skip the test where that can't be."""
    groups = _groups()
    tools = [shutil.which(name) for name in ("unshare", "nsenter", "pivot_root", "mount")]
    if os.geteuid() != 0 or not SYSTEMD.exists() or groups is None or None in tools:
        pytest.skip("a machine of its own takes root, systemd and util-linux: apt-get install systemd")
    disk = folder / "machine"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", disk], check=True)
    machine = None
    try:
        machine = Machine(disk, groups / f"checkout-test-{os.getpid()}-{time.monotonic_ns()}", shown or {})
        yield machine
    finally:
        if machine is not None:
            machine.cut_power()
        subprocess.run(["umount", "--lazy", disk], check=True)


def _children(pid: int) -> list[int]:
    try:
        return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split())]
    except FileNotFoundError:
        return []


def _groups() -> Path | None:
    """Return where this process may make control groups, of the kind that systemd wants."""
    for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2":
            own = next(
                line for line in Path("/proc/self/cgroup").read_text("ascii").splitlines() if line.startswith("0:")
            )
            return Path(fields[4]) / own.partition("::")[2].strip("/")
    return None


def _remove_group(group: Path) -> None:
    def is_gone() -> bool:
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
        return not group.exists()

    _soon(is_gone)


def _soon(condition: Callable[[], bool]) -> None:
    wait_until(condition, "an end", is_running=lambda: True, output=lambda: "")
