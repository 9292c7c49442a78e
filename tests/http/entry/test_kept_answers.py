"""Answers that are given again: the same to the byte, as long as they hold, and no longer."""

import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from crypto_checkout import metrics
from crypto_checkout.core.errors import DatabaseFailed, ResourceNotFound
from crypto_checkout.http.entry import kept_answers, whole_answers
from crypto_checkout.http.entry.application import Application
from crypto_checkout.http.entry.client_address import ClientAddresses
from crypto_checkout.http.entry.kept_answers import KeptAnswers
from crypto_checkout.http.poll_pace import PollPace
from crypto_checkout.services.owner import api_keys
from crypto_checkout.store.data_folder import integrity
from crypto_checkout.store.database import ReadUnit
from crypto_checkout.store.owner import api_keys as stored_keys
from tests.http.test_answers import FULL, LISTS, PRICE, READ
from tests.support.api import Clock, made, open_app
from tests.support.served import Answer, Header, ask
from tests.support.waiting import until

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
HOST = "Host: shop.example"
LEFT = b"x-left"


class Shop:
    """An application with one path whose answers are kept; it counts how often that is really asked."""

    def __init__(self, most_bytes: int = 100_000) -> None:
        self.version: int | None = 1
        self.times = 0
        self.left: int | None = 100
        self.looks = 0
        self.still_holds: bool | Exception = False
        self.body = b"x"
        self.compared = b""
        self.web = Application(
            [Route("/{name}", self.answer)],
            clock=lambda: NOW,
            addresses=ClientAddresses([], lambda _: None),
            is_https=False,
            version=lambda: self.version,
        )
        self.web._kept = KeptAnswers(lambda: self.version, most_bytes=most_bytes)

    async def answer(self, request: Request) -> Response:
        self.times += 1
        kept_answers.allow(request.scope, self.count, self.holds, (LEFT,), self.compared or self.body)
        headers = {"x-left": str(self.left), "x-percent": "100 %(x-left)b %d", "etag": '"a"'}
        if request.headers.get("if-none-match") == '"a"':
            return Response(status_code=304, headers=headers)
        body = b"%d %b %b" % (self.times, request.url.query.encode(), self.body)
        return Response(body, headers=headers, status_code=404 if request.path_params["name"] == "nothing" else 200)

    async def holds(self) -> bool:
        self.looks += 1
        if isinstance(self.still_holds, Exception):
            raise self.still_holds
        return self.still_holds

    def count(self, _: Scope) -> dict[bytes, bytes] | None:
        if self.left is None:
            return None
        self.left -= 1
        return {LEFT: b"%d" % self.left}

    async def get(self, path: str = "/a", *headers: str, method: str = "GET", version: str = "1.1") -> Answer:
        return await ask(self.web, f"{method} {path} HTTP/{version}", HOST, *headers)


async def test_an_answer_is_given_again_without_a_look_until_the_next_commit() -> None:
    shop = Shop()
    first, second, third = [await shop.get() for _ in range(3)]
    assert shop.times == 1
    assert (second.status, second.body) == (first.status, first.body) == (200, b"1  x")
    assert [each.header(LEFT) for each in (first, second, third)] == [b"100", b"99", b"98"]
    assert len({each.header(b"x-request-id") for each in (first, second, third)}) == 3
    varying = (LEFT, b"x-request-id")
    assert [name for name, _ in second.headers] == [name for name, _ in first.headers]
    assert [each for each in second.headers if each[0] not in varying] == [
        each for each in first.headers if each[0] not in varying
    ]
    assert shop.looks == 0
    shop.version = 2
    assert [(await shop.get()).body for _ in range(2)] == [b"2  x", b"2  x"]
    assert (shop.times, shop.looks) == (2, 1)


async def test_after_a_commit_it_is_looked_at_once_whether_an_answer_still_holds() -> None:
    shop = Shop()
    await shop.get()
    shop.version, shop.still_holds = 2, True
    assert [(await shop.get()).body for _ in range(3)] == [b"1  x"] * 3
    assert (shop.times, shop.looks) == (1, 1)


