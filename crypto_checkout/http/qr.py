"""QR codes as SVG that stands in the page itself, without inline styles."""

from functools import lru_cache

import segno
from markupsafe import Markup

_QUIET_ZONE_MODULES = 4


@lru_cache(maxsize=512)
def svg(text: str) -> Markup:
    """Draw a text as a QR code, black on white with the quiet zone of ISO/IEC 18004: readers need both, also at night.

    It has no size of its own, only a viewBox. Drawing takes 10 ms, and a page may be loaded again and again.
    """
    code = segno.make_qr(text, error="m")
    return Markup(  # noqa: S704 - segno writes numbers only, nothing of the text
        code.svg_inline(
            border=_QUIET_ZONE_MODULES, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=None
        )
    )
