"""The picture that messengers and networks show for a shared page (Open Graph): logo, shop, title and amount.

It is drawn here, of the letters of `lettering`. What those can't write is left out; the preview's own text has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from crypto_checkout.http.checkout.branding import colors

from . import lettering, png
from .lettering import Lettering

WIDTH, HEIGHT = 1200, 630
"""In pixels: the size that networks ask for."""

_MARGIN = 60
_EDGE = 20
_GAP = 26
_LOGO_SIZE = (480, 120)
_MOST_LOGO_PIXELS = 600_000
_MOST_TITLE_LINES = 2
_PAPER, _INK, _SOFT = (255, 255, 255), (23, 27, 33), (86, 95, 107)
_ACCENT, _TEST = (29, 85, 201), (91, 42, 157)

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Preview:
    """The text of a picture, and the shop's color; that of a test payment is marked as such."""

    shop: str
    title: str
    amount: str
    is_test: bool
    color: str = ""


@dataclass(frozen=True, slots=True)
class _Block:
    """A part of the picture: rows of red, green and blue, of one width."""

    width: int
    rows: Sequence[bytes]


@lru_cache(maxsize=64)
def draw(preview: Preview, logo: Path | None, version: int) -> bytes:
    """Return the picture as PNG; `version` tells one content of the logo's file from another."""
    text, large = lettering.load("text"), lettering.load("amount")
    width = WIDTH - 2 * _MARGIN
    blocks = [] if logo is None else _logo(logo, version)
    if preview.shop and text.can_set(preview.shop):
        blocks += [_set(text, line, _SOFT) for line in text.wrapped(preview.shop, width, 1)]
    if preview.title and text.can_set(preview.title):
        lines = [_set(text, line, _INK) for line in text.wrapped(preview.title, width, _MOST_TITLE_LINES)]
        blocks.append(_joined(lines))
    if large.can_set(preview.amount) and large.width(preview.amount) <= width:
        blocks.append(_set(large, preview.amount, _INK))
    elif text.can_set(preview.amount):
        blocks += [_set(text, line, _INK) for line in text.wrapped(preview.amount, width, 1)]
    accent = colors.parse(preview.color) if preview.color else _ACCENT
    return png.write(WIDTH, _page(blocks, _TEST if preview.is_test else accent))


def logo_version(logo: Path | None) -> int:
    """Return a number that changes with the logo's file; 0 without one."""
    try:
        return 0 if logo is None else logo.stat().st_mtime_ns
    except OSError:
        return 0


def _page(blocks: Sequence[_Block], edge: Colour) -> list[bytes]:
    """Put the blocks below one another, in the middle of a page with coloured edges."""
    page = [bytearray(bytes(_PAPER) * WIDTH) for _ in range(HEIGHT)]
    page[:_EDGE] = page[-_EDGE:] = [bytearray(bytes(edge) * WIDTH) for _ in range(_EDGE)]
    at = (HEIGHT - sum(len(block.rows) for block in blocks) - _GAP * (len(blocks) - 1)) // 2
    for block in blocks:
        left = 3 * ((WIDTH - block.width) // 2)
        for y, row in enumerate(block.rows, at):
            page[y][left : left + len(row)] = row
        at += len(block.rows) + _GAP
    return [bytes(row) for row in page]


def _set(letters: Lettering, line: str, colour: Colour) -> _Block:
    """Set a line in a colour: each shade of grey becomes one between paper and ink."""
    shades = [
        bytes(paper + (ink - paper) * grey // 255 for grey in range(256))
        for paper, ink in zip(_PAPER, colour, strict=True)
    ]
    width, rows = letters.width(line), []
    for grey in letters.line(line):
        row = bytearray(3 * width)
        for channel, shade in enumerate(shades):
            row[channel::3] = grey.translate(shade)
        rows.append(bytes(row))
    return _Block(width, rows)


def _joined(lines: Sequence[_Block]) -> _Block:
    """Put lines below one another without a gap, each in the middle."""
    width = max(line.width for line in lines)
    rows = []
    for line in lines:
        left = bytes(_PAPER) * ((width - line.width) // 2)
        right = bytes(_PAPER) * (width - line.width - (width - line.width) // 2)
        rows += [left + row + right for row in line.rows]
    return _Block(width, rows)


@lru_cache(maxsize=2)
def _logo(path: Path, version: int) -> list[_Block]:  # noqa: ARG001 - a part of the cache's key
    """Return the shop's logo if it can be read here: a PNG that isn't huge."""
    try:
        image = png.read(path.read_bytes(), most_pixels=_MOST_LOGO_PIXELS)
    except (OSError, png.Unreadable):
        return []
    scale = max(image.width / _LOGO_SIZE[0], image.height / _LOGO_SIZE[1], 1)
    width, height = max(1, round(image.width / scale)), max(1, round(image.height / scale))
    return [_Block(width, _shrunk([_on_paper(row) for row in image.rows], width, height))]


def _on_paper(row: bytes) -> bytes:
    """Return a row of pixels as it looks on paper, without its opacity."""
    opacity = row[3::4]
    seen = bytearray(len(row) // 4 * 3)
    for channel, paper in enumerate(_PAPER):
        colours = row[channel::4]
        seen[channel::3] = bytes(
            [paper + (colour - paper) * alpha // 255 for colour, alpha in zip(colours, opacity, strict=True)]
        )
    return bytes(seen)


def _shrunk(rows: Sequence[bytes], width: int, height: int) -> list[bytes]:
    """Shrink rows of red, green and blue, each new pixel the mean of those that it covers."""
    columns = [(x * len(rows[0]) // 3 // width, (x + 1) * len(rows[0]) // 3 // width) for x in range(width)]
    shrunk = []
    for y in range(height):
        covered = rows[y * len(rows) // height : (y + 1) * len(rows) // height]
        sums = [sum(column) for column in zip(*covered, strict=True)]
        row = bytearray(3 * width)
        for channel in range(3):
            of_channel = sums[channel::3]
            row[channel::3] = bytes(
                [sum(of_channel[start:end]) // ((end - start) * len(covered)) for start, end in columns]
            )
        shrunk.append(bytes(row))
    return shrunk