async def test_while_commits_cannot_be_told_it_is_looked_at_each_time() -> None:
    shop = Shop()
    shop.version, shop.still_holds = None, True
    assert [(await shop.get()).body for _ in range(3)] == [b"1  x"] * 3
    assert (shop.times, shop.looks) == (1, 2)
    shop.still_holds = False
    assert (await shop.get()).body == b"2  x"


@pytest.mark.parametrize("error", [ResourceNotFound("gone"), DatabaseFailed("it is full")])
async def test_a_look_that_fails_leaves_the_request_to_its_handler(error: Exception) -> None:
    shop = Shop()
    await shop.get()
    shop.version, shop.still_holds = 2, error
    assert (await shop.get()).body == b"2  x"


@pytest.mark.parametrize(
    "others",
    [
        ("/b",),
        ("/a?b",),
        ("/a", "Authorization: Bearer x"),
        ("/a", "Accept-Encoding: gzip"),
        ("/a", "If-None-Match: x"),
    ],
)
async def test_a_request_in_other_words_has_an_answer_of_its_own(others: tuple[str, ...]) -> None:
    shop = Shop()
    for _ in range(2):
        await shop.get()
        await shop.get(*others)
    assert shop.times == 2


async def test_other_headers_make_no_difference() -> None:
    shop = Shop()
    await shop.get()
    assert (await shop.get("/a", "User-Agent: x", "X-Forwarded-For: 203.0.113.9")).body == b"1  x"


async def test_a_client_that_has_it_is_told_so_again() -> None:
    shop = Shop()
    first, second = [await shop.get("/a", 'If-None-Match: "a"') for _ in range(2)]
    assert (first.status, first.body) == (second.status, second.body) == (304, b"")
    assert shop.times == 1


@pytest.mark.parametrize(
    ("headers", "method", "version"),
    [
        ((), "HEAD", "1.1"),
        (("Content-Length: 0",), "GET", "1.1"),
        (("Transfer-Encoding: chunked",), "GET", "1.1"),
        (("Accept: x", "Accept: y"), "GET", "1.1"),
        (("Connection: close",), "GET", "1.1"),
        ((), "GET", "1.0"),
    ],
)
async def test_a_request_of_another_kind_is_always_asked(headers: tuple[str, ...], method: str, version: str) -> None:
    shop = Shop()
    await shop.get()
    for _ in range(2):
        assert (await shop.get("/a", *headers, method=method, version=version)).status == 200
    assert shop.times == 3


async def test_a_refusal_is_not_kept() -> None:
    shop = Shop()
    assert [(await shop.get("/nothing")).status for _ in range(2)] == [404, 404]
    assert shop.times == 2


async def test_who_has_to_look_again_does() -> None:
    shop = Shop()
    await shop.get()
    shop.left = None
    assert (await shop.get()).body == b"2  x"


async def test_so_many_bytes_are_kept_at_most() -> None:
    shop = Shop(most_bytes=17_000)
    for path in ("/a", "/b", "/c", "/d", "/a"):
        await shop.get(path)
    assert shop.times == 4
    for path in ("/e", "/a", "/e"):  # the fifth drops the others
        await shop.get(path)
    assert shop.times == 6
    shop.version, shop.body = 2, b"x" * 17_000
    for _ in range(2):
        await shop.get()
    assert shop.times == 8


async def test_bytes_that_are_only_compared_count_too() -> None:
    shop = Shop(most_bytes=17_000)
    shop.compared = b"x" * 6_000
    for path in ("/a", "/b", "/a"):
        await shop.get(path)
    assert shop.times == 3


async def test_an_answer_that_is_too_long_to_be_kept_drops_no_other() -> None:
    shop = Shop(most_bytes=17_000)
    await shop.get("/a")
    shop.body = b"x" * 17_000
    for path in ("/b", "/a"):
        await shop.get(path)
    assert shop.times == 2


async def test_a_connection_that_waits_keeps_nothing_of_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    shop, scopes = Shop(), list[Scope]()
    keep = KeptAnswers.keep

    def noted(self: KeptAnswers, scope: Scope, status: int, headers: Sequence[Header], body: bytes) -> None:
        keep(self, scope, status, headers, body)
        scopes.append(scope)  # a connection has it until its next request

    monkeypatch.setattr(KeptAnswers, "keep", noted)
    for method in ("GET", "HEAD"):
        await shop.get(method=method)
    assert len(scopes) == 2
    assert not any("kept_allowed" in each for each in scopes)


