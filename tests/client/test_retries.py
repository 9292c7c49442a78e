"""Retries of the client: their occasions, pauses and requests. Both forms of the client do the same."""

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import httpx
import pytest

from crypto_checkout.client import (
    AsyncCheckoutClient,
    CheckoutApiError,
    CheckoutClient,
    CheckoutClientError,
    ConnectionFailed,
    LinkResource,
    RateLimited,
    ServerError,
)
from crypto_checkout.client.retries import back_off
from tests.support.ports import free_port

KEY = "ck_test_" + "0" * 32


@dataclass(frozen=True)
class Reply:
    """One answer; a status of 0 is none at all: the connection is closed."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"


BREAKS = Reply(0)
MADE = Reply(201, body=b'{"id": "pl_1"}')


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Moody:
    """A real HTTP server that gives these answers, one after the other, and the last one for ever."""

    def __init__(self, *replies: Reply) -> None:
        self.requests: list[Request] = []
        moody = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                moody.requests.append(Request(self.command, self.path, headers, body))
                reply = replies[min(len(moody.requests), len(replies)) - 1]
                if reply.status == 0:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_PATCH = do_DELETE = do_POST  # noqa: N815 - the names that http.server looks up

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.01), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


Create = Callable[..., LinkResource]


def blocking(url: str, waits: list[float], **options: Any) -> LinkResource:
    with CheckoutClient(url, KEY, sleep=waits.append, **options) as client:
        return client.payment_links.create(title="Tea", fiat_amount="3.00")


def asynchronous(url: str, waits: list[float], **options: Any) -> LinkResource:
    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def run() -> LinkResource:
        async with AsyncCheckoutClient(url, KEY, sleep=sleep, **options) as client:
            return await client.payment_links.create(title="Tea", fiat_amount="3.00")

    return asyncio.run(run())


both = pytest.mark.parametrize("create", [blocking, asynchronous])


@both
def test_after_two_refusals_and_a_broken_connection_the_same_request_gets_its_answer(create: Create) -> None:
    waits: list[float] = []
    with Moody(Reply(503), Reply(503), BREAKS, MADE) as server:
        made = create(server.url, waits, max_retries=3)
    assert made["id"] == "pl_1"
    assert len(server.requests) == 4
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 1
    assert {request.body for request in server.requests} == {b'{"title": "Tea", "fiatAmount": "3.00"}'}
    assert [low <= wait <= 2 * low for wait, low in zip(waits, [0.25, 0.5, 1.0], strict=True)] == [True] * 3


@both
def test_each_call_has_an_idempotency_key_of_its_own(create: Create) -> None:
    with Moody(MADE) as server:
        create(server.url, [])
        create(server.url, [])
    first, second = (request.headers["idempotency-key"] for request in server.requests)
    assert first != second


@both
def test_retry_after_decides_the_wait(create: Create) -> None:
    waits: list[float] = []
    with Moody(Reply(429, {"Retry-After": "7"}), Reply(503, {"Retry-After": "60"}), MADE) as server:
        create(server.url, waits)
    assert waits == [7, 60]


@both
def test_who_should_stay_away_for_long_is_told_instead_of_kept_waiting(create: Create) -> None:
    waits: list[float] = []
    with Moody(Reply(429, {"Retry-After": "61"}), MADE) as server, pytest.raises(RateLimited) as caught:
        create(server.url, waits)
    assert (caught.value.retry_after_seconds, waits, len(server.requests)) == (61, [], 1)


@both
@pytest.mark.parametrize("wrong", ["", "soon", "-1", "1e3", "²", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_retry_after_that_is_no_number_of_seconds_is_passed_over(create: Create, wrong: str) -> None:
    waits: list[float] = []
    with Moody(Reply(503, {"Retry-After": wrong.encode().decode("latin-1")}), MADE) as server:
        create(server.url, waits)
    assert len(waits) == 1
    assert 0.25 <= waits[0] <= 0.5


@both
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_three_times_in_all(create: Create, status: int) -> None:
    waits: list[float] = []
    with Moody(Reply(status)) as server, pytest.raises(CheckoutApiError) as caught:
        create(server.url, waits)
    assert (caught.value.status, len(server.requests), len(waits)) == (status, 3, 2)


@both
@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 405, 409, 413, 415, 501])
def test_what_will_not_pass_is_tried_once(create: Create, status: int) -> None:
    waits: list[float] = []
    with Moody(Reply(status)) as server, pytest.raises(CheckoutApiError) as caught:
        create(server.url, waits)
    assert (caught.value.status, len(server.requests), waits) == (status, 1, [])


@both
def test_without_retries_the_first_failure_is_the_last(create: Create) -> None:
    with Moody(Reply(500), MADE) as server, pytest.raises(ServerError):
        create(server.url, [], max_retries=0)
    assert len(server.requests) == 1


@both
def test_a_server_that_is_not_there_is_a_failed_connection_with_its_cause(create: Create) -> None:
    waits: list[float] = []
    with pytest.raises(ConnectionFailed, match="no answer in 3 attempts") as caught:
        create(f"http://127.0.0.1:{free_port()}", waits)
    assert isinstance(caught.value.__cause__, httpx.ConnectError)
    assert isinstance(caught.value, CheckoutClientError)
    assert len(waits) == 2
    assert KEY not in str(caught.value)


@both
def test_a_server_that_says_nothing_is_given_up_after_the_timeout(create: Create) -> None:
    with Moody(MADE) as server:
        listening = server._server.socket
        server._server.shutdown()
        with pytest.raises(ConnectionFailed, match="1 attempt") as caught:
            create(f"http://127.0.0.1:{listening.getsockname()[1]}", [], timeout_seconds=0.05, max_retries=0)
    assert isinstance(caught.value.__cause__, httpx.TimeoutException)


@both
def test_an_answer_of_something_else_than_the_server_is_an_error_too(create: Create) -> None:
    with Moody(Reply(200, body=b"<html>Welcome to our wifi</html>")) as server, pytest.raises(CheckoutApiError) as page:
        create(server.url, [])
    assert (page.value.status, page.value.type, page.value.code) == (200, "unexpected", None)
    assert "base_url" in page.value.message
    with Moody(Reply(200, body=b"[]")) as server, pytest.raises(CheckoutApiError, match="base_url"):
        create(server.url, [])


@both
def test_an_error_page_of_a_proxy_has_the_type_of_its_status(create: Create) -> None:
    with (
        Moody(Reply(502, {"X-Request-Id": "req_1"}, b"<h1>Bad Gateway</h1>")) as server,
        pytest.raises(ServerError) as caught,
    ):
        create(server.url, [], max_retries=0)
    error = caught.value
    assert (error.type, error.code, error.request_id) == ("server", None, "req_1")
    assert error.message == f"{server.url}/api/v1/payment_links answered 502 Bad Gateway"


@both
def test_a_redirect_is_not_followed_and_says_where_to(create: Create) -> None:
    elsewhere = Reply(301, {"Location": "https://pay.example.com/api/v1/payment_links"})
    with Moody(elsewhere) as server, pytest.raises(CheckoutApiError, match=r"https://pay\.example\.com/api"):
        create(server.url, [])
    assert len(server.requests) == 1


@both
def test_a_type_of_error_from_the_future_is_still_an_error(create: Create) -> None:
    told = {"error": {"type": "teapot", "code": "short_and_stout", "message": "No coffee.", "requestId": "req_1"}}
    with Moody(Reply(418, body=json.dumps(told).encode())) as server, pytest.raises(CheckoutApiError) as caught:
        create(server.url, [])
    assert (caught.value.type, caught.value.code, caught.value.message) == ("teapot", "short_and_stout", "No coffee.")


def test_reading_carries_no_idempotency_key_and_every_way_of_writing_does() -> None:
    with Moody(Reply(200)) as server, CheckoutClient(server.url, KEY) as client:
        client.payment_links.retrieve("pl_1")
        client.payment_links.update("pl_1", title="Tea", description=None)
        client.payment_links.delete("pl_1", idempotency_key="mine")
    read, patch, delete = server.requests
    assert (read.method, "idempotency-key" in read.headers, "content-type" in read.headers) == ("GET", False, False)
    assert (patch.method, "idempotency-key" in patch.headers) == ("PATCH", True)
    assert json.loads(patch.body) == {"title": "Tea", "description": None}, "null is sent, what is left out is not"
    assert (delete.method, delete.headers["idempotency-key"], delete.body) == ("DELETE", "mine", b"")


def test_the_waits_double_up_to_a_bound_and_spread_over_their_second_half() -> None:
    assert [back_off(attempt, 1.0) for attempt in range(1, 8)] == [0.5, 1, 2, 4, 8, 8, 8]
    assert [back_off(attempt, 0.0) for attempt in range(1, 8)] == [0.25, 0.5, 1, 2, 4, 4, 4]
