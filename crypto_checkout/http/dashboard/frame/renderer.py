"""Render the dashboard's templates into responses."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from markupsafe import Markup
from starlette.responses import HTMLResponse

from crypto_checkout.core import moments
from crypto_checkout.core.sizes import size
from crypto_checkout.http import explorers, templating
from crypto_checkout.http.dashboard.frame import browsers

_PARTS = re.compile(r"[^@.+_-]*[@.+_-]+|[^@.+_-]+")

_HEADERS = {
    **templating.HEADERS,
    # With no-referrer, browsers send `Origin: null` with the page's own forms, and over plain HTTP nothing else
    # distinguishes them from another site's (Fetch, "append a request Origin header").
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


class Renderer:
    """Renders pages; `menus` are lists of titles and paths, by the name templates use for them."""

    def __init__(self, menus: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        self._templates = templating.environment()
        self._templates.filters |= {"when": when, "groups": "{:,}".format, "breakable": breakable, "size": size}
        self._templates.globals |= {
            "browser_name": browsers.describe,
            "transaction_url": explorers.transaction_url,
            "address_url": explorers.address_url,
            **menus,
        }

    def render(self, template: str, *, status: int = 200, **context: object) -> HTMLResponse:
        """Render a page."""
        text = self._templates.get_template(f"dashboard/{template}").render(context)
        return HTMLResponse(text, status_code=status, headers=_HEADERS)


def breakable(text: str) -> Markup:
    """Let a text break after its signs, such as the `@` and the dots of an email address."""
    return Markup("<wbr>").join(_PARTS.findall(text))


def when(moment: datetime | str) -> Markup:
    """Format a moment as a `<time>` element: in UTC, which JavaScript replaces by the reader's own time."""
    text = moment if isinstance(moment, str) else moments.to_text(moment)
    return Markup('<time datetime="{}">{}</time>').format(text, templating.moment(text))
