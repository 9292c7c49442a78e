"""Previews of shared pages: what messengers read, and the picture that is drawn for them."""

import contextlib
import re
import struct
import zlib
from html import unescape
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_checkout.http.checkout.preview import lettering, picture, png
from crypto_checkout.http.checkout.preview.picture import Preview
from tests.support.api import App, made, open_app

PUBLIC = "https://pay.example"
MESSENGER = {"User-Agent": "facebookexternalhit/1.1", "Accept": "*/*"}
LINK = {"title": "Bread & “butter”", "description": "Two loaves", "fiatAmount": "1234.50", "fiatCurrency": "EUR"}
RED = (200, 16, 32)


# --- what is read ----------------------------------------------------------------------------------------------------


def said(page: str) -> dict[str, str]:
    found = re.findall(r'<meta (?:property|name)="((?:og|twitter):[a-z:_]+)" content="([^"]*)">', page)
    return {name: unescape(content) for name, content in found}


async def read(app: App, path: str) -> tuple[dict[str, str], httpx.Response]:
    """Return what a messenger reads on a page, and the picture that it fetches then."""
    anybody = await app.anybody()
    page = await anybody.get(f"{PUBLIC}{path}", headers=MESSENGER)
    assert page.status_code == 200
    words = said(page.text)
    assert words["og:url"] == f"{PUBLIC}{path}"
    picture = await anybody.get(words["og:image"], headers=MESSENGER)
    assert (picture.status_code, picture.headers["content-type"]) == (200, words["og:image:type"])
    assert struct.unpack(">II", picture.content[16:24]) == (
        int(words["og:image:width"]),
        int(words["og:image:height"]),
    )
    return words, picture


@pytest.fixture
def logo(tmp_path: Path) -> Path:
    path = tmp_path / "logo.png"
    path.write_bytes(png.write(400, [bytes(RED) * 400] * 100))
    return path


async def test_a_shared_link_shows_its_title_amount_shop_and_logo(tmp_path: Path, logo: Path) -> None:
    branding = {"name": "Ada's Bakery", "logo": str(logo)}
    async with open_app(tmp_path, server={"public_url": PUBLIC}, branding=branding) as app:
        link = await made(app.api, "/payment_links", LINK)
        words, answer = await read(app, f"/l/{link['slug']}")
        assert words["og:title"] == LINK["title"]
        assert words["og:description"] == "1,234.50 EUR · Two loaves"
        assert words["og:site_name"] == "Ada's Bakery"
        assert words["og:image:alt"] == f"Ada's Bakery · {LINK['title']} · 1,234.50 EUR"
        assert words["twitter:card"] == "summary_large_image"
        assert drawn(answer.content, RED) == 400 * 100, "the logo, pixel for pixel"
        assert drawn(answer.content, picture._TEST) > 0, "a test link is marked"
        tag = {"If-None-Match": answer.headers["etag"]}
        assert (await (await app.anybody()).get(words["og:image"], headers=tag)).status_code == 304
        listed = await app.api.get("/checkout_sessions")
        assert listed.json()["data"] == [], "who only looks makes no session"


async def test_a_shared_session_shows_the_same(tmp_path: Path) -> None:
    async with open_app(tmp_path, server={"public_url": PUBLIC}) as app:
        link = await made(app.api, "/payment_links", LINK)
        of_link = await made(app.api, "/checkout_sessions", {"linkId": link["id"]})
        words, _ = await read(app, f"/checkout/{of_link['id']}")
        assert (words["og:title"], words["og:description"]) == (LINK["title"], "1,234.50 EUR · Two loaves")
        body = {"amount": {"value": "3.50", "currency": "USD"}}
        coins = [{"chainId": 1337, "asset": "ETH"}, {"chainId": 1337, "asset": "USDC"}]
        for session in (body, {**body, "assets": coins}):
            made_session = await made(app.api, "/checkout_sessions", session)
            words, _ = await read(app, f"/checkout/{made_session['id']}")
            assert (words["og:title"], words["og:description"]) == ("3.50 USD", "3.50 USD")
            assert "og:site_name" not in words


async def test_nothing_is_drawn_of_what_is_not_there(app: App) -> None:
    link = await made(app.api, "/payment_links", {**LINK, "active": False})
    anybody = await app.anybody()
    for path, status in (("/l/nothing", 404), (f"/l/{link['slug']}", 400), ("/checkout/cs_nothing", 404)):
        assert (await anybody.get(f"http://shop.example{path}/preview.png")).status_code == status


# --- the picture -----------------------------------------------------------------------------------------------------


def drawn(picture: bytes, colour: tuple[int, int, int]) -> int:
    """Return how many pixels have a colour."""
    image = png.read(picture, most_pixels=10**6)
    return sum(list(zip(row[::4], row[1::4], row[2::4], strict=True)).count(colour) for row in image.rows)


def ink(title: str = "", shop: str = "", amount: str = "1 USD", logo: Path | None = None) -> int:
    """Return how many pixels aren't paper."""
    content = picture.draw(Preview(shop, title, amount, is_test=False), logo, picture.logo_version(logo))
    return picture.WIDTH * picture.HEIGHT - drawn(content, picture._PAPER)


@pytest.mark.parametrize("title", ["Čaj a káva", "Хлеб", "Ψωμί", "Crème brûlée – 5 €", "Bread\u00a0and butter"])
def test_titles_in_latin_greek_and_cyrillic_are_written(title: str) -> None:
    assert lettering.load("text").can_set(title)
    assert ink(title) > ink()


