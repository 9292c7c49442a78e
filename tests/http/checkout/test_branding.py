"""The shop's color and contacts on the payer's pages."""

import re
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.http import assets
from crypto_checkout.http.checkout.branding import colors
from crypto_checkout.http.checkout.branding.shop import Branding
from tests.support.api import LINK, PRICE, App, made, open_app

CHANNEL = st.integers(0, 255)
COLOR = st.tuples(CHANNEL, CHANNEL, CHANNEL)
CONTACTS = {
    "name": "Ada's Bakery",
    "color": "#FFE14D",
    "support_email": "help+pay@bakery.example",
    "support_url": "https://bakery.example/help",
    "terms_url": "https://bakery.example/terms",
}


# --- the color -------------------------------------------------------------------------------------------------------


def tokens(text: str) -> list[dict[str, colors.Rgb]]:
    """Return the colors of each rule of a stylesheet, in their order: those of light pages, then those of dark ones."""
    rules = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    return [
        {name: colors.parse(value) for name, value in re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", rule)}
        for rule in rules
    ]


def test_the_contrast_is_that_of_wcag() -> None:
    assert colors.contrast(colors.BLACK, colors.WHITE) == pytest.approx(21)
    assert colors.contrast((0x77,) * 3, colors.WHITE) == pytest.approx(4.48, abs=0.005)
    assert colors.contrast((255, 0, 0), colors.WHITE) == pytest.approx(4.0, abs=0.005)


@given(color=COLOR)
def test_every_text_can_be_read_whatever_the_color(color: colors.Rgb) -> None:
    light, dark = tokens(colors.stylesheet("#" + bytes(color).hex()))
    assert light["--button"] == color, "buttons have the very color"
    for ground in ("--button", "--button-dark"):
        assert colors.contrast(light["--on-button"], light[ground]) >= colors.LEAST_CONTRAST
    for shades, scheme in ((light, "light"), (dark, "dark")):
        for ground_color in colors.GROUNDS[scheme]:
            assert colors.contrast(shades["--accent"], ground_color) >= colors.LEAST_CONTRAST
            assert colors.contrast(shades["--accent-dark"], ground_color) >= colors.LEAST_CONTRAST


def test_a_color_that_can_be_read_is_left_as_it_is() -> None:
    light, _ = tokens(colors.stylesheet("#1d55c9"))
    assert light["--accent"] == light["--button"] == colors.parse("#1d55c9")
    assert light["--on-button"] == colors.WHITE


def test_the_grounds_are_those_of_the_pages() -> None:
    text = (assets.FOLDER / "tokens.css").read_text("utf-8").replace("#fff;", "#ffffff;")
    for found, scheme in zip(tokens(text), ("light", "dark"), strict=True):
        assert tuple(found[name] for name in ("--ground", "--card", "--tint")) == colors.GROUNDS[scheme]


async def test_the_pages_are_colored_by_a_stylesheet_that_is_cached_for_good(tmp_path: Path) -> None:
    async with open_app(tmp_path, branding=CONTACTS) as app:
        page = await read(app, "/")
        url = unescape(re.findall(r'href="(/branding/colors\.css[^"]*)"', page)[0])
        assert page.index("checkout.css") < page.index(url), "it comes after the sheets that it changes"
        answer = await get(app, url)
        assert answer.headers["content-type"].startswith("text/css")
        assert "immutable" in answer.headers["cache-control"]
        assert "--button: #ffe14d;" in answer.text
        assert "--on-button: #000000;" in answer.text
        assert "style=" not in page
    assert Branding(color="#ffe14d").stylesheet_url == url
    assert Branding(color="#ffe14e").stylesheet_url != url


# --- contacts --------------------------------------------------------------------------------------------------------


async def get(app: App, path: str) -> httpx.Response:
    return await (await app.anybody()).get(f"http://shop.example{path}")


async def read(app: App, path: str) -> str:
    return (await get(app, path)).text


def mails(page: str) -> list[tuple[str, str]]:
    """Return the receiver and the subject of each mail that a page has a link for."""
    links = [urlsplit(unescape(each)) for each in re.findall(r'href="(mailto:[^"]*)"', page)]
    return [(each.path, parse_qs(each.query).get("subject", [""])[0]) for each in links]


async def test_every_page_says_where_to_ask_and_names_the_payment_in_the_mail(tmp_path: Path) -> None:
    async with open_app(tmp_path, branding=CONTACTS) as app:
        session = await made(app.api, "/checkout_sessions", PRICE)
        link = await made(app.api, "/payment_links", {**LINK, "active": False})
        subjects = {
            f"/checkout/{session['id']}": f"Payment {session['id']}",
            f"/checkout/{session['id']}/refund": f"Payment {session['id']}",
            "/checkout/cs_nothing": "Payment cs_nothing",
            f"/l/{link['slug']}": f"Payment l/{link['slug']}",
            "/": "Ada's Bakery",
        }
        for path, subject in subjects.items():
            page = await read(app, path)
            assert set(mails(page)) == {("help%2Bpay@bakery.example", subject)}, path
            assert 'href="https://bakery.example/help"' in page
            assert 'href="https://bakery.example/terms"' in page
            assert "Questions?" in page


async def test_a_subject_can_neither_end_the_address_nor_add_to_the_mail(tmp_path: Path) -> None:
    async with open_app(tmp_path, branding=CONTACTS) as app:
        page = await read(app, "/checkout/cs_a%26body=x%0d%0aBcc:%20eve@example.com")
        assert {receiver for receiver, _ in mails(page)} == {"help%2Bpay@bakery.example"}
        assert "body=" not in re.findall(r'href="(mailto:[^"]*)"', page)[0]


async def test_a_shop_without_contacts_shows_none(app: App) -> None:
    session = await made(app.api, "/checkout_sessions", PRICE)
    for path in (f"/checkout/{session['id']}", "/checkout/cs_nothing", "/"):
        page = await read(app, path)
        assert "Questions?" not in page
        assert "mailto:" not in page
        assert "/branding/" not in page
    assert (await get(app, colors.PATH)).status_code == 404
