"""Every page of the dashboard, and its navigation."""

from . import api_keys, overview, security, sign_in, trail
from .routes import Page

PAGES: tuple[Page, ...] = (*sign_in.PAGES, *overview.PAGES, *api_keys.PAGES, *security.PAGES, *trail.PAGES)

MENUS = {
    "navigation": (
        ("Overview", "/"),
        ("Payments", "/payments"),
        ("Links", "/links"),
        ("Customers", "/customers"),
        ("Events", "/events"),
        ("Webhooks", "/webhooks"),
        ("API keys", "/api-keys"),
        ("Settings", "/settings"),
    ),
    "settings": (
        ("Security", "/settings"),
        ("Audit trail", "/settings/trail"),
    ),
}
"""Titles and paths of the navigation, and of the pages under Settings; shown are those whose page is in the table."""
