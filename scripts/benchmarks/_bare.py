"""The ceilings: the least that Starlette and uvicorn do for an answer, served as the product is.

    python -m scripts.benchmarks._bare PORT FOLDER

FOLDER holds `session.json` and `list.json`, two answers of the product. `GET /row` reads the first from SQLite by its
key, `GET /list` sends the second from memory, and `POST /row` stores the first under a new key and answers once it is
on the disk: requests that wait share one commit.
"""

import asyncio
import socket
import sqlite3
import sys
from pathlib import Path

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS answers (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT")
    return connection


class GroupCommit:
    """The writer: what comes while it commits shares the next commit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def insert(self, body: bytes) -> None:
        """Return once a row with this body is durable."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((body, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._commit())
        await future

    async def _commit(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            await asyncio.to_thread(self._store, [(body,) for body, _ in group])
            for _, future in group:
                future.set_result(None)

    def _store(self, rows: list[tuple[bytes]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT INTO answers (body) VALUES (?)", rows)
        self._connection.execute("COMMIT")


def application(folder: Path) -> Starlette:
    session, listed = ((folder / name).read_bytes() for name in ("session.json", "list.json"))
    reader, writer = connect(folder / "bare.db"), GroupCommit(connect(folder / "bare.db"))
    reader.execute("INSERT OR REPLACE INTO answers VALUES (1, ?)", (session,))

    async def get(_: Request) -> Response:
        body = reader.execute("SELECT body FROM answers WHERE id = ?", (1,)).fetchone()[0]
        return Response(body, media_type="application/json")

    async def post(request: Request) -> Response:
        await request.json()
        await writer.insert(session)
        return Response(session, 201, media_type="application/json")

    async def get_list(_: Request) -> Response:
        return Response(listed, media_type="application/json")

    return Starlette(
        routes=[Route("/row", get, methods=["GET"]), Route("/row", post, methods=["POST"]), Route("/list", get_list)]
    )


def main() -> None:
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    config = uvicorn.Config(
        application(folder), log_config=None, access_log=False, lifespan="off", proxy_headers=False, server_header=False
    )
    listening = socket.create_server(("127.0.0.1", port), backlog=2048)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve(sockets=[listening]))


if __name__ == "__main__":
    main()
