"""One attempt against real endpoints on this machine, most of them hostile."""

import asyncio
import contextlib
import gc
import shutil
import socket
import ssl
import subprocess
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpcore
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_checkout import __version__
from crypto_checkout.webhooks import connections
from crypto_checkout.webhooks.connections import MAX_ANSWER_BYTES
from crypto_checkout.webhooks.guard import GuardedBackend, NameNotResolved
from crypto_checkout.webhooks.networks import Reach
from crypto_checkout.webhooks.send import MAX_EXCERPT_BYTES, AttemptOutcome, Failure, Sender
from crypto_checkout.webhooks.stream import Dialer, Stream
from tests.support.hostile_endpoints import (
    OK,
    Behaviour,
    answer,
    answering,
    answering_and_closing,
    answering_and_resetting,
    dripping,
    flooding,
    hanging,
    serving,
)
from tests.support.waiting import WAIT_SECONDS, until

BODY = b'{"id":"evt_01"}'
HEADERS = {"webhook-id": "evt_01", "X-Webhook-Timestamp": "1790000000"}
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # spares most tests the loading of every authority


def sender(*, timeout_seconds: float = WAIT_SECONDS) -> Sender:
    return Sender(reach=Reach.ANY, ssl_context=PLAIN, timeout_seconds=timeout_seconds)


async def attempt(behaviour: Behaviour, *, timeout_seconds: float = WAIT_SECONDS) -> AttemptOutcome:
    async with serving(behaviour) as endpoint, sender(timeout_seconds=timeout_seconds) as sending:
        outcome = await sending.send(endpoint.url, HEADERS, BODY)
        assert sending._pool.connections == sending._pool.idle
        return outcome


# What is sent


