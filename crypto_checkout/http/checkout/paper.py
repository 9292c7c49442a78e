"""Templates into answers: the Jinja environment with its two filters, and the headers that every page carries."""

from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

import jinja2
from starlette.responses import HTMLResponse

from crypto_checkout.core import moments

from . import assets, qr

TEMPLATES = Path(__file__).parent.parent / "templates"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}


class Paper:
    """What pages are printed on: templates, with the shop's name and logo on each of them."""

    def __init__(self, *, shop_name: str, has_logo: bool) -> None:
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"money": money, "moment": moment}
        self._templates.globals |= {
            "asset_url": assets.addresses(),
            "qr_svg": qr.svg,
            "shop_name": shop_name,
            "has_logo": has_logo,
        }

    def page(self, template: str, *, status: int = 200, **content: object) -> HTMLResponse:
        """Print a page."""
        text = self._templates.get_template(f"checkout/{template}").render(content)
        return HTMLResponse(text, status_code=status, headers=HEADERS)


def money(amount: Mapping[str, Any]) -> str:
    """Write an amount of the API, fiat or coin, with its unit.

    Fiat has commas between the thousands. A coin amount has none: it is typed into wallets as it stands.
    """
    if "currency" in amount:
        whole, point, cents = amount["amount"].partition(".")
        return f"{int(whole):,}{point}{cents} {amount['currency']}"
    return f"{amount['value']} {amount['asset']}"


def moment(text: str) -> str:
    """Write a moment of the API for people, in UTC: `23 Nov 2026, 09:30 UTC`."""
    at = moments.from_text(text).astimezone(UTC)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"
