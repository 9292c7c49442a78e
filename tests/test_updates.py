"""Asking for the newest version, of a real HTTPS server: what is sent, what is followed, and what is refused."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crypto_checkout import __version__, updates
from crypto_checkout.core.errors import UpdatesUnknown
from tests.support.releases import Answer, Publisher, publisher
from tests.support.waiting import WAIT_SECONDS

RELEASE = {"version": "9.1.0", "url": "https://example.com/9.1.0"}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Publisher]:
    async with publisher(tmp_path, {"/latest": Answer(RELEASE)}) as running:
        yield running


async def refused(site: Publisher, path: str, seconds: float = WAIT_SECONDS) -> str:
    with pytest.raises(UpdatesUnknown) as error:
        await updates.ask(site.url(path), trusting=site.trusting, timeout_seconds=seconds)
    return str(error.value)


async def test_the_request_says_nothing_about_the_shop(site: Publisher) -> None:
    assert await updates.ask(site.url("/latest"), trusting=site.trusting) == RELEASE
    (head,) = site.requests
    request, *headers = head.strip().split("\r\n")
    assert request == "GET /latest HTTP/1.1"
    assert dict(line.lower().split(": ", 1) for line in headers) == {
        "host": f"localhost:{site.port}",
        "accept": "application/json",
        "accept-encoding": "identity",
        "connection": "keep-alive",
        "user-agent": "crypto-checkout",
    }
    assert __version__ not in head


async def test_redirects_are_followed_without_the_cookies_that_came_with_them(site: Publisher) -> None:
    site.answers["/old"] = Answer(status=302, headers={"Location": "/latest", "Set-Cookie": "shop=1; Path=/"})
    assert await updates.ask(site.url("/old"), trusting=site.trusting) == RELEASE
    assert [head.split()[1] for head in site.requests] == ["/old", "/latest"]
    assert not any("cookie" in head.lower() for head in site.requests)


@pytest.mark.parametrize(
    "location",
    ["http://localhost/latest", "file:///etc/passwd", "//user:word@localhost/", "https://[", "ftp://localhost/"],
)
async def test_a_redirect_to_anything_but_https_isn_t_followed(site: Publisher, location: str) -> None:
    site.answers["/old"] = Answer(status=301, headers={"Location": location})
    assert await refused(site, "/old") == "it redirects to something that isn't https://"
    assert len(site.requests) == 1


async def test_a_redirect_to_a_name_that_no_domain_can_have_is_no_accident(site: Publisher) -> None:
    for host in ("xn--a", "a..b", "a" * 64):
        site.answers["/old"] = Answer(status=301, headers={"Location": f"https://{host}/"})
        assert await refused(site, "/old") in {
            "it redirects to no valid URL",
            "can't be reached: the connection failed, or broke",
        }


async def test_redirects_without_an_end_are_given_up(site: Publisher) -> None:
    site.answers["/round"] = Answer(status=307, headers={"Location": "/round"})
    assert await refused(site, "/round") == "it redirects more than 3 times"
    assert len(site.requests) == 4


async def test_neither_a_large_answer_nor_a_slow_nor_a_compressed_one_is_taken(site: Publisher) -> None:
    site.answers["/large"] = Answer(b"[" * (updates.MAX_ANSWER_BYTES + 1))
    assert await refused(site, "/large") == "the answer is larger than 256 KiB"
    site.answers["/slow"] = Answer(drips=True)
    assert await refused(site, "/slow", 0.3) == "no answer within 0.3 s"
    site.answers["/small"] = Answer(gzip.compress(b"[]"), headers={"Content-Encoding": "gzip"})
    assert await refused(site, "/small") == "the answer is compressed, which wasn't asked for"


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"[" * 100_000])
async def test_what_isn_t_json_is_refused(site: Publisher, body: bytes) -> None:
    site.answers["/latest"] = Answer(body)
    assert await refused(site, "/latest") == "the answer is no JSON"


async def test_any_other_status_is_refused(site: Publisher) -> None:
    assert await refused(site, "/nothing") == "it answers with status 404"
    site.answers["/latest"] = Answer(RELEASE, status=302)
    assert await refused(site, "/latest") == "it answers with status 302"


async def test_a_certificate_that_nobody_vouches_for_is_refused(site: Publisher) -> None:
    with pytest.raises(UpdatesUnknown, match="its certificate is not valid"):
        await updates.ask(site.url("/latest"))
    assert not site.requests


async def test_who_isn_t_there_or_speaks_no_tls_is_told_of(site: Publisher) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(UpdatesUnknown, match="can't be reached"):
        await updates.ask(f"https://localhost:{port}/", trusting=site.trusting)
    server.close()
    await server.wait_closed()
    with pytest.raises(UpdatesUnknown, match="can't be reached: the connection failed, or broke"):
        await updates.ask(f"https://localhost:{port}/", trusting=ssl.create_default_context())
