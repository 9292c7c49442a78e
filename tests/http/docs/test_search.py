"""The search of the documentation: what is found, in which order, and how it is shown."""

import asyncio
import json
import threading
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from crypto_checkout.http.api.openapi import document
from crypto_checkout.http.api.table import table
from crypto_checkout.http.docs import search
from crypto_checkout.http.docs.contents import GUIDES
from crypto_checkout.http.docs.pages import routes
from crypto_checkout.http.docs.search import Passage
from tests.http.docs.test_pages import Elements, page
from tests.support.api import App

TITLE = Passage("/docs/refunds", "Refunds", "Refunds", "Money that goes back to a payer.")
HEADING = Passage("/docs/webhooks#refunds", "Webhooks", "Events of refunds", "They carry the object.")
TEXT = Passage("/docs/basics#money", "How it works", "The money", "There are refunds, and a successUrl.")
SECTIONS = (TEXT, HEADING, TITLE)


def found(query: str) -> list[str]:
    return [result.url for result in search.search(SECTIONS, query)]


def test_a_title_comes_before_a_heading_and_a_heading_before_text() -> None:
    assert found("refunds") == [TITLE.url, HEADING.url, TEXT.url]


def test_the_beginning_of_a_word_is_enough_and_its_inside_comes_last() -> None:
    assert found("refu") == [TITLE.url, HEADING.url, TEXT.url]
    assert found("fund")[0] == TITLE.url
    assert found("URL") == [TEXT.url]


def test_every_word_has_to_be_found() -> None:
    assert found("refunds payer") == [TITLE.url]
    assert found("refunds nonsense") == []


@pytest.mark.parametrize("query", ["", "   ", "-", "%", "_", "()[]*", "\x00"])
def test_nothing_is_found_without_a_word(query: str) -> None:
    assert found(query) == []


def test_matches_are_marked_and_the_rest_is_text() -> None:
    section = Passage("/docs/x", "X", "Tags <b>", f"{'before ' * 40}a <script> of Tags{' after' * 60}")
    (result,) = search.search([section], "tag")
    assert result.heading == "<mark>Tag</mark>s &lt;b&gt;"
    assert result.excerpt.startswith("… before")
    assert result.excerpt.endswith(" …")
    assert "&lt;script&gt; of <mark>Tag</mark>s" in result.excerpt


def test_there_are_at_most_twenty_results() -> None:
    assert len(search.search([TITLE] * 100, "refunds")) == search.MOST_RESULTS


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("refund", "/docs/refunds"),
        ("USDC phone", "/docs/payment-pages#on-a-phone"),
        ("webhook", "/docs/webhooks"),
        ("nginx", "/docs/proxies#nginx"),
        ("trezor", "/docs/wallets#trezor"),
        ("test mode", "/docs/test-mode"),
        ("threat model", "/docs/threat-model"),
        ("session.paid", "/docs/api#event-session.paid"),
    ],
)
async def test_the_page_of_results_begins_with_what_was_meant(app: App, query: str, first: str) -> None:
    text = await page(app, f"/docs/search?q={query.replace(' ', '+')}")
    results = [str(each["href"]) for tag, each in Elements(text.partition("results")[2]).found if tag == "a"]
    assert results[0].partition("#")[0] == first if "#" not in first else results[0] == first


async def test_what_was_typed_is_shown_as_text(app: App) -> None:
    text = await page(app, "/docs/search?q=%3Cscript%3Ealert(1)%3C/xyzzy%3E%22")
    assert "<script>alert" not in text
    assert 'value="&lt;script&gt;alert(1)&lt;/xyzzy&gt;&#34;"' in text
    assert "Nothing found for" in text


async def test_a_long_query_is_cut(app: App) -> None:
    assert "x" * 101 not in await page(app, f"/docs/search?q={'x' * 5000}")


async def test_the_index_has_every_guide_and_operation_and_is_sent_once(app: App) -> None:
    url = "http://shop.example/docs/search.json"
    answer = await app.api.get(url)
    assert answer.headers["content-type"] == "application/json"
    rows = json.loads(answer.content)
    urls = {row[0] for row in rows}
    assert {f"/docs/{name}" for name in GUIDES} <= urls
    assert "/docs/api#createCheckoutSession" in urls
    assert len(answer.content) < 400_000
    again = await app.api.get(url, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_every_place_in_the_index_exists(app: App) -> None:
    rows = json.loads((await app.api.get("http://shop.example/docs/search.json")).content)
    ids: dict[str, list[str]] = {}
    for url, *_ in rows:
        path, _, place = url.partition("#")
        if path not in ids:
            ids[path] = Elements(await page(app, path)).ids
        assert not place or place in ids[path], url


async def test_searches_at_the_same_time_wait_for_one_thread() -> None:
    begun: list[int] = []

    def read() -> Mapping[str, Any]:
        begun.append(threading.get_ident())
        return document(table(), "http://shop.example")

    web = Starlette(routes=routes(read, lambda _: None))
    transport = httpx.ASGITransport(app=web)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as reader:
        answers = await asyncio.gather(*(reader.get(f"/docs/search?q=webhook+{number}") for number in range(8)))
    assert {each.status_code for each in answers} == {200}
    assert len(begun) == 1, "each of several threads would have begun to read"
