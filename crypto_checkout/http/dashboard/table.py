"""The table of the dashboard's pages, and its navigation."""

from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.http.dashboard.pages import (
    api_keys,
    audit_trail,
    backup,
    balances,
    collections,
    customers,
    deliveries,
    events,
    exports,
    guide,
    links,
    overview,
    payment,
    payments,
    refunds,
    security,
    settings,
    sign_in,
    webhooks,
)

PAGES: tuple[DashboardPage, ...] = (
    *sign_in.PAGES,
    *overview.PAGES,
    *guide.PAGES,
    *payments.PAGES,
    *payment.PAGES,
    *balances.PAGES,
    *collections.PAGES,
    *refunds.PAGES,
    *customers.PAGES,
    *events.PAGES,
    *exports.PAGES,
    *links.PAGES,
    *webhooks.PAGES,
    *deliveries.PAGES,
    *api_keys.PAGES,
    *security.PAGES,
    *settings.PAGES,
    *backup.PAGES,
    *audit_trail.PAGES,
)

MENUS = {
    "navigation": (
        ("Overview", "/"),
        ("Payments", "/payments"),
        ("Balances", "/balances"),
        ("Refunds", "/refunds"),
        ("Links", "/links"),
        ("Customers", "/customers"),
        ("Events", "/events"),
        ("Webhooks", "/webhooks"),
        ("Exports", "/exports"),
        ("API keys", "/api-keys"),
        ("Settings", "/settings"),
        ("Set-up guide", "/guide"),
    ),
    "settings": (
        ("Security", "/settings"),
        ("Shop", "/settings/shop"),
        ("Wallet", "/settings/wallet"),
        ("Chains", "/settings/chains"),
        ("Prices", "/settings/prices"),
        ("Backup", "/settings/backup"),
        ("Audit trail", "/settings/trail"),
    ),
}
"""The titles and paths of the navigation and of the pages under Settings; those without a page are hidden."""
