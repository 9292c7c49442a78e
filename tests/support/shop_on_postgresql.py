"""A server of ours whose PostgreSQL server is behind a network, and the shops that sell through it.

with open_shop(tmp_path, node, database, url, network) as shop, shop.storm.blowing():
    shop.network.cut()
    …
    print(shop.settle())
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.anvil import Anvil
from tests.support.postgresql import PostgresqlServer
from tests.support.receiver import Receiver
from tests.support.server import Server, command
from tests.support.storm import EVENTS, Storm, config
from tests.support.tcp_proxy import TcpProxy

LONGEST_SECONDS = 45.0
"""The longest wait for an answer, as the guide *Reliability* says, and some for a busy machine."""


@dataclass
class Shop:
    """A server of ours, its shops, and its PostgreSQL server behind a network."""

    database: PostgresqlServer
    network: TcpProxy
    url: str
    server: Server
    storm: Storm
    receiver: Receiver
    folder: Path

    def settle(self) -> dict[str, Any]:
        """Return the figures once all sums are right."""
        figures = self.storm.settle(self.server, self.receiver)
        assert not self.storm.answers.unhelpful
        assert self.storm.answers.longest_seconds < LONGEST_SECONDS
        balanced = command(self.folder, "reconcile", "--mode", "live", environ={"CHECKOUT__DATABASE__URL": self.url})
        assert balanced.returncode == 0, balanced.stdout + balanced.stderr
        assert "Traceback" not in self.server.log
        return figures


@contextmanager
def open_shop(folder: Path, node: Anvil, database: PostgresqlServer, url: str, network: TcpProxy) -> Iterator[Shop]:
    (folder / "checkout.toml").write_text(config(node), "utf-8")
    environ = {"CHECKOUT__DATABASE__URL": url}
    with Receiver() as receiver, Server(folder, environ=environ) as server:
        made = command(folder, "keys", "create", "--mode", "live", "--name", "shop", "--json", environ=environ)
        key = json.loads(made.stdout)["key"]
        hook = {"url": receiver.url, "events": EVENTS}
        server.client(key).post("/webhook_endpoints", json=hook).raise_for_status()
        storm = Storm(node, key, lambda: [server.url])
        yield Shop(database, network, url, server, storm, receiver, folder)
