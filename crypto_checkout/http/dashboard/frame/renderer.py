"""Templates into answers, for the merchant."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from markupsafe import Markup
from starlette.responses import HTMLResponse

from crypto_checkout.core import moments
from crypto_checkout.http import explorers, templating
from crypto_checkout.http.dashboard.frame import browsers

_HEADERS = {
    **templating.HEADERS,
    # With no-referrer, browsers send `Origin: null` with the page's own forms; on plain http nothing else tells these
    # from another site's (Fetch, "append a request Origin header").
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


class Renderer:
    """What pages are printed on; `menus` are the titles and paths of the pages that there are."""

    def __init__(self, menus: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        self._templates = templating.environment()
        self._templates.filters |= {"when": when, "groups": "{:,}".format}
        self._templates.globals |= {
            "browser_name": browsers.named,
            "transaction_url": explorers.transaction_url,
            "address_url": explorers.address_url,
            **menus,
        }

    def page(self, template: str, *, status: int = 200, **content: object) -> HTMLResponse:
        """Print a page."""
        text = self._templates.get_template(f"dashboard/{template}").render(content)
        return HTMLResponse(text, status_code=status, headers=_HEADERS)


def when(moment: datetime | str) -> Markup:
    """Write a moment as an element: UTC as it stands, and where there is JavaScript in the reader's own time."""
    text = moment if isinstance(moment, str) else moments.to_text(moment)
    return Markup('<time datetime="{}">{}</time>').format(text, templating.moment(text))
