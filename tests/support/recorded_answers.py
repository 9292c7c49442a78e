"""Ask the application as a server would (ASGI), and write its answers down so that two runs can be compared.

Of an answer its status, its headers (all of them, in their order, as they are sent) and its body are kept. What differs
from run to run, such as ids, gets a name by the order in which it was first seen: `<cs 1>`.
"""

import asyncio
import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from starlette.types import ASGIApp, Message

Header = tuple[str, str]

_MOST_KEPT_CHARACTERS = 3_000
_RANDOM = {
    r"(?<![0-9a-z])(cs|pl|we|evt|cus|req|ak|ref|col|rc)_[0-9A-HJKMNP-TV-Z]{26}\b": r"\1",
    r"(?<=whsec_)[0-9A-Za-z+/]{6,}=*": "secret",
    r"\b0x[0-9a-f]{64}\b": "hash",
    r"(?<=[\";])[0-9a-f]{32}(?=[\"&])": "tag",
    r"(?<=\"slug\":\")[0-9a-z]{16}(?=\")": "slug",
    r"(?<=/l/)[0-9a-z]{16}\b": "slug",
    r"(?<=[?&]v=)[0-9a-f]{12}\b": "file",
    r"(?<==)[0-9A-Za-z_-]{43}(?=;)": "token",
}
_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)


@dataclass(frozen=True)
class Asked:
    """A request. Names in braces in its line stand for what earlier answers were kept as.

    `keep` is the name that the answer's id gets, `times` how often it is asked; the last answer counts. Headers named
    here replace those that every request has; None leaves one out.
    """

    line: str
    body: Any = None
    headers: Sequence[tuple[str, str | None]] = ()
    keep: str = ""
    times: int = 1
    http_version: str = "1.1"


@dataclass
class Recorder:
    """Asks one application, and names what is random in its answers."""

    app: ASGIApp
    headers: Mapping[str, str]
    known: dict[str, str] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _numbers: Counter[str] = field(default_factory=Counter)

    async def record(self, asked: Asked) -> dict[str, Any]:
        """Ask, and return what is kept of the answer."""
        for _ in range(asked.times):
            status, headers, body = await self._ask(asked)
        if asked.keep:
            self.known[asked.keep] = json.loads(body)["id"]
        kept = [f"{name}: {self.named(value)}" for name, value in _checked(headers, body)]
        return {"asked": asked.line, "status": status, "headers": kept, "body": self._body(asked, headers, body)}

    async def _ask(self, asked: Asked) -> tuple[int, list[Header], bytes]:
        method, _, target = asked.line.partition(" ")
        path, _, query = self._filled(target).partition("?")
        text = asked.body if isinstance(asked.body, bytes) else b"" if asked.body is None else _json(asked.body)
        body = self._filled(text.decode("latin-1")).encode("latin-1")
        given = {**self.headers, **({} if asked.body is None else {"content-length": str(len(body))})}
        lines = [*{**given, **dict.fromkeys(name for name, _ in asked.headers)}.items()]
        sent = [(name, value) for name, value in lines if value is not None]
        sent += [(name, self._filled(value)) for name, value in asked.headers if value is not None]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": asked.http_version,
            "method": method,
            "scheme": "http",
            "path": path.replace("%0A", "\n"),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent],
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 4020),
            "state": {},
        }
        messages: list[Message] = []
        await self.app(scope, _received(body), _collected(messages))
        assert messages, asked
        start, *rest = [each for each in messages if each["type"].startswith("http.response.")]
        headers = [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]]
        cookies = [value.partition(";")[0] for name, value in headers if name == "set-cookie"]
        self.known["cookies"] = "; ".join([*self.known.get("cookies", "").split("; "), *cookies])
        return start["status"], headers, b"".join(each.get("body", b"") for each in rest)

    def _filled(self, text: str) -> str:
        """Put in the known names."""
        return re.sub(r"\{(\w+)\}", lambda name: self.known.get(name[1], name[0]), text)

    def _body(self, asked: Asked, headers: list[Header], body: bytes) -> str:
        fields = dict(headers)
        if asked.line.startswith("HEAD "):
            return ""  # the server sends none of it
        if "content-encoding" in fields:
            body = gzip.decompress(body)
        kind = fields.get("content-type", "").partition(";")[0]
        if kind.startswith("image/") or "last-modified" in fields:
            return f"<a file: {kind}>"
        text = self.named(body.decode())
        if kind == "text/html" and _is_of_others(asked.line):
            title = _TITLE.search(text)
            return f"<a page: {title[1].strip() if title else ''}>"
        if kind == "text/plain" or asked.line.endswith("openapi.json"):
            return f"<a document: {kind}>"
        if len(text) > _MOST_KEPT_CHARACTERS:
            return f"<{kind}: {hashlib.sha256(text.encode()).hexdigest()[:32]}>"
        return text

    def named(self, text: str) -> str:
        """Replace what is random by names."""
        for pattern, kind in _RANDOM.items():
            text = re.sub(pattern, partial(self._name, kind), text)
        return text

    def _name(self, template: str, found: re.Match[str]) -> str:
        text, kind = found[0], found.expand(template)
        if text not in self._names:
            self._numbers[kind] += 1
            self._names[text] = f"<{kind} {self._numbers[kind]}>"
        return self._names[text]


def _is_of_others(line: str) -> bool:
    """Tell whether a page has tests and changes of its own: here only how it is sent counts."""
    return " /docs" in line or " /dashboard" in line


def _json(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def _checked(headers: list[Header], body: bytes) -> list[Header]:
    """Replace the length of what is not the same from run to run, after comparing it."""
    fields = dict(headers)
    if "content-length" in fields and body:
        assert fields["content-length"] == str(len(body)), headers
    is_same = fields.get("content-type", "").startswith("application/json") and "content-encoding" not in fields
    replaced = {"last-modified": "<time>", **({} if is_same else {"content-length": "<length>"})}
    return [(name, replaced.get(name, value)) for name, value in headers]


def _received(body: bytes) -> Any:
    pieces = [body[start : start + 40_000] for start in range(0, len(body), 40_000)] or [b""]
    rest = len(pieces)
    messages = iter(
        [{"type": "http.request", "body": piece, "more_body": place < rest} for place, piece in enumerate(pieces, 1)]
    )

    async def receive() -> Message:
        found = next(messages, None)
        # The client stays until it has its answer.
        return await asyncio.get_running_loop().create_future() if found is None else found

    return receive


def _collected(messages: list[Message]) -> Any:
    async def send(message: Message) -> None:
        messages.append(message)

    return send