async def test_it_counts_in_the_metrics() -> None:
    shop = Shop()
    counted = metrics.REQUESTS.labels("GET", "/{name}", 200)
    before = counted._value.get()
    for _ in range(3):
        await shop.get()
    assert counted._value.get() == before + 3


# --- the product's own ------------------------------------------------------------------------------------------------


VARYING = {b"x-request-id", b"x-server-time", b"ratelimit-remaining"}


@pytest.mark.usefixtures("still_rate_limits")
async def test_each_answer_of_the_api_and_of_a_poll_is_the_same_when_it_is_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again: Counter[bytes] = Counter()
    write_again = whole_answers.WholeAnswers.write_again

    def counted(self: whole_answers.WholeAnswers, *arguments: object) -> None:
        again[self._cycle.scope["path"].encode()] += 1
        write_again(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(whole_answers.WholeAnswers, "write_again", counted)
    async with open_app(tmp_path, clock=Clock(NOW)) as app:
        _, key = await app.key()
        session, full = [(await made(app.api, "/checkout_sessions", body))["id"] for body in ({"amount": PRICE}, FULL)]
        known = {"session": session, "full": full, "choice": full, "other": session}
        gets = [each for each in (*READ, *LISTS) if each.line.startswith("GET ")]
        asked = [
            (each.line, *(f"{name}: {value}" for name, value in each.headers), f"Authorization: Bearer {key}")
            for each in gets
        ]
        asked += [
            (f"GET /checkout/{each}/status", *headers)
            for each in (session, full, "cs_nonsense")
            for headers in ((), ("If-None-Match: *",), ("Accept-Encoding: gzip",))
        ]
        for line, *headers in asked:
            for name, value in known.items():
                line = line.replace("{" + name + "}", value)  # noqa: PLW2901
            answers = [await ask(app.opened.web, f"{line} HTTP/1.1", HOST, *headers) for _ in range(2)]
            await app.opened.db.write(integrity.write_nothing)  # so it is looked at whether they hold
            answers.append(await ask(app.opened.web, f"{line} HTTP/1.1", HOST, *headers))
            assert len({each.status for each in answers}) == 1, line
            if answers[0].status < 400:
                assert len({each.body for each in answers}) == 1 or "gzip" in str(headers), line
            same = [[each for each in answer.headers if each[0] not in VARYING] for answer in answers]
            assert same[0] == same[1] == same[2], line
            left = [answer.header(b"ratelimit-remaining") for answer in answers]
            assert not left[0] or int(left[0]) == int(left[1]) + 1 == int(left[2]) + 2, line
    assert sum(again.values()) > 50, again


@pytest.mark.sqlite
async def test_a_commit_of_another_process_shows_at_once(tmp_path: Path) -> None:
    async with open_app(tmp_path) as app:
        _, key = await app.key()
        session = (await made(app.api, "/checkout_sessions", {"amount": PRICE}))["id"]
        lines = (f"GET /api/v1/checkout_sessions/{session} HTTP/1.1", HOST, f"Authorization: Bearer {key}")
        before = [(await ask(app.opened.web, *lines)).body for _ in range(2)]
        with sqlite3.connect(tmp_path / "checkout.db") as other:
            other.execute("""UPDATE checkout_sessions SET metadata = '{"order": "1042"}'""")
        other.close()
        after = await ask(app.opened.web, *lines)
    assert all(b"1042" not in each for each in before)
    assert b"1042" in after.body


async def test_a_revoked_key_gets_no_answer_again(tmp_path: Path) -> None:
    async with open_app(tmp_path) as app:
        key, text = await app.key()
        lines = ("GET /api/v1/checkout_sessions HTTP/1.1", HOST, f"Authorization: Bearer {text}")
        assert [(await ask(app.opened.web, *lines)).status for _ in range(2)] == [200, 200]
        await app.opened.db.write(lambda unit: api_keys.revoke(unit, app.opened.events, key.id))

        async def is_refused() -> bool:
            return (await ask(app.opened.web, *lines)).status == 401

        await until(is_refused, "the revocation")


async def test_the_use_of_a_key_is_noted_all_the_same(tmp_path: Path) -> None:
    clock = Clock(NOW)
    async with open_app(tmp_path, clock=clock) as app:
        key, text = await app.key()
        lines = ("GET /api/v1/checkout_sessions HTTP/1.1", HOST, f"Authorization: Bearer {text}")
        for _ in range(2):
            await ask(app.opened.web, *lines)
        clock.now = NOW + timedelta(minutes=2)
        await ask(app.opened.web, *lines)

        async def is_noted() -> bool:
            found = await app.opened.db.read(lambda unit: stored_keys.get(unit, key.id))
            return found is not None and found.last_used_at == clock.now

        await until(is_noted, "the last use")


@pytest.mark.usefixtures("still_rate_limits")
async def test_a_client_over_its_limit_is_refused_before_an_answer_is_given_again(tmp_path: Path) -> None:
    async with open_app(tmp_path, clock=Clock(NOW), rate_limit={"per_second": 1, "burst": 3}) as app:
        _, text = await app.key()
        lines = ("GET /api/v1/checkout_sessions HTTP/1.1", HOST, f"Authorization: Bearer {text}")
        answers = [await ask(app.opened.web, *lines) for _ in range(5)]
    assert [each.status for each in answers] == [200, 200, 200, 429, 429]
    assert [each.header(b"ratelimit-remaining") for each in answers] == [b"2", b"1", b"0", b"0", b"0"]


@pytest.mark.usefixtures("still_rate_limits")
async def test_a_client_over_its_limit_causes_no_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    limit = {"per_second": 1, "burst": 3}
    async with open_app(tmp_path, clock=Clock(NOW), rate_limit=limit) as app:
        read = app.opened.db.read

        def counted(work: Callable[[ReadUnit], Any], *, quick: bool = False) -> Awaitable[Any]:
            nonlocal looks
            looks += 1
            return read(work, quick=quick)

        monkeypatch.setattr(app.opened.db, "read", counted)
        _, text = await app.key()
        session = (await made(app.api, "/checkout_sessions", {"amount": PRICE}))["id"]
        of_api = (f"GET /api/v1/checkout_sessions/{session} HTTP/1.1", HOST, f"Authorization: Bearer {text}")
        of_poll = (f"GET /checkout/{session}/status HTTP/1.1", HOST)
        for lines, allowed in ((of_api, 3), (of_poll, 300)):
            looks = 0
            for _ in range(allowed):
                assert (await ask(app.opened.web, *lines)).status == 200
            assert looks >= 1
            await app.opened.db.write(integrity.write_nothing)
            looks = 0
            assert (await ask(app.opened.web, *lines)).status == 429
            assert looks == 0, lines


@pytest.mark.usefixtures("still_rate_limits")
async def test_a_request_whose_answer_no_longer_holds_is_counted_once(tmp_path: Path) -> None:
    async with open_app(tmp_path, clock=Clock(NOW)) as app:
        _, text = await app.key()
        lines = ("GET /api/v1/checkout_sessions HTTP/1.1", HOST, f"Authorization: Bearer {text}")
        left = []
        for _ in range(3):
            left.append(int((await ask(app.opened.web, *lines)).header(b"ratelimit-remaining")))
            await made(app.api, "/checkout_sessions", {"amount": PRICE})
    assert [left[0] - each for each in left] == [0, 1, 2]


async def test_a_poll_is_counted_once_when_the_pause_of_a_crowd_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = [None, None, 10, 10, None]
    left = iter(pauses)
    monkeypatch.setattr(PollPace, "seconds", lambda _: next(left))
    async with open_app(tmp_path, clock=Clock(NOW)) as app:
        session = (await made(app.api, "/checkout_sessions", {"amount": PRICE}))["id"]
        polled = [await ask(app.opened.web, f"GET /checkout/{session}/status HTTP/1.1", HOST) for _ in pauses]
    assert [each.header(b"x-poll-seconds") for each in polled] == [b"", b"", b"10", b"10", b""]
    assert not list(left)
