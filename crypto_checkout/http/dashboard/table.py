"""Every page of the dashboard, and its navigation."""

from . import api_keys, overview, settings, sign_in
from .routes import Page

PAGES: tuple[Page, ...] = (*sign_in.PAGES, *overview.PAGES, *api_keys.PAGES, *settings.PAGES)

NAVIGATION = (
    ("Overview", "/"),
    ("Payments", "/payments"),
    ("Links", "/links"),
    ("Customers", "/customers"),
    ("Events", "/events"),
    ("Webhooks", "/webhooks"),
    ("API keys", "/api-keys"),
    ("Settings", "/settings"),
)
"""Titles and paths; shown are those whose page is in the table."""
