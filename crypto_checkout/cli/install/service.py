"""The service as systemd sees it: its state, starting and stopping it, waiting until it answers, and its log."""

import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click

from crypto_checkout.cli.install.places import USER
from crypto_checkout.cli.support.setup import fail

if TYPE_CHECKING:
    from crypto_checkout.config import Config

BOOTED = Path("/run/systemd/system")
"""A folder that is there where systemd runs the machine (sd_booted(3))."""
LOG = f"journalctl -fu {USER}"

_PROPERTIES = "ActiveState,UnitFileState,NRestarts,InvocationID,Result"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TURN_SECONDS = 0.2
_START_SECONDS = 120.0
_MESSAGE_SECONDS = 10.0
_BEGIN = "Crypto Checkout listens on "
_LINES = "400"


@dataclass(frozen=True, slots=True)
class ServiceState:
    """The state of the service."""

    is_active: bool
    """It was started and has not ended since; whether it answers is another question."""
    is_enabled: bool
    restarts: int
    """The times that systemd has started it again since it was last started."""
    invocation: str
    result: str

    @property
    def is_running(self) -> bool:
        """True if it runs and will be started with the machine."""
        return self.is_active and self.is_enabled


def tool(name: str) -> str:
    """Return the path of a program: the system's own, whatever PATH finds first; it may be a user's under `su`."""
    found = shutil.which(name, path=_PATH) or shutil.which(name)
    if found is None:
        fail(f"There is no {name} on this system, which this needs.")
    return found


def run(*command: str) -> str:
    """Run a program of the system and return its output; fail with what it says."""
    done = subprocess.run([tool(command[0]), *command[1:]], capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        fail(f"`{' '.join(command)}` failed: {said}")
    return done.stdout


def require_systemd() -> None:
    """Fail where systemd doesn't run this machine."""
    if not BOOTED.is_dir():
        fail(
            "systemd doesn't run this machine, so there is nothing that could keep the server running. Start it with "
            "what this system has for that: `crypto-checkout serve` stays in the foreground. For a container, see the "
            "guide: /docs/go-live."
        )


def state() -> ServiceState:
    """Ask systemd for the state of the service."""
    shown = run("systemctl", "show", USER, f"--property={_PROPERTIES}")
    found: Mapping[str, str] = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    return ServiceState(
        is_active=found.get("ActiveState") == "active",
        is_enabled=found.get("UnitFileState") == "enabled",
        restarts=int(found.get("NRestarts") or 0),
        invocation=found.get("InvocationID", ""),
        result=found.get("Result", ""),
    )


def environment() -> dict[str, str]:
    """Return the variables that the unit sets, and changes of it by `systemctl edit`."""
    words = shlex.split(run("systemctl", "show", USER, "--property=Environment", "--value"))
    return dict(word.split("=", 1) for word in words if "=" in word)


def stop() -> None:
    """Stop the server and wait until it has ended."""
    run("systemctl", "stop", USER)


def start() -> None:
    """Start the server, now and with the machine."""
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", USER)
    run("systemctl", "restart", USER)


def wait_until_it_answers(config: "Config") -> str:
    """Return the server's URL once it answers; fail with the end of its log if it ends before."""
    from crypto_checkout.store.data_folder import server_notes

    folder = config.database.path.parent
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        now = state()
        if now.restarts or not now.is_active:
            fail(f"The server doesn't start ({now.result}). The end of its log:\n\n{_end_of_log()}\n")
        url = server_notes.url(folder)
        if url is not None and _status(f"{url}/healthz") is not None:
            return url
        time.sleep(_TURN_SECONDS)
    raise click.ClickException(
        f"The server runs but doesn't answer yet; a large database may take this long to bring up to date. Watch it: "
        f"sudo {LOG}"
    )


def unready_parts(url: str) -> list[str]:
    """Return what isn't ready yet, by `/readyz`: "Base: its node doesn't answer"."""
    answer = _status(f"{url}/readyz")
    checks = answer.get("checks", {}) if answer else {}
    return [f"{name}: {state}" for name, state in checks.items() if state != "ok"]


def message() -> list[str]:
    """Return the lines that this start of the server has printed for its owner, with the link to the dashboard.

    Empty where the journal doesn't show them.
    """
    before: list[str] = []

    def is_complete() -> bool:
        nonlocal before
        now = _message_so_far()
        is_settled = bool(now) and now == before
        before = now
        return is_settled

    _wait(is_complete, _MESSAGE_SECONDS)
    return before


def _message_so_far() -> list[str]:
    lines = _journal("--boot", f"_SYSTEMD_INVOCATION_ID={state().invocation}", f"--lines={_LINES}").splitlines()
    begin = next((number for number, line in enumerate(lines) if line.startswith(_BEGIN)), len(lines))
    return _in_paragraphs([line for line in lines[begin:] if not line.startswith("{")])  # the log is JSON


def _in_paragraphs(lines: list[str]) -> list[str]:
    """Put the empty lines back, which the journal drops: where indented lines begin or end, but after the first."""
    made = lines[:1]
    for number, (before, line) in enumerate(pairwise(lines)):
        if number and before.startswith(" ") != line.startswith(" "):
            made.append("")
        made.append(line)
    return made


def _end_of_log() -> str:
    return _journal(f"--unit={USER}", "--lines=15").rstrip() or "(the journal shows nothing)"


def _journal(*options: str) -> str:
    shown = subprocess.run(  # noqa: S603 - our own arguments
        [tool("journalctl"), "--quiet", "--no-pager", "--output=cat", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    return shown.stdout


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(_TURN_SECONDS)


def _status(url: str) -> dict[str, dict[str, str]] | None:
    """Return the server's answer; None without one."""
    import httpx

    try:
        answer = httpx.get(url, timeout=5, trust_env=False)
        told: dict[str, dict[str, str]] = answer.json()
    except (httpx.HTTPError, ValueError):
        return None
    return told
