"""The dashboard's frame: who is let in, where writes may come from, and how the modes are kept apart."""

from html import unescape
from pathlib import Path

import httpx
import pytest

from crypto_checkout.core.errors import OutcomeUnknown
from tests.support.api import App, open_app
from tests.support.dashboard import PASSWORD, SITE, signed_in, visitor
from tests.support.shop import XPUB

PAGES = ("/test", "/api-keys", "/api-keys/new", "/settings", "/settings/trail", "/nothing")


@pytest.fixture
async def owner(app: App) -> httpx.AsyncClient:
    return await signed_in(app)


@pytest.mark.parametrize("path", PAGES)
async def test_who_is_not_signed_in_is_led_to_the_door_and_back(app: App, path: str) -> None:
    await signed_in(app)
    client = await visitor(app)
    answer = await client.get(path, params={"a": "b"})
    assert answer.status_code == 303
    door = httpx.URL(answer.headers["location"])
    assert door.path == "/dashboard/sign-in"
    assert door.params["next"] == f"/dashboard{path}?a=b"
    answer = await client.post("/sign-in", data={"password": PASSWORD, "next": door.params["next"]})
    assert answer.headers["location"] == door.params["next"]


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_has_the_headers_that_keep_it_to_itself(owner: httpx.AsyncClient, path: str) -> None:
    answer = await owner.get(path if path == "/test" else f"/test{path}")
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert "style=" not in answer.text
    assert "<style" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