@pytest.mark.anyio
async def test_the_request_is_a_post_of_exactly_the_body_with_the_fixed_headers() -> None:
    async with serving(answering(OK)) as endpoint, sender() as sending:
        await sending.send(endpoint.url, HEADERS, BODY)
    head, _, body = endpoint.requests[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert first == "POST /hooks?a=1 HTTP/1.1"
    assert body == BODY
    assert dict(line.split(": ", 1) for line in lines) == {
        "Host": f"127.0.0.1:{endpoint.port}",
        "webhook-id": "evt_01",
        "X-Webhook-Timestamp": "1790000000",
        "User-Agent": f"CryptoCheckout/{__version__}",
        "Content-Type": "application/json",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Content-Length": str(len(BODY)),
    }


@pytest.mark.anyio
async def test_an_ipv6_host_keeps_its_brackets() -> None:
    async with AsyncExitStack() as stack:
        try:
            endpoint = await stack.enter_async_context(serving(answering(OK), host="::1"))
        except OSError:
            pytest.skip("this machine has no IPv6")
        sending = await stack.enter_async_context(sender())
        assert (await sending.send(f"http://[::1]:{endpoint.port}", HEADERS, BODY)).is_success
        assert f"Host: [::1]:{endpoint.port}\r\n".encode() in endpoint.requests[0]
        assert endpoint.requests[0].startswith(b"POST / HTTP/1.1\r\n")


@pytest.mark.anyio
async def test_a_connection_is_used_again() -> None:
    async with serving(answering(OK)) as endpoint, sender() as sending:
        for _ in range(3):
            assert (await sending.send(endpoint.url, HEADERS, BODY)).is_success
        assert endpoint.connections == 1


@pytest.mark.anyio
async def test_an_idle_connection_that_the_endpoint_closed_costs_no_attempt() -> None:
    async with serving(answering_and_closing(OK)) as endpoint, sender() as sending:
        for _ in range(3):
            assert (await sending.send(endpoint.url, HEADERS, BODY)).is_success
            await endpoint.left.wait()
        assert endpoint.connections == 3


@pytest.mark.anyio
async def test_an_idle_connection_is_not_used_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_KEEPALIVE_SECONDS", 0.0)
    async with serving(answering(OK)) as endpoint, sender() as sending:
        for _ in range(3):
            assert (await sending.send(endpoint.url, HEADERS, BODY)).is_success
        assert endpoint.connections == 3
        assert len(sending._pool.connections) == 1


@pytest.mark.anyio
async def test_few_idle_connections_are_kept() -> None:
    gate = asyncio.Event()

    async def together(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        writer.write(OK)
        await writer.drain()

    many = connections._MAX_IDLE + 5
    async with serving(together) as endpoint, sender() as sending:
        attempts = [asyncio.create_task(sending.send(endpoint.url, HEADERS, BODY)) for _ in range(many)]
        with anyio.fail_after(WAIT_SECONDS):
            for _ in attempts:
                await endpoint.arrived.acquire()
            gate.set()
            assert all([(await each).is_success for each in attempts])
        assert endpoint.connections == many
        assert len(sending._pool.connections) == connections._MAX_IDLE


@pytest.mark.anyio
async def test_what_follows_an_answer_is_not_taken_for_the_next_one() -> None:
    async with serving(answering(OK + answer("410 Gone"))) as endpoint, sender() as sending:
        for _ in range(2):
            assert (await sending.send(endpoint.url, HEADERS, BODY)).status_code == 200
        assert endpoint.connections == 2


@pytest.mark.anyio
async def test_no_cookie_is_kept() -> None:
    async with serving(answering(answer("200 OK", "Set-Cookie: track=me; Path=/"))) as endpoint, sender() as sending:
        await sending.send(endpoint.url, HEADERS, BODY)
        await sending.send(endpoint.url, HEADERS, BODY)
    assert len(endpoint.requests) == 2
    assert not any(b"cookie" in request.lower() for request in endpoint.requests)


@pytest.mark.anyio
async def test_no_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await attempt(answering(OK))).is_success


# What is answered


@pytest.mark.anyio
@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted", "204 No Content", "299 Whatever"])
async def test_any_2xx_is_a_success(status: str) -> None:
    outcome = await attempt(answering(answer(status)))
    assert outcome.is_success
    assert (outcome.status_code, outcome.error, outcome.detail) == (int(status[:3]), None, None)
    assert not outcome.is_gone


@pytest.mark.anyio
@pytest.mark.parametrize("status", ["300 Choices", "400 Bad", "404 Not Found", "429 Slow", "500 Oops", "503 Busy"])
async def test_another_status_is_no_success_and_no_error_of_the_line(status: str) -> None:
    outcome = await attempt(answering(answer(status, body=b"why not")))
    assert not outcome.is_success
    assert outcome.error is None
    assert outcome.status_code == int(status[:3])
    assert outcome.detail is not None
    assert outcome.excerpt == "why not"


@pytest.mark.anyio
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_not_followed(status: str) -> None:
    async with serving(answering(OK)) as target:
        outcome = await attempt(answering(answer(status, f"Location: {target.url}")))
    assert target.connections == 0
    assert outcome.status_code == int(status[:3])
    assert not outcome.is_success
    assert "not followed" in str(outcome.detail)


@pytest.mark.anyio
async def test_410_says_gone() -> None:
    outcome = await attempt(answering(answer("410 Gone")))
    assert outcome.is_gone
    assert not outcome.is_success


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("header", "seconds"),
    [("Retry-After: 120", 120.0), ("RETRY-AFTER:7", 7.0), ("Retry-After: soon", None), ("X-Other: 1", None)],
)
async def test_a_retry_after_is_reported(header: str, seconds: float | None) -> None:
    outcome = await attempt(answering(answer("503 Busy", header)))
    assert outcome.retry_after_seconds == seconds


@pytest.mark.anyio
async def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    outcome = await attempt(answering_and_closing(b"HTTP/1.0 200 OK\r\n\r\nfine"))
    assert outcome.is_success
    assert outcome.excerpt == "fine"


@pytest.mark.anyio
async def test_the_excerpt_is_short_text_that_is_safe_to_show() -> None:
    nasty = "tab\tline\nesc\x1b[31m nul\x00 bell\x07 turned\u202egnp.exe caf\u00e9".encode() + b"\xff\xfe"
    outcome = await attempt(answering(answer("500 Oops", body=nasty)))
    assert outcome.excerpt == "tab\tline\nesc[31m nul bell turnedgnp.exe caf\u00e9\ufffd\ufffd"


@pytest.mark.anyio
async def test_the_excerpt_holds_no_secret_also_where_it_is_cut_off() -> None:
    secret = "whsec_q5cVYbDvnTz0Kx2mWj8Rp4LsEg7uHfAo9iZt3yQdNkI="
    page = f"WEBHOOK_SECRET={secret}; key 'ck_live_{'a1B2' * 8}'\n".encode()
    outcome = await attempt(
        answering(answer("500 Oops", body=page + b"x" * (MAX_EXCERPT_BYTES - 110) + secret.encode()))
    )
    assert outcome.excerpt.startswith("WEBHOOK_SECRET=whsec_…; key 'ck_live_…'\nxxx")
    assert "q5cV" not in outcome.excerpt
    assert "a1B2" not in outcome.excerpt


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["100 Continue", "chunks of a byte"],
)
async def test_a_flood_of_little_pieces_is_cut_off(start: bytes, piece: bytes) -> None:
    outcome = await attempt(flooding(start, piece))
    assert outcome.error is Failure.INVALID_RESPONSE
    assert not outcome.is_success


