"""Several servers of ours on one PostgreSQL database, each on a machine that is a folder.

with Fleet(tmp_path, config_text, url, 3) as fleet:
    fleet.kill(fleet.leader())
    fleet.start(0)
"""

import json
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from crypto_checkout.store.postgresql import locks
from tests.support.ports import free_port
from tests.support.server import Server, command
from tests.support.waiting import wait_until


class Fleet:
    """Running servers by their numbers; one that was killed is None until it starts again, on the same port.

    `key` is an API key in live mode.
    """

    def __init__(self, folder: Path, config_text: str, url: str, count: int) -> None:
        self.url = url
        self.environ = {"CHECKOUT__DATABASE__URL": url}
        self.folders = [folder / f"machine-{number}" for number in range(count)]
        self.ports = [free_port() for _ in self.folders]
        self.servers: list[Server | None] = [None] * count
        for each in self.folders:
            (each / "checkout-data").mkdir(parents=True, mode=0o700)
            (each / "checkout.toml").write_text(config_text, "utf-8")
        try:
            for number, each in enumerate(self.folders):
                if number:
                    shutil.copy(self.folders[0] / "checkout-data" / "secret.key", each / "checkout-data")
                self.start(number)
            made = command(
                self.folders[0], *("keys", "create", "--mode", "live", "--name", "shop", "--json"), environ=self.environ
            )
            self.key: str = json.loads(made.stdout)["key"]
        except BaseException:
            self.close()
            raise

    def start(self, number: int) -> Server:
        """Start a server."""
        port = {"CHECKOUT__SERVER__PORT": str(self.ports[number])}
        server = self.servers[number] = Server(self.folders[number], environ={**self.environ, **port})
        return server

    def kill(self, number: int) -> None:
        """End a server as a power cut does."""
        server, self.servers[number] = self.servers[number], None
        assert server is not None
        server.kill()

    def stop(self, number: int) -> None:
        """Ask a server to end."""
        server, self.servers[number] = self.servers[number], None
        assert server is not None
        assert server.stop() == 0

    def running(self) -> list[Server]:
        """Return the servers that run."""
        return [each for each in self.servers if each is not None]

    def urls(self) -> list[str]:
        """Return where the running servers answer."""
        return [each.url for each in self.running()]

    def leader(self) -> int:
        """Return the number of the server that leads, once one does."""
        found: list[int] = []

        def is_known() -> bool:
            pid = self._pid_of_leader()
            found[:] = [n for n, each in enumerate(self.servers) if each is not None and each.process.pid == pid]
            return bool(found)

        wait_until(is_known, "lead", output=lambda: "\n".join(each.log for each in self.running()))
        return found[0]

    def seconds_to_lead(self) -> float:
        """Return how long it took until one of them leads."""
        began = time.monotonic()
        self.leader()
        return time.monotonic() - began

    def close(self) -> None:
        """Stop all."""
        for each in self.running():
            each.stop()
        self.servers = [None] * len(self.servers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _pid_of_leader(self) -> int:
        """Return the process of the present term, 0 if none leads: by the lock, which a killed one loses at once."""
        with psycopg.connect(self.url) as session:
            row = session.execute(locks.holders(locks.LEADER).encode()).fetchone()
        return int(row[0].partition("@")[0]) if row else 0