@pytest.mark.parametrize("title", ["咖啡", "قهوة", "קפה", "☕", "a\u0301\u0489", "\x00", "\n"])
def test_what_the_letters_can_not_write_is_left_out_and_the_amount_is_not(title: str) -> None:
    assert ink(title) == ink() > 0


@pytest.mark.parametrize(
    "amount", ["0.01 USD", "1’234.50 CHF", "99,999,999,999.99 EUR", "1 234,50 KWD", "12,34,567 JPY"]
)
def test_every_amount_is_written(amount: str) -> None:
    edges = 2 * picture._EDGE * picture.WIDTH
    assert ink(amount=amount) > edges


@given(st.text(st.sampled_from("WMil žЯ"), max_size=200), st.integers(1, 3))
def test_no_title_is_wider_than_the_picture(title: str, most_lines: int) -> None:
    text = lettering.load("text")
    lines = text.wrapped(title, 500, most_lines)
    assert len(lines) <= most_lines
    assert all(text.width(line) <= 500 for line in lines)
    if " ".join(lines) != " ".join(title.split()):
        assert "…" in "".join(lines)


@pytest.mark.parametrize("size", ["text", "amount"])
def test_every_letter_has_its_place(size: str) -> None:
    letters = lettering.load(size)
    assert {len(row) for row in letters.rows} == {sum(width for _, width in letters.places.values())}
    assert set("0123456789., ’ABCDEFGHIJKLMNOPQRSTUVWXYZ") <= letters.places.keys()
    for letter, (_, width) in letters.places.items():
        assert width > 0
        assert any(map(any, letters.line(letter))) != letter.isspace(), letter


@pytest.mark.parametrize("content", [b"", b"<svg/>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0JFIF"])
def test_a_logo_of_another_kind_is_left_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "logo").write_bytes(content)
    assert ink(logo=tmp_path / "logo") == ink() == ink(logo=tmp_path / "nothing")


def test_a_logo_is_shrunk_to_fit_and_drawn_anew_once_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    path.write_bytes(png.write(960, [bytes(RED) * 960] * 20))
    first = picture.draw(Preview("", "", "1 USD", is_test=False), path, 1)
    assert drawn(first, RED) == 480 * 10
    path.write_bytes(png.write(10, [bytes(RED) * 10] * 10))
    assert drawn(picture.draw(Preview("", "", "1 USD", is_test=False), path, 2), RED) == 100


# --- PNG -------------------------------------------------------------------------------------------------------------


def encoded(kind: int, rows: list[bytes], channels: int, filters: list[int], extra: bytes = b"") -> bytes:
    """Encode rows as a PNG with a filter for each row, as the specification has it."""
    raw, above = b"", bytes(len(rows[0]))
    for row, number in zip(rows, filters, strict=True):
        left = bytes(channels) + row[:-channels]
        corner = bytes(channels) + above[:-channels]
        guesses = [guess(number, *each) for each in zip(left, above, corner, strict=True)]
        raw += bytes([number]) + bytes((value - each) & 255 for value, each in zip(row, guesses, strict=True))
        above = row
    header = struct.pack(">IIBBBBB", len(rows[0]) // channels, len(rows), 8, kind, 0, 0, 0)
    parts = png._chunk(b"IHDR", header) + extra
    body = zlib.compress(raw)
    return b"\x89PNG\r\n\x1a\n" + parts + png._chunk(b"IDAT", body[:7]) + png._chunk(b"IDAT", body[7:])


def guess(number: int, left: int, up: int, corner: int) -> int:
    nearest = min((left, up, corner), key=lambda each: abs(left + up - corner - each))
    return (0, left, up, (left + up) // 2, nearest)[number]


@given(st.data())
def test_every_filter_and_colour_type_is_read(data: st.DataObject) -> None:
    kind, channels = data.draw(st.sampled_from([(0, 1), (2, 3), (4, 2), (6, 4)]))
    width, height = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 4))
    size = width * channels
    rows = data.draw(st.lists(st.binary(min_size=size, max_size=size), min_size=height, max_size=height))
    filters = data.draw(st.lists(st.integers(0, 4), min_size=height, max_size=height))
    image = png.read(encoded(kind, rows, channels, filters), most_pixels=100)
    for got, row in zip(image.rows, rows, strict=True):
        for at in range(width):
            pixel = row[at * channels : (at + 1) * channels]
            colour = pixel[:1] * 3 if channels < 3 else pixel[:3]
            assert got[4 * at : 4 * at + 4] == colour + (pixel[-1:] if channels in (2, 4) else b"\xff")


def test_a_palette_is_read_with_its_opacities() -> None:
    extra = png._chunk(b"PLTE", bytes(RED) + b"\1\2\3") + png._chunk(b"tRNS", b"\x80")
    image = png.read(encoded(3, [b"\0\1"], 1, [0], extra), most_pixels=2)
    assert image.rows == [bytes(RED) + b"\x80" + b"\1\2\3\xff"]


@given(st.binary(max_size=200), st.integers(0, 120))
def test_a_damaged_image_is_refused_and_nothing_worse(noise: bytes, at: int) -> None:
    good = encoded(6, [bytes(8)] * 2, 4, [0, 4])
    for data in (noise, good[:at] + noise, good[:at] + noise + good[at + len(noise) :]):
        with contextlib.suppress(png.Unreadable):
            assert len(png.read(data, most_pixels=100).rows) <= 100


def test_a_huge_image_is_not_even_unpacked() -> None:
    with pytest.raises(png.Unreadable):
        png.read(encoded(0, [bytes(101)], 1, [0]), most_pixels=100)