@pytest.mark.anyio
@pytest.mark.parametrize("byte", [b"\xff", b"x"])
async def test_the_excerpt_never_exceeds_4_kib_of_utf8(byte: bytes) -> None:
    outcome = await attempt(answering(answer("500 Oops", body=byte * 10_000)))
    assert MAX_EXCERPT_BYTES - 4 < len(outcome.excerpt.encode()) <= MAX_EXCERPT_BYTES


@pytest.mark.anyio
async def test_a_compressed_answer_is_not_unpacked() -> None:
    packed = b"\x1f\x8b\x08\x00bomb"
    outcome = await attempt(answering(answer("200 OK", "Content-Encoding: gzip", body=packed)))
    assert outcome.is_success
    assert outcome.excerpt.endswith("bomb")


# What goes wrong


@pytest.mark.anyio
@pytest.mark.parametrize(
    "behaviour",
    [
        hanging,
        dripping(b"", b"H"),
        dripping(b"HTTP/1.1 200 OK\r\n", b"X-Drip: 1\r\n"),
        dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silence", "no status line", "endless headers", "endless 100 Continue"],
)
async def test_no_whole_header_before_the_deadline_is_a_timeout(behaviour: Behaviour) -> None:
    outcome = await attempt(behaviour, timeout_seconds=0.3)
    assert outcome.status_code is None
    assert not outcome.is_success
    assert outcome.error is Failure.TIMEOUT


@pytest.mark.anyio
@pytest.mark.parametrize("framing", [b"Content-Length: 50000", b"Transfer-Encoding: chunked", b"Connection: close"])
async def test_an_answer_that_drips_past_the_deadline_is_a_timeout_even_with_a_200(framing: bytes) -> None:
    endless = dripping(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n", b"1\r\nx\r\n")
    for seconds in (0.9, 3.9, 30.9):  # a busy machine may not get as far as the status in the first
        outcome = await attempt(endless, timeout_seconds=seconds)
        if outcome.status_code is not None:
            break
    assert (outcome.error, outcome.status_code) == (Failure.TIMEOUT, 200)
    assert not outcome.is_success
    assert outcome.duration_ms >= 1_000 * seconds - 50
    assert f"{seconds} s" in str(outcome.detail)
    assert "x" in outcome.excerpt


@pytest.mark.anyio
async def test_an_endpoint_that_does_not_read_is_a_timeout() -> None:
    async def deaf(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        del reader
        await asyncio.Event().wait()

    async with serving(deaf) as endpoint, sender(timeout_seconds=0.3) as sending:
        outcome = await sending.send(endpoint.url, HEADERS, b"x" * 30_000_000)
    assert outcome.error is Failure.TIMEOUT


@pytest.mark.anyio
async def test_a_connection_that_is_never_accepted_is_a_timeout() -> None:
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for waiting in (first, second):  # they fill the queue; the system drops the next one's SYN
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        async with sender(timeout_seconds=0.3) as sending:
            outcome = await sending.send(f"http://127.0.0.1:{listening.getsockname()[1]}/", HEADERS, BODY)
            assert sending._pool.connections == []
    assert outcome.error is Failure.TIMEOUT
    assert outcome.status_code is None


@pytest.mark.anyio
async def test_a_tls_handshake_that_never_ends_is_a_timeout_and_leaves_no_connection_open() -> None:
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        left.set()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server, sender(timeout_seconds=0.3) as sending:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        outcome = await sending.send(url, HEADERS, BODY)
        assert outcome.error is Failure.TIMEOUT
        assert sending._pool.connections == []
        with anyio.fail_after(WAIT_SECONDS):
            await left.wait()
    gc.collect()  # a socket left to the collector would warn, and a warning is a failure


@pytest.mark.anyio
async def test_a_huge_answer_is_read_to_64_kib_and_its_status_counts() -> None:
    sent = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.transport.is_closing():
            writer.write(b"y" * 65_536)
            sent += 65_536
            await writer.drain()

    async with serving(flood) as endpoint, sender() as sending:
        outcome = await sending.send(endpoint.url, HEADERS, BODY)
        with anyio.fail_after(WAIT_SECONDS):
            await endpoint.left.wait()
        assert sending._pool.connections == []
    assert outcome.is_success
    assert outcome.excerpt == "y" * MAX_EXCERPT_BYTES
    assert sent > MAX_ANSWER_BYTES


@pytest.mark.anyio
@pytest.mark.parametrize("line", [b"a:\r\n", b" a\r\n"])
async def test_thousands_of_headers_are_not_read(line: bytes) -> None:
    outcome = await attempt(answering(b"HTTP/1.1 200 OK\r\na: b\r\n" + line * 20_000 + b"\r\n"))
    assert (outcome.status_code, outcome.error) == (None, Failure.INVALID_RESPONSE)


@pytest.mark.anyio
async def test_headers_without_end_are_an_invalid_answer() -> None:
    outcome = await attempt(dripping(b"HTTP/1.1 200 OK\r\n", b"X-Flood: " + b"z" * 60_000 + b"\r\n"))
    assert outcome.error is Failure.INVALID_RESPONSE


@pytest.mark.anyio
@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"])
async def test_a_reset_is_told_apart_also_in_the_middle_of_an_answer(start: bytes) -> None:
    outcome = await attempt(answering_and_resetting(start))
    assert outcome.error is Failure.CONNECTION_RESET
    assert not outcome.is_success


@pytest.mark.anyio
async def test_a_200_that_ends_early_is_no_success_but_its_status_is_kept() -> None:
    outcome = await attempt(answering_and_closing(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"))
    assert (outcome.error, outcome.status_code, outcome.excerpt) == (Failure.INVALID_RESPONSE, 200, "half")
    assert not outcome.is_success


@pytest.mark.anyio
@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00" * 100,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail.example.com ESMTP\r\n",
        b"<html>hello</html>\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 30 + b"\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
)
async def test_garbage_instead_of_http_is_an_invalid_answer(garbage: bytes) -> None:
    outcome = await attempt(answering_and_closing(garbage))
    assert outcome.error is Failure.INVALID_RESPONSE
    assert not outcome.is_success


@settings(max_examples=60)
@given(st.binary(max_size=200), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 410 Gone\r\n\r\n"]))
def test_no_bytes_whatsoever_raise(tail: bytes, start: bytes) -> None:
    outcome = asyncio.run(attempt(answering_and_closing(start + tail)))
    assert outcome.status_code is not None or outcome.error is not None


@pytest.mark.anyio
async def test_a_port_where_nobody_listens_refuses() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with sender() as sending:
            outcome = await sending.send(f"http://127.0.0.1:{unused.getsockname()[1]}/", HEADERS, BODY)
    assert outcome.error is Failure.REFUSED
    assert outcome.status_code is None


@pytest.mark.anyio
@pytest.mark.parametrize(
    "url", ["", "nonsense", "ftp://127.0.0.1/", "http://127.1/", "http://a:99999/", "http://\x00/"]
)
async def test_a_url_that_can_not_be_dialled_is_an_outcome_too(url: str) -> None:
    async with sender() as sending:
        outcome = await sending.send(url, HEADERS, BODY)
    assert outcome.error is Failure.INVALID_URL


# Names and the guard


@pytest.mark.anyio
async def test_a_private_endpoint_is_refused_before_anything_is_sent() -> None:
    async def inside(host: str, port: int) -> Sequence[str]:
        del host, port
        return ["127.0.0.1"]

    async with serving(answering(OK)) as endpoint, Sender(ssl_context=PLAIN, resolver=inside) as sending:
        for host in ("127.0.0.1", "localhost", "hooks.example.com"):
            outcome = await sending.send(f"http://{host}:{endpoint.port}/", HEADERS, BODY)
            assert outcome.error is Failure.BLOCKED_ADDRESS
            assert "allow_private_networks" in str(outcome.detail)
    assert endpoint.connections == 0


@pytest.mark.anyio
async def test_a_name_without_an_address_is_told_apart() -> None:
    async def nowhere(host: str, port: int) -> Sequence[str]:
        raise NameNotResolved(f"the name {host} has no address ({port})")

    async with Sender(ssl_context=PLAIN, resolver=nowhere) as sending:
        outcome = await sending.send("https://hooks.example.com/", HEADERS, BODY)
    assert outcome.error is Failure.DNS
    assert str(outcome.detail).startswith("The name hooks.example.com has no address")


@pytest.mark.anyio
async def test_a_name_server_that_never_answers_is_a_timeout() -> None:
    async def silent(host: str, port: int) -> Sequence[str]:
        del host, port
        await asyncio.Event().wait()
        return []

    async with Sender(ssl_context=PLAIN, resolver=silent, timeout_seconds=0.1) as sending:
        outcome = await sending.send("https://hooks.example.com/", HEADERS, BODY)
    assert outcome.error is Failure.TIMEOUT


# Many at once


@pytest.mark.anyio
async def test_slow_endpoints_do_not_delay_another_and_cancelling_closes_theirs() -> None:
    async with serving(hanging) as slow, serving(answering(OK)) as quick, sender(timeout_seconds=60) as sending:
        waiting = [asyncio.create_task(sending.send(slow.url, HEADERS, BODY)) for _ in range(120)]
        with anyio.fail_after(WAIT_SECONDS):
            for _ in waiting:
                await slow.arrived.acquire()
            assert (await sending.send(quick.url, HEADERS, BODY)).is_success
        for task in waiting:
            task.cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        assert sending._pool.connections == sending._pool.idle
        assert len(sending._pool.connections) <= 1  # the quick one, idle


# TLS


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate of `hooks.example.test`, and both sides' settings for it."""

    server: ssl.SSLContext
    trusting: ssl.SSLContext


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    folder: Path = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=DNS:hooks.example.test"),
            *("-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    return Certificate(server, ssl.create_default_context(cafile=str(cert)))


async def to_this_machine(host: str, port: int) -> Sequence[str]:
    del host, port
    return ["127.0.0.1"]


@pytest.mark.anyio
async def test_a_self_signed_certificate_is_refused_with_the_default_authorities(certificate: Certificate) -> None:
    async with (
        serving(answering(OK), tls=certificate.server) as endpoint,
        Sender(reach=Reach.ANY, resolver=to_this_machine) as sending,
    ):
        outcome = await sending.send(f"https://hooks.example.test:{endpoint.port}/", HEADERS, BODY)
    assert outcome.error is Failure.TLS
    assert "self-signed" in str(outcome.detail)
    assert endpoint.requests == []


@pytest.mark.anyio
async def test_tls_names_and_verifies_the_host_although_an_address_is_dialled(certificate: Certificate) -> None:
    named: list[str | None] = []
    certificate.server.sni_callback = lambda _socket, name, _context: named.append(name)
    async with (
        serving(answering(OK), tls=certificate.server) as endpoint,
        Sender(reach=Reach.ANY, resolver=to_this_machine, ssl_context=certificate.trusting) as sending,
    ):
        right = await sending.send(f"https://hooks.example.test:{endpoint.port}/", HEADERS, BODY)
        rooted = await sending.send(f"https://hooks.example.test.:{endpoint.port}/", HEADERS, BODY)
        wrong = await sending.send(f"https://other.example.test:{endpoint.port}/", HEADERS, BODY)
        bare = await sending.send(f"https://127.0.0.1:{endpoint.port}/", HEADERS, BODY)
    assert named == ["hooks.example.test", "hooks.example.test", "other.example.test", None]
    assert right.is_success
    assert rooted.is_success
    assert (wrong.error, bare.error) == (Failure.TLS, Failure.TLS)
    assert "other.example.test" in str(wrong.detail)
    assert len(endpoint.requests) == 2


@pytest.mark.anyio
async def test_plain_http_behind_an_https_url_is_a_failure_of_tls() -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server, sender() as sending:
        port = server.sockets[0].getsockname()[1]
        outcome = await sending.send(f"https://127.0.0.1:{port}/", HEADERS, BODY)
    assert outcome.error is Failure.TLS


@pytest.mark.anyio
async def test_what_was_said_in_the_clear_is_no_answer_under_tls(certificate: Certificate) -> None:
    async def in_the_middle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        with contextlib.suppress(OSError):
            await writer.start_tls(certificate.server)

    class LateDialer(Dialer):
        """A dialer on a busy event loop: what the other end says at once is there before the handshake begins."""

        async def connect_tcp(self, *arguments: Any, **options: Any) -> httpcore.AsyncNetworkStream:
            stream = await super().connect_tcp(*arguments, **options)
            assert isinstance(stream, Stream)
            await until(lambda: stream._held, "what the other end said at once")
            return stream

    server = await asyncio.start_server(in_the_middle, "127.0.0.1", 0)
    async with server, Sender(reach=Reach.ANY, ssl_context=certificate.trusting) as sending:
        sending._pool._backend = GuardedBackend(reach=Reach.ANY, resolver=to_this_machine, dialer=LateDialer())
        port = server.sockets[0].getsockname()[1]
        outcome = await sending.send(f"https://hooks.example.test:{port}/", HEADERS, BODY)
        assert (outcome.error, outcome.status_code) == (Failure.TLS, None)
        assert sending._pool.connections == []
