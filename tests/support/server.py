"""The real server as a process of its own, in a folder of the test's and on a free port.

    with Server(tmp_path) as server:
        session = server.api.post("/checkout_sessions", json=…).json()

A second `Server` in the same folder goes on with the first one's data. Starts that should fail, and every other
command, are run with `command`.
"""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import httpx

from crypto_checkout.config import Config
from crypto_checkout.store.migrate import migrate
from tests.support.forks import Fork
from tests.support.waiting import WAIT_SECONDS, wait_until

ALMOST_A_MINUTE = timedelta(seconds=59)
LISTENING = re.compile(r"listens on (http://\S+)")
KEY = re.compile(r"ck_(?:live|test)_[0-9A-Za-z]{32}")
PROGRAM = (sys.executable, "-m", "crypto_checkout")
FROM_NOTHING = ("env",)
"""Runs a server that is no fork, for those who measure it."""
url_in_place_of: Callable[..., str] | None = None
"""Gives the URL of the database that stands for a file, where tests run on an engine of servers."""
UNLIMITED = {"CHECKOUT__RATE_LIMIT__PER_SECOND": "10000", "CHECKOUT__RATE_LIMIT__BURST": "100000"}


class Server:
    """A running `crypto-checkout serve`; ready for requests once it is made.

    Args:
        folder: where it runs: its configuration, its data and its output.
        config_text: its checkout.toml; None leaves the folder as it is, and an empty one means all defaults.
        environ: added to its environment, as in `{"CHECKOUT__BRANDING__NAME": "Ada's"}`. Unless it says otherwise, the
            port is a free one and the API's rate is unlimited: a fast machine must not fail a test.
        under: a program that runs it, such as strace, with its options.

    `url` is where it answers, and `key` the test key of a first start (None at later ones).

    """

    def __init__(
        self,
        folder: Path,
        config_text: str | None = None,
        environ: Mapping[str, str] | None = None,
        under: Sequence[str] = (),
    ) -> None:
        if config_text is not None:
            (folder / "checkout.toml").write_text(config_text, "utf-8")
        name = next(path for number in itertools.count(1) if not (path := folder / f"serve-{number}.out").exists())
        self._out, self._err = name, name.with_suffix(".err")
        self._clients: list[httpx.Client] = []
        self.process = started(
            folder, "serve", environ={**UNLIMITED, **(environ or {})}, out=self._out, err=self._err, under=under
        )
        try:
            self.wait_until(lambda: LISTENING.search(self.output) is not None and self.output.endswith("\n\n"), "start")
            self.url = LISTENING.findall(self.output)[0]
            self.key = next(iter(KEY.findall(self.output)), None)
            self.api = self.client(self.key)
            assert self.client(None).get(f"{self.url}/healthz").is_success
        except BaseException:
            self.kill()
            raise

    @property
    def output(self) -> str:
        """Its standard output, for the person who started it."""
        return self._out.read_text("utf-8", "replace")

    @property
    def log(self) -> str:
        """Its log."""
        return self._err.read_text("utf-8", "replace")

    def logs_once_a_minute(self, event: str) -> bool:
        """Tell whether its log says this, and never again within a minute; more than one may pass in a test."""
        lines = (json.loads(line) for line in self.log.splitlines() if f'"{event}"' in line)
        times = [datetime.fromisoformat(line["timestamp"]) for line in lines]
        return bool(times) and all(later - earlier > ALMOST_A_MINUTE for earlier, later in itertools.pairwise(times))

    def client(self, key: str | None) -> httpx.Client:
        """Return a client of the API with another key; it is closed with the server. `api` is the one with `key`."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        client = httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=WAIT_SECONDS, trust_env=False)
        self._clients.append(client)
        return client

    def wait_until(self, is_so: Callable[[], bool], what: str) -> None:
        """Return once the condition holds; fail with all its output when it ends before, or when it takes too long."""
        wait_until(
            is_so, what, is_running=lambda: self.process.poll() is None, output=lambda: f"{self.output}\n{self.log}"
        )

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end and return its exit code, negative for a signal's number. Repeating is safe."""
        self._close_clients()
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """End it as a power cut does."""
        self._close_clients()
        self.process.kill()
        self.process.wait()

    def _close_clients(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()


def command(
    folder: Path, *arguments: str, environ: Mapping[str, str] | None = None, seconds: float = WAIT_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run `crypto-checkout` with these arguments in a folder, to its end."""
    with TemporaryDirectory() as printed:
        out, err = Path(printed, "out"), Path(printed, "err")
        process = started(folder, *arguments, environ=environ, out=out, err=err)
        try:
            code = process.wait(seconds)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return subprocess.CompletedProcess(arguments, code, out.read_text("utf-8"), err.read_text("utf-8"))


def started(
    folder: Path,
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    out: Path,
    err: Path,
    under: Sequence[str] = (),
) -> Fork | subprocess.Popen[bytes]:
    """Start `crypto-checkout` in a folder, its output into two files.

    It is a fork of a process that has imported it. Under another program, or with a variable that Python itself may
    read, it starts from nothing, as it does where tests say `python -m crypto_checkout` themselves.
    """
    environ = {**database(folder, arguments, environ or {}), **(environ or {})}
    if not under and all(name.startswith("CHECKOUT") for name in environ):
        return Fork(arguments, folder=folder, environ=environment(environ), out=out, err=err)
    with out.open("wb") as to, err.open("wb") as errors_to:
        return subprocess.Popen(
            [*under, *PROGRAM, *arguments],
            cwd=folder,
            env=environment(environ),
            stdin=subprocess.DEVNULL,
            stdout=to,
            stderr=errors_to,
        )


def database(folder: Path, arguments: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variable that names the database in place of the configured file; none where that is the engine's."""
    if url_in_place_of is None or any(name.startswith("CHECKOUT__DATABASE__URL") for name in environ):
        return {}
    named = dict(itertools.pairwise(arguments)).get("--config", environ.get("CHECKOUT_CONFIG", "checkout.toml"))
    try:
        section = tomllib.loads((folder / named).read_text("utf-8")).get("database", {})
    except (OSError, ValueError):  # there is none, or a test is about what is wrong with it
        section = {}
    if not isinstance(section, dict) or section.keys() & {"url", "url_file"}:
        return {}
    path = environ.get("CHECKOUT__DATABASE__PATH") or section.get("path") or Config().database.path
    file = (folder / named).parent / str(path)
    return {"CHECKOUT__DATABASE__URL": url_in_place_of(file, has_tables="serve" in arguments)}


def new_database(folder: Path) -> Path:
    """Make the database that a first start in a folder would make, and return its path."""
    path = folder / "checkout-data" / "checkout.db"
    migrate(path)
    return path


def environment(more: Mapping[str, str] | None = None, *, folder: Path | None = None) -> dict[str, str]:
    """Return this process's environment without its own CHECKOUT variables, with a free port and what is added.

    For a program that a test starts itself in a folder, name that: it may have a database on another engine.
    """
    if folder is not None:
        more = {**database(folder, (), more or {}), **(more or {})}
    ours = {name: value for name, value in os.environ.items() if not name.startswith("CHECKOUT")}
    return {**ours, "PYTHONWARNINGS": "error", "CHECKOUT__SERVER__PORT": "0", **(more or {})}
