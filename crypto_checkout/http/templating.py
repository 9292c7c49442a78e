"""The Jinja environment of all pages, with its filters, and the headers of every page."""

from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

import jinja2

from crypto_checkout.core import moments
from crypto_checkout.core.money import with_commas
from crypto_checkout.http import assets, qr

TEMPLATES = Path(__file__).parent / "templates"

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


def environment() -> jinja2.Environment:
    """Return the environment of all pages; an undefined name in a template is an error.

    A template is read once, at its first use.
    """
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    templates.filters |= {"money": money, "moment": moment}
    templates.globals |= {"asset_url": assets.urls(), "qr_svg": qr.svg}
    return templates


def money(amount: Mapping[str, Any]) -> str:
    """Format an amount of the API, fiat or coin, with its unit.

    Fiat has commas between the thousands. Coin amounts have none, because payers type them into wallets.
    """
    if "currency" in amount:
        return f"{with_commas(amount['amount'])} {amount['currency']}"
    return f"{amount['value']} {amount['asset']}"


def moment(text: str) -> str:
    """Format a moment of the API in UTC: `23 Nov 2026, 09:30 UTC`."""
    at = moments.from_text(text).astimezone(UTC)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"
