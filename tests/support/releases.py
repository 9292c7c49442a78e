"""A publisher of versions: a real HTTPS server on this machine that answers with what it is told to.

async with publisher(folder, {"/latest": Answer(body={"version": "9.0.0", "url": "https://…"})}) as site:
    await updates.ask(site.url("/latest"), trusting=site.trusting)
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.mailbox import make_certificate


@dataclass(frozen=True)
class Answer:
    """An answer; a body that isn't text or bytes is sent as JSON. `drips` sends a byte a time, and never ends."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drips: bool = False

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


@dataclass
class Publisher:
    """The server; `requests` are the heads of those that came, as they were sent."""

    certificate: Path
    trusting: ssl.SSLContext
    answers: dict[str, Answer]
    port: int = 0
    requests: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"https://localhost:{self.port}{path}"

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(head)
            answer = self.answers.get(head.split()[1], Answer(status=404))
            lines = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
            length = "" if answer.drips else f"Content-Length: {len(answer.content)}\r\n"
            writer.write(f"HTTP/1.1 {answer.status} Said\r\n{lines}{length}Connection: close\r\n\r\n".encode())
            while answer.drips:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
            writer.write(answer.content)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def publisher(folder: Path, answers: Mapping[str, Answer]) -> AsyncIterator[Publisher]:
    """Run a publisher whose certificate, made in a folder, is for localhost."""
    certificate = make_certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    site = Publisher(certificate, ssl.create_default_context(cafile=str(certificate)), dict(answers))
    server = await asyncio.start_server(site.accept, "127.0.0.1", 0, ssl=context)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()
