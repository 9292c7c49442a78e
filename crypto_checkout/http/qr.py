"""QR codes as SVG: inline in a page, without inline styles, or as a file."""

import re
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO

import segno
from markupsafe import Markup

_QUIET_ZONE_MODULES = 4
_MASK = 2
_FILE_SCALE = 10
_DARK = re.compile(rb"\x01+")


@lru_cache(maxsize=512)
def svg(text: str) -> Markup:
    """Draw a text as a QR code, black on white with the quiet zone of ISO/IEC 18004, which scanners need.

    It has a viewBox and no size. The mask is fixed: trying all eight takes 80 % of the time (10 ms for a token's URI),
    and hexadecimal digits look like noise under any of them.
    """
    rows = segno.make_qr(text, error="m", mask=_MASK).matrix
    size = len(rows) + 2 * _QUIET_ZONE_MODULES
    return Markup(  # noqa: S704 - numbers only, nothing of the text
        f'<svg viewBox="0 0 {size} {size}" class="qr"><path fill="#fff" d="M0 0h{size}v{size}h-{size}z"/>'
        f'<path stroke="#000" d="M{_QUIET_ZONE_MODULES} {_QUIET_ZONE_MODULES}.5{_lines(rows)}"/></svg>'
    )


def _lines(rows: Sequence[bytearray]) -> str:
    """Return the lines of dark modules, each from where the last one ended; segno takes three times as long."""
    moves = []
    end = row_of_end = 0
    for number, row in enumerate(rows):
        for run in _DARK.finditer(row):
            length = run.end() - run.start()
            moves.append(f"m{run.start() - end} {number - row_of_end}h{length}")
            end, row_of_end = run.end(), number
    return "".join(moves).removeprefix("m0 0")  # the first line begins in the corner


def file(text: str) -> bytes:
    """Draw a QR code as an SVG file, for print."""
    drawn = BytesIO()
    segno.make_qr(text, error="m", mask=_MASK).save(
        drawn, kind="svg", border=_QUIET_ZONE_MODULES, dark="#000", light="#fff", scale=_FILE_SCALE
    )
    return drawn.getvalue()
