"""Settings that are tried in the browser: branding on a sample page, sources of prices, and what they change."""

import html
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.core.checkout.quotes import Observation
from crypto_checkout.core.errors import SourceFailed
from crypto_checkout.http.dashboard.frame.services import DashboardServices
from crypto_checkout.prices.source import Source
from crypto_checkout.prices.trial import PriceTrial
from tests.support.api import App, open_app
from tests.support.dashboard import signed_in

TRIAL = {"coin": "ETH", "quote": "usd", "source": ["coinbase", "kraken"], "quorum": "2", "own": ""}


@pytest.fixture
async def owner(app: App) -> httpx.AsyncClient:
    return await signed_in(app)


def shown(page: str) -> str:
    """Return the text of a page."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page.partition("<main")[2])))


# --- the shop --------------------------------------------------------------------------------------------------------


async def test_branding_is_tried_on_a_sample_page_that_runs_nothing_and_may_be_framed_by_the_dashboard_only(
    owner: httpx.AsyncClient,
) -> None:
    body = {"name": "Ada & Co", "color": "#a01c5e", "support_email": "help@ada.example"}
    answer = await owner.post("/test/settings/shop", data=body)
    assert answer.status_code == 200
    assert "frame-src 'self'" in answer.headers["content-security-policy"]
    assert 'name = "Ada & Co"' in html.unescape(answer.text)
    assert 'title="Sample payment page" sandbox="allow-same-origin">' in answer.text
    frame = re.search(r'<iframe class="sample" src="([^"]+)"', answer.text)
    assert frame is not None
    sample = await owner.get(html.unescape(frame[1]).removeprefix("/dashboard"))
    assert sample.status_code == 200
    policy = sample.headers["content-security-policy"]
    assert "frame-ancestors 'self'" in policy
    assert "script-src" not in policy
    assert "sandbox" in policy
    assert "x-frame-options" not in sample.headers
    assert "Ada &amp; Co" in sample.text
    assert "help@ada.example" in sample.text
    assert "http-equiv" not in sample.text
    assert "<script" not in sample.text
    sheet = re.search(r'href="([^"]+colors\.css[^"]*)"', sample.text)
    assert sheet is not None
    colors = await owner.get(html.unescape(sheet[1]).removeprefix("/dashboard"))
    assert colors.headers["content-type"].startswith("text/css")
    assert "#a01c5e" in colors.text


async def test_the_address_for_receipts_keeps_its_lines_and_one_in_use_is_no_change(tmp_path: Path) -> None:
    in_use = {"address": "12 Mill Lane\nYork", "tax_number": "VAT GB123456789"}
    async with open_app(tmp_path, branding=in_use) as app:
        owner = await signed_in(app)
        shown_now = html.unescape((await owner.get("/test/settings/shop")).text)
        assert "12 Mill Lane\nYork</textarea>" in shown_now
        same = await owner.post("/test/settings/shop", data={**in_use, "address": "12 Mill Lane\r\nYork\r\n"})
        assert "there is nothing to change" in same.text
        moved = await owner.post("/test/settings/shop", data={**in_use, "address": "1 Low Street\r\nLeeds"})
        assert 'address = "1 Low Street\\nLeeds"' in html.unescape(moved.text)
        assert "tax_number" not in html.unescape(moved.text).partition('id="toml"')[2].partition("</pre>")[0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("address", "a\n" * 9),
        ("tax_number", "a" * 81),
        ("color", "red"),
        ("color", "#12345g"),
        ("support_email", "nobody"),
        ("support_url", "javascript:alert(1)"),
        ("terms_url", "http://shop.example/terms"),
        ("logo", "../../../etc/hostname.png"),
        ("logo", "/etc/hostname.png"),
        ("logo", "none.png"),
        ("logo", "a\x00b.png"),
        ("logo", f"{'x' * 400}.png"),
        ("name", "a" * 81),
    ],
)
async def test_branding_that_the_configuration_would_refuse_is_refused_here(
    owner: httpx.AsyncClient, field: str, value: str
) -> None:
    answer = await owner.post("/test/settings/shop", data={field: value})
    assert answer.status_code == 400
    assert f'id="{field}-wrong"' in answer.text
    assert 'id="toml"' not in answer.text
    if field not in {"name", "tax_number"}:  # which are cut
        assert (await owner.get("/test/settings/shop/sample", params={field: value})).status_code == 404


async def test_a_logo_beside_the_configuration_is_shown_and_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "new.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>', "utf-8")
    (tmp_path.parent / "outside.svg").write_text("<svg/>", "utf-8")
    config = tmp_path / "checkout.toml"
    config.write_text('[branding]\nname = "Old"\n', "utf-8")
    async with open_app(tmp_path, branding={"name": "Old"}) as app:
        owner = await signed_in(app)
        answer = await owner.post("/test/settings/shop", data={"name": "Old", "logo": "new.svg"})
        assert 'logo = "new.svg"' in html.unescape(answer.text)
        assert "added: logo" in shown(answer.text)
        assert "removed:" not in shown(answer.text)
        logo = await owner.get("/test/settings/shop/sample/logo", params={"logo": "new.svg"})
        assert logo.headers["content-type"] == "image/svg+xml"
        assert "sandbox" in logo.headers["content-security-policy"]
        for path in ("../outside.svg", str(tmp_path.parent / "outside.svg"), "checkout.toml", "checkout.db"):
            assert (await owner.get("/test/settings/shop/sample/logo", params={"logo": path})).status_code == 404
        same = await owner.post("/test/settings/shop", data={"name": "Old"})
        assert "there is nothing to change" in same.text
        assert config.read_text("utf-8") == '[branding]\nname = "Old"\n'


async def test_the_sample_needs_a_login(app: App) -> None:
    await signed_in(app)
    transport = httpx.ASGITransport(app=app.opened.web, client=("127.0.0.1", 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.example/dashboard") as stranger:
        for path in ("", "/colors.css", "/logo"):
            assert (await stranger.get(f"/test/settings/shop/sample{path}")).status_code == 303


# --- prices ----------------------------------------------------------------------------------------------------------


class Stub:
    def __init__(self, name: str, value: str | None) -> None:
        self.name = name
        self._value = value

    async def observe(self, base: str, quote: str) -> Observation:  # noqa: ARG002 - the interface
        if self._value is None:
            raise SourceFailed("can't be reached")
        return Observation(self.name, Decimal(self._value), datetime.now(UTC))


@pytest.fixture
async def market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[App, dict[str, str | None]]]:
    """Yield an application whose price sources say what this table has, and ask nobody."""
    prices: dict[str, str | None] = {"coinbase": "3000.00", "kraken": "3030.00", "chainlink": None, "coingecko": "9"}

    @asynccontextmanager
    async def opened(names: Sequence[str]) -> AsyncIterator[Sequence[Source]]:
        yield [Stub(name, prices[name]) for name in names]

    def with_stubs(**fields: Any) -> DashboardServices:
        trial = PriceTrial(opened, max_age_seconds=120, max_spread_percent=Decimal(3), clock=lambda: datetime.now(UTC))
        return replace(DashboardServices(**fields), price_trial=trial)

    monkeypatch.setattr("crypto_checkout.app.web.DashboardServices", with_stubs)
    (tmp_path / "checkout.toml").write_text('[prices]\nquorum = 1\ncoingecko_api_key = "abcdef"\n', "utf-8")
    async with open_app(tmp_path) as app:
        yield app, prices


async def test_sources_are_tried_and_each_answer_is_shown_with_the_median(market: tuple[App, Any]) -> None:
    app, _ = market
    owner = await signed_in(app)
    answer = await owner.post(
        "/test/settings/prices/try", data={**TRIAL, "source": ["coinbase", "kraken", "chainlink"]}
    )
    text = shown(answer.text)
    assert "Median: 3015.00 USD , of coinbase, kraken." in text
    assert "can't be reached" in text
    assert 'sources = ["chainlink", "coinbase", "kraken"]' in text
    assert "added: quorum = 2" in text
    assert "removed: quorum = 1" in text
    assert "abcdef" not in answer.text, "a secret beside the change"
    assert "Check the prices" in (await owner.get("/test/guide")).text


async def test_a_price_of_ones_own_is_held_against_the_market(market: tuple[App, Any]) -> None:
    app, prices = market
    owner = await signed_in(app)
    text = shown((await owner.post("/test/settings/prices/try", data={**TRIAL, "own": "2900"})).text)
    assert "it is \u22123.8% from the market" in text
    assert 'fixed = { "ETH/USD" = "2900" }' in text
    prices["kraken"] = None
    text = shown((await owner.post("/test/settings/prices/try", data=TRIAL)).text)
    assert "No reliable ETH/USD price now" in text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("coin", ""),
        ("coin", "<b>"),
        ("quote", "ZZZ"),
        ("source", []),
        ("source", ["nobody"]),
        ("quorum", "3"),
        ("quorum", "0"),
        ("quorum", "x"),
        ("own", "-1"),
        ("own", "1e9"),
        ("own", "NaN"),
    ],
)
async def test_what_is_no_trial_asks_nobody(market: tuple[App, Any], field: str, value: Any) -> None:
    app, prices = market
    prices.clear()
    answer = await (await signed_in(app)).post("/test/settings/prices/try", data={**TRIAL, field: value})
    assert answer.status_code == 400
    assert f'id="{field}-wrong"' in answer.text


@pytest.mark.usefixtures("still_rate_limits")
async def test_trials_are_limited(market: tuple[App, Any]) -> None:
    app, _ = market
    owner = await signed_in(app)
    answers = [(await owner.post("/test/settings/prices/try", data=TRIAL)).status_code for _ in range(14)]
    assert answers[:12] == [200] * 12
    assert answers[-1] == 429


# --- chains ----------------------------------------------------------------------------------------------------------


async def test_a_stolen_login_can_not_look_around_in_a_private_network(tmp_path: Path) -> None:
    async with open_app(tmp_path, webhooks={}) as app:
        owner = await signed_in(app)
        body = {"preset": "1", "urls": "http://169.254.169.254/\nhttp://10.0.0.7:8545\nhttps://10.0.0.7:5432"}
        text = shown((await owner.post("/test/settings/chains", data=body)).text)
    for why in ("its address is cloud metadata", "its address is private", "port 5432 belongs to another service"):
        assert why in text


async def test_every_page_of_the_settings_can_be_opened(owner: httpx.AsyncClient) -> None:
    pages = set(re.findall(r'href="(/dashboard/test/settings[^"?]*)"', (await owner.get("/test/settings")).text))
    assert len(pages) >= 8
    for page in sorted(pages):
        assert (await owner.get(page.removeprefix("/dashboard"))).status_code == 200, page
