"""Draw the letters of link previews, with a browser: two sizes of DejaVu Sans Bold.

    .venv/bin/python -m scripts.letters

They are rows of grey in `crypto_checkout/http/checkout/preview/letters`, an image and the place of each letter in it
for each size. DejaVu's licence lets pictures of its letters go anywhere.
"""

import json
import unicodedata
from collections.abc import Iterable

from playwright.sync_api import Page, sync_playwright

from crypto_checkout.http.checkout.preview import png
from crypto_checkout.http.checkout.preview.lettering import FOLDER
from tests.support import chromium

FONT = "DejaVu Sans"
# Signs of currencies and punctuation, each as it looks.
RANGES = ((0x20, 0x7F), (0xA0, 0x180), (0x384, 0x3CF), (0x400, 0x460), (0x490, 0x4A0))
MORE = "–—‘’‚“”„•…‹›€₤₦₩₪₫₭₮₱₲₴₵₸₹₺₽№™"  # noqa: RUF001
SIZES = {"text": (44, None), "amount": (112, "0123456789.,’' -ABCDEFGHIJKLMNOPQRSTUVWXYZ")}  # noqa: RUF001
"""The height of each size in pixels, and its letters if they aren't all."""

DRAW = """([font, size, letters]) => {
    const canvas = document.createElement("canvas");
    const height = Math.ceil(size * 1.36);
    const pen = canvas.getContext("2d");
    pen.font = `bold ${size}px "${font}"`;
    const widths = letters.map((letter) => Math.ceil(pen.measureText(letter).width));
    canvas.width = widths.reduce((sum, width) => sum + width, 0);
    canvas.height = height;
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, canvas.width, height);
    pen.font = `bold ${size}px "${font}"`;
    pen.fillStyle = "#fff";
    let at = 0;
    letters.forEach((letter, number) => {
        pen.save();
        pen.beginPath();
        pen.rect(at, 0, widths[number], height);
        pen.clip();
        pen.fillText(letter, at, Math.round(size * 1.05));
        pen.restore();
        at += widths[number];
    });
    const pixels = pen.getImageData(0, 0, canvas.width, height).data;
    const grey = [];
    for (let i = 0; i < pixels.length; i += 4) grey.push(pixels[i]);
    return [widths, height, grey];
}"""


def main() -> None:
    """Draw both sizes."""
    FOLDER.mkdir(exist_ok=True)
    everything = [chr(each) for start, end in RANGES for each in range(start, end)] + list(MORE)
    drawable = [each for each in everything if unicodedata.category(each)[0] in "LNPSZ"]
    with sync_playwright() as playwright:
        program = chromium.find()
        assert program is not None, "there is no chromium"
        browser = chromium.launch(playwright, program)
        page = browser.new_page()
        for name, (size, only) in SIZES.items():
            _draw(page, name, size, only or drawable)
        browser.close()


def _draw(page: Page, name: str, size: int, letters: Iterable[str]) -> None:
    letters = list(letters)
    rows: list[bytes] = []
    widths: list[int] = []
    for start in range(0, len(letters), 60):  # a canvas is at most some thousand pixels wide
        drawn, height, grey = page.evaluate(DRAW, [FONT, size, letters[start : start + 60]])
        rows = rows if widths else [b""] * height
        width = sum(drawn)
        # Sixteen shades are as smooth as 256, and a third of the bytes.
        shades = bytes(17 * round(each / 17) for each in grey)
        rows = [row + shades[y * width : (y + 1) * width] for y, row in enumerate(rows)]
        widths += drawn
    (FOLDER / f"{name}.png").write_bytes(png.write(len(rows[0]), rows, is_grey=True))
    text = json.dumps(dict(zip(letters, widths, strict=True)), ensure_ascii=False, separators=(",", ":"))
    (FOLDER / f"{name}.json").write_text(f"{text}\n", "utf-8")


if __name__ == "__main__":
    main()
