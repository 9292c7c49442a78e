"""QR codes as SVG: inline in a page, without inline styles, or as a file."""

from functools import lru_cache
from io import BytesIO

import segno
from markupsafe import Markup

_QUIET_ZONE_MODULES = 4
_MASK = 2
_FILE_SCALE = 10


@lru_cache(maxsize=512)
def svg(text: str) -> Markup:
    """Draw a text as a QR code, black on white with the quiet zone of ISO/IEC 18004, which scanners need.

    It has a viewBox and no size. The mask is fixed: trying all eight takes 80 % of the time (10 ms for a token's URI),
    and hexadecimal digits look like noise under any of them.
    """
    code = segno.make_qr(text, error="m", mask=_MASK)
    return Markup(  # noqa: S704 - segno writes numbers only, nothing of the text
        code.svg_inline(
            border=_QUIET_ZONE_MODULES, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=None
        )
    )


def file(text: str) -> bytes:
    """Draw a QR code as an SVG file, for print."""
    drawn = BytesIO()
    segno.make_qr(text, error="m", mask=_MASK).save(
        drawn, kind="svg", border=_QUIET_ZONE_MODULES, dark="#000", light="#fff", scale=_FILE_SCALE
    )
    return drawn.getvalue()
