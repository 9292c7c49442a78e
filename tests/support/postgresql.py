"""A throw-away PostgreSQL server, and databases on it that take a moment each.

With `--engine both` or `postgresql` each file that a test, or a program that it starts, would make is a database of the
server instead (`DatabasesInPlaceOfFiles`).
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
import pytest

from crypto_checkout import config
from crypto_checkout.config import Config
from crypto_checkout.core.moments import Clock
from crypto_checkout.store import migrate
from crypto_checkout.store.database import Database
from crypto_checkout.store.migrate import Migration
from crypto_checkout.store.place import DatabaseServer
from crypto_checkout.store.postgresql import schema
from crypto_checkout.store.secret_key import open_cipher
from tests.support import server as our_server
from tests.support.waiting import WAIT_SECONDS, wait_until

USER = "postgres"
_TEMPLATE = "migrated"
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "fsync": "off",  # what is lost with the machine is a test
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
}


def find() -> Path | None:
    """Return the folder of the server's programs: the newest of Debian's packages, or that of `initdb` in the path."""
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda each: float(each.parts[-3]))
    if packaged:
        return packaged[-1].parent
    found = shutil.which("initdb")
    return Path(found).parent if found else None


DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
"""The settings of a server that confirms what is on its disk."""


class PostgresqlServer:
    """A server in a folder of its own, reached by a socket there; as root it runs as the user that may.

    `with PostgresqlServer(programs) as server:` starts one, and removes it at the end.

    Args:
        programs: the folder of the programs, as `find` returns it.
        settings: what differs from those of tests, whose commits may be lost.
    """

    def __init__(self, programs: Path, **settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self.programs = programs
        self._settings = {**_SETTINGS, **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        self._has_template = False

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.remove()

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://{USER}@/{database}?host={self.folder}"

    @property
    def socket(self) -> str:
        """The path of the socket that it listens on."""
        return f"{self.folder}/.s.PGSQL.5432"

    @property
    def log(self) -> str:
        """Everything that it said."""
        return (self.folder / "log").read_text("utf-8", "replace")

    @property
    def pid(self) -> int:
        """The process whose children serve the sessions."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        if not (self.folder / "data").exists():
            self.initialize()
        options = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = self._run(
                subprocess.Popen, "postgres", "-D", "data", "-k", str(self.folder), *options, stdout=log, stderr=log
            )
        until = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self, *, kill: bool = False, at_once: bool = False) -> None:
        """End its sessions and stop it; killed or stopped at once, it recovers when it starts again."""
        assert self._process is not None
        if kill:
            self.freeze()  # a session that begins meanwhile would outlive it
            processes = [self._process.pid, *self._children()]
            self._signal(signal.SIGKILL, processes)
            # The next server doesn't start while one of them has the memory that they shared.
            wait_until(lambda: not any(map(_runs, processes)), "end")
        else:
            self._process.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
        self._process.wait()

    def freeze(self) -> None:
        """Stop the processes of the server where they are, as a machine that hangs does; `thaw` lets them go on."""
        assert self._process is not None
        self._signal(signal.SIGSTOP, [self._process.pid])
        wait_until(lambda: _state(self.pid) in "TZ", "stop")  # until then it begins sessions
        self._signal(signal.SIGSTOP, self._children())

    def thaw(self) -> None:
        """Let a frozen server go on."""
        assert self._process is not None
        self._signal(signal.SIGCONT, [*self._children(), self._process.pid])

    def _children(self) -> list[int]:
        assert self._process is not None
        listed = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text("ascii")
        return [int(each) for each in listed.split()]

    def _signal(self, which: signal.Signals, pids: Sequence[int]) -> None:
        for each in pids:
            with suppress(ProcessLookupError):
                os.kill(each, which)

    def execute(self, sql: str) -> None:
        """Run a statement outside any of the databases that are made."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as session:
            session.execute(sql.encode())

    def new_database(self, folder: Path) -> DatabaseServer:
        """Make a migrated database, by a copy."""
        if not self._has_template:
            self.execute(f"DROP DATABASE IF EXISTS {_TEMPLATE}")
            self.execute(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0 ENCODING 'UTF8'")
            schema.migrate(DatabaseServer(self.url(_TEMPLATE), self.folder))
            self._has_template = True
        self._made += 1
        name = f"test_{self._made}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY FILE_COPY")
        return DatabaseServer(self.url(name), folder)

    def empty_database(self, folder: Path) -> DatabaseServer:
        """Make a database without tables."""
        self._made += 1
        name = f"empty_{self._made}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        return DatabaseServer(self.url(name), folder)

    def drop(self, server: DatabaseServer) -> None:
        """Drop a database, and end the sessions that use it."""
        name = server.url.partition("?")[0].rpartition("/")[2]
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def remove(self) -> None:
        """Stop the server, and remove all that it had."""
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self.stop(at_once=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def initialize(self, *options: str) -> None:
        """Make its data, with options of `initdb`; `start` does so where there are none."""
        self.prepare_folder()
        usual = ["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        self._run_to_end("initdb", "-D", "data", *usual, *options)

    def prepare_folder(self) -> None:
        """Let the server's user into its folder."""
        self.folder.chmod(0o711)
        if os.geteuid() == 0:
            shutil.chown(self.folder, USER, USER)

    def _run_to_end(self, program: str, *arguments: str) -> None:
        self._run(subprocess.run, program, *arguments, check=True, capture_output=True)

    def _run(self, run: Any, program: str, *arguments: str, **options: Any) -> Any:
        if os.geteuid() == 0:
            account = pwd.getpwnam(USER)
            options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        return run([str(self.programs / program), *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, **options)


def _state(pid: int) -> str:
    """Return the letter of a process's state, as in `ps`: Z once it has ended, T while it is stopped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def _runs(pid: int) -> bool:
    return _state(pid) != "Z"


class DatabasesInPlaceOfFiles:
    """What stands for each file that a test, or a program that it starts, would make."""

    def __init__(self, server: PostgresqlServer) -> None:
        self._server = server
        self._databases: dict[Path, DatabaseServer] = {}

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Have new files be databases of the server."""
        bring_up_to_date, open_place = migrate._bring_up_to_date, Database.open.__func__  # type: ignore[attr-defined]
        load = config.load

        def brought_up_to_date(path: Path) -> list[Migration]:
            if path.stat().st_size:
                found: list[Migration] = bring_up_to_date(path)
                return found
            path.unlink()  # beside a server's database it would be another one
            path = path.absolute()
            if path in self._databases:
                return schema.migrate(self._databases[path])
            open_cipher(path.parent)
            self._databases[path] = self._server.new_database(path.parent)
            return migrate.migrations()

        async def opened(
            cls: type[Database], place: Path | DatabaseServer, clock: Clock, *, serves: bool = False
        ) -> Database:
            there = self._instead(place) if isinstance(place, Path) else place
            database: Database = await open_place(cls, there, clock, serves=serves)
            return database

        def loaded(path: Path | None, environ: Mapping[str, str]) -> Config:
            found = load(path, environ)
            section = found.database
            if not section.url:
                section = section.model_copy(update={"url": self.url(section.path, has_tables=False)})
            return found.model_copy(update={"database": section})

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(migrate, "_bring_up_to_date", brought_up_to_date)
            patch.setattr(Database, "open", classmethod(opened))
            patch.setattr(config, "load", loaded)
            patch.setattr(our_server, "url_in_place_of", self.url)
            yield

    def url(self, path: Path, *, has_tables: bool) -> str:
        """Return the URL of the database that stands for a file; a new one with tables, or none as yet."""
        path = path.absolute()
        if path not in self._databases:
            make = self._server.new_database if has_tables else self._server.empty_database
            self._databases[path] = make(path.parent)
        return self._databases[path].url

    def _instead(self, path: Path) -> Path | DatabaseServer:
        return self._databases.get(path.absolute(), path)

    def drop(self) -> None:
        """Drop the databases of a module, some of which are of its own fixtures."""
        while self._databases:
            self._server.drop(self._databases.popitem()[1])