async def test_another_sites_form_does_nothing(owner: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await owner.post("/test/sign-out", headers=headers)
    assert answer.status_code == 403
    assert (await owner.get("/test")).status_code == 200


async def test_without_a_live_chain_every_page_is_of_test_mode(owner: httpx.AsyncClient) -> None:
    answer = await owner.get("/api-keys", params={"after": "7"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/dashboard/test/api-keys?after=7"
    assert "Test mode" in (await owner.get("/test/api-keys")).text


async def test_a_key_is_shown_once_and_works_until_it_is_revoked(app: App, owner: httpx.AsyncClient) -> None:
    answer = await owner.post("/test/api-keys", data={"name": "My <shop>", "mode": "test", "scope": "links:read"})
    assert answer.status_code == 201
    text = answer.text.partition('<code id="key">')[2].partition("<")[0]
    api = await app.anybody(f"Bearer {text}")
    assert (await api.get("/payment_links")).status_code == 200
    page = (await owner.get("/test/api-keys")).text
    assert text not in page
    assert text[:14] in page
    assert "My &lt;shop&gt;" in page
    key_id = page.partition("/api-keys/ak_")[2].partition("/")[0]
    answer = await owner.post(f"/test/api-keys/ak_{key_id}/revoke", data={})
    assert answer.status_code == 303
    said = (await owner.get("/test/api-keys")).text
    assert "was revoked" in said
    assert "within a second" in said
    assert "within a second" not in (await owner.get("/test/api-keys")).text
    trail = (await owner.get("/test/settings/trail")).text
    assert "First password set" in trail
    assert "API key created" in trail
    assert "api_key.created" in trail
    assert "api_key.revoked" in trail
    assert trail.count(f"ak_{key_id}") == 2
    assert "from 127.0.0.1" in trail


async def test_a_mistake_stands_at_its_field_and_nothing_typed_is_lost(
    owner: httpx.AsyncClient,
) -> None:
    answer = await owner.post("/test/api-keys", data={"name": "Till", "mode": "test"})
    assert answer.status_code == 400
    assert 'value="Till"' in answer.text
    assert "Select at least one." in answer.text


async def test_signing_out_ends_the_login(owner: httpx.AsyncClient) -> None:
    cookies = dict(owner.cookies)
    answer = await owner.post("/test/sign-out")
    assert answer.headers["location"] == "/dashboard/sign-in"
    assert "You have signed out." in (await owner.get("/sign-in")).text
    owner.cookies.update(cookies)
    assert (await owner.get("/test")).status_code == 303


async def test_nobody_is_led_away_after_signing_in(app: App) -> None:
    await signed_in(app)
    for wanted in (
        "https://evil.example",
        "//evil.example",
        "/dashboard\\evil",
        "/dashboardevil",
        "/dashboard/\n/evil",
        "",
    ):
        client = await visitor(app)
        answer = await client.post("/sign-in", data={"password": PASSWORD, "next": wanted})
        assert answer.headers["location"] == "/dashboard", wanted


async def test_an_unknown_page_and_a_wrong_cursor_are_answered_with_pages(owner: httpx.AsyncClient) -> None:
    answer = await owner.get("/test/nothing")
    assert answer.status_code == 404
    assert "Page not found" in answer.text
    assert 'href="/dashboard/test/payments"' in answer.text, "it stays in its mode"
    deeper = (await owner.get("/test/nothing/there")).text
    assert 'href="/dashboard/test">Back<' in deeper, "and leads to a page that is there"
    answer = await owner.get("/test/settings/trail", params={"after": "1", "before": "2"})
    assert answer.status_code == 400
    assert (await owner.get("/test/")).headers["location"] == "/dashboard/test"


async def test_what_may_have_been_done_is_not_called_unchanged(
    app: App, owner: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: object, **__: object) -> None:
        raise OutcomeUnknown("the server closed the connection")

    with monkeypatch.context() as patch:
        patch.setattr(app.opened.db, "write", lost)
        answer = await owner.post("/test/sign-out")
    assert answer.status_code == 503
    assert "It isn't known whether this was done" in unescape(answer.text)
    assert "Nothing was changed" not in answer.text


async def test_cookies_are_kept_from_scripts_and_from_other_sites(app: App) -> None:
    await signed_in(app)
    client = await visitor(app)
    answer = await client.post("/sign-in", data={"password": PASSWORD})
    cookies = answer.headers.get_list("set-cookie")
    assert len(cookies) == 2
    for cookie in cookies:
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie
    assert SITE.startswith("http:")


async def test_a_page_shows_one_mode_and_the_switch_leads_to_the_other(tmp_path: Path) -> None:
    chain = {"id": 31337, "name": "Nowhere", "rpc_urls": ["http://127.0.0.1:1"]}
    async with open_app(tmp_path, wallet={"xpub": XPUB}, chains=[chain]) as app:
        owner = await signed_in(app)
        for livemode in (True, False):
            await app.key(livemode=livemode, name=f"Key of {'live' if livemode else 'test'}")
        live, test = (await owner.get("/api-keys")).text, (await owner.get("/test/api-keys")).text
        assert "Key of live" in live
        assert "Key of test" not in live
        assert "Test mode" not in live
        assert "Key of test" in test
        assert "Key of live" not in test
        assert 'href="/dashboard/test/api-keys" data-mode="test">' in live
        assert 'href="/dashboard/api-keys" data-mode="live">' in test
        key_id = live.partition("/api-keys/ak_")[2].partition("/")[0]
        assert (await owner.post(f"/test/api-keys/ak_{key_id}/revoke")).status_code == 404
        assert (await owner.post(f"/api-keys/ak_{key_id}/revoke")).status_code == 303
        assert key_id in (await owner.get("/settings/trail")).text
        assert key_id not in (await owner.get("/test/settings/trail")).text


async def test_without_test_mode_there_is_no_switch_and_every_page_is_live(tmp_path: Path) -> None:
    chain = {"id": 31337, "name": "Nowhere", "rpc_urls": ["http://127.0.0.1:1"]}
    async with open_app(tmp_path, wallet={"xpub": XPUB}, chains=[chain], test_mode={"enabled": False}) as app:
        owner = await signed_in(app)
        assert (await owner.get("/test/api-keys")).headers["location"] == "/dashboard/api-keys"
        page = (await owner.get("/api-keys")).text
        assert 'class="switch"' not in page
        assert (await owner.get("/guide")).status_code == 200
        assert "switched off" in (await owner.get("/guide/payment")).text
        assert (await owner.post("/guide/payment", data={"by": "server"})).status_code == 404


@pytest.mark.parametrize("body", [b"name=%FF", b"\xff", b"&".join(b"a=1" for _ in range(300))])
async def test_a_form_that_no_browser_sends_is_refused_with_a_page(owner: httpx.AsyncClient, body: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await owner.post("/test/api-keys", content=body, headers=headers)
    assert answer.status_code == 415
    assert "can&#39;t be read" in answer.text
    answer = await owner.post("/test/api-keys", json={"name": "x"})
    assert answer.status_code == 415
    answer = await owner.post("/test/api-keys", content=b"a=" + b"x" * 70_000, headers=headers)
    assert answer.status_code == 413


async def test_a_number_that_no_page_sends_is_no_fault_of_the_server(owner: httpx.AsyncClient) -> None:
    assert (await owner.get("/test/customers", params={"page": "000000001" + "9" * 5_000})).status_code == 200
    assert (await owner.post("/test/settings/chains/check", data={"chain": "²"})).status_code == 400
