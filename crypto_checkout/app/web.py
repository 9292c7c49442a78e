"""Wire the web application: services behind the API and the pages."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from crypto_checkout.app.modes import Mode
from crypto_checkout.app.parts import Parts, webhook_reach
from crypto_checkout.config import Config
from crypto_checkout.core import ids
from crypto_checkout.core.errors import CheckoutError
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.public import examples
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.http import errors, static, status
from crypto_checkout.http.api import publication
from crypto_checkout.http.api.openapi import document
from crypto_checkout.http.api.operations import ApiServices
from crypto_checkout.http.api.routes import Api
from crypto_checkout.http.api.table import table
from crypto_checkout.http.checkout import pages
from crypto_checkout.http.checkout.view import PayerChain
from crypto_checkout.http.compression import Compression
from crypto_checkout.http.dashboard.frame.router import Dashboard
from crypto_checkout.http.dashboard.frame.services import (
    CheckoutServices,
    DashboardServices,
    DiagnosisServices,
    LedgerServices,
    OwnerServices,
    ReportingServices,
    WebhookServices,
)
from crypto_checkout.http.dashboard.table import MENUS, PAGES
from crypto_checkout.http.docs import pages as docs
from crypto_checkout.http.middleware import RequestMiddleware
from crypto_checkout.http.rate_limit import RateLimit, link_limit, page_limit
from crypto_checkout.services.alerts.issues import Issues
from crypto_checkout.services.checkout.asset_choice import AssetChoices
from crypto_checkout.services.checkout.customers import Customers
from crypto_checkout.services.checkout.decisions import Decisions
from crypto_checkout.services.checkout.links import Links
from crypto_checkout.services.checkout.payment_methods import AcceptedChain, PaymentMethodsByMode
from crypto_checkout.services.checkout.sessions import Sessions
from crypto_checkout.services.diagnosis.explain import ConfiguredChain, Explainer
from crypto_checkout.services.diagnosis.payment_detail import PaymentDetails
from crypto_checkout.services.ledger.check_now import CheckNow
from crypto_checkout.services.ledger.health import ChainVisibility, Readiness
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.services.owner.account import Account
from crypto_checkout.services.owner.api_keys import ApiKeys
from crypto_checkout.services.owner.audit import AuditTrail
from crypto_checkout.services.owner.passwords import Passwords
from crypto_checkout.services.owner.set_up_link import SetUpLink
from crypto_checkout.services.owner.sign_in import SignIn
from crypto_checkout.services.payer import Payers
from crypto_checkout.services.reporting.config_snippets import Settings
from crypto_checkout.services.reporting.exports import Exports
from crypto_checkout.services.reporting.totals import Totals
from crypto_checkout.services.sandbox.controls import SandboxControls
from crypto_checkout.services.upkeep.backup_download import BackupDownloads
from crypto_checkout.services.webhooks.deliveries import Deliveries
from crypto_checkout.services.webhooks.dispatcher import AttemptSender
from crypto_checkout.services.webhooks.endpoints import Endpoints
from crypto_checkout.store.database import Database


def application(
    parts: Parts,
    payment_methods: PaymentMethodsByMode,
    test: Mode | None,
    sender: AttemptSender,
    health: Readiness,
    owner: OwnerServices,
    visibility: ChainVisibility,
    watchers: Sequence[Watcher],
    issues: Issues,
    chains: Mapping[int, ConfiguredChain],
    metrics_token: str | None,
) -> Starlette:
    """Return the web application."""
    services = _services(parts, payment_methods, test, sender)
    payers = Payers(
        services.sessions, services.links, services.sandbox, AssetChoices(parts.db, payment_methods), visibility
    )
    checkout = pages.site(_checkout(parts, payment_methods, payers))
    dashboard = Dashboard(_dashboard(parts, payment_methods, services, owner, watchers, issues, chains), PAGES, MENUS)
    web = Starlette(
        routes=[
            *_api(parts, services).routes(table()),
            *_published(parts.config.server.public_url),
            *checkout.routes,
            *dashboard.routes(),
            *static.routes(),
            *status.routes(health, metrics_token),
        ],
        middleware=[*_around(parts)],
        exception_handlers={
            CheckoutError: errors.on_checkout_error,
            HTTPException: errors.on_http_exception(checkout.page_not_found),
        },
    )
    # A redirect to the path with a slash would be made of the Host header, and lose https behind a proxy.
    web.router.redirect_slashes = False
    return web


def _services(
    parts: Parts, payment_methods: PaymentMethodsByMode, test: Mode | None, sender: AttemptSender
) -> ApiServices:
    sessions = Sessions(parts.db, payment_methods, parts.events, public_url=parts.config.server.public_url)
    links = Links(parts.db, payment_methods, parts.events, public_url=parts.config.server.public_url)
    sandbox = _sandbox(parts, test, sessions)
    return ApiServices(
        db=parts.db,
        sessions=sessions,
        decisions=Decisions(sessions, payment_methods, parts.events),
        links=links,
        endpoints=_endpoints(parts),
        deliveries=_deliveries(parts, sender),
        customers=Customers(parts.db, parts.events),
        sandbox=sandbox,
    )


def owner_services(db: Database, clock: Clock) -> OwnerServices:
    """Return the owner's account with the ways into it, which the start of the server needs, too."""
    passwords = Passwords()
    return OwnerServices(SignIn(db, passwords, clock), SetUpLink(clock), Account(db, passwords), AuditTrail(db))


def _dashboard(
    parts: Parts,
    payment_methods: PaymentMethodsByMode,
    services: ApiServices,
    owner: OwnerServices,
    watchers: Sequence[Watcher],
    issues: Issues,
    chains: Mapping[int, ConfiguredChain],
) -> DashboardServices:
    return DashboardServices(
        db=parts.db,
        clock=parts.clock,
        checkout=CheckoutServices(
            payment_methods, services.sessions, services.decisions, services.links, services.customers
        ),
        ledger=LedgerServices(watchers, CheckNow(watchers)),
        webhooks=WebhookServices(parts.events, services.endpoints, services.deliveries),
        owner=owner,
        issues=issues,
        diagnosis=DiagnosisServices(
            PaymentDetails(parts.db, services.sessions, payment_methods), Explainer(parts.db, chains)
        ),
        reporting=ReportingServices(Totals(parts.db, parts.clock), _exports(parts.db, payment_methods)),
        backups=BackupDownloads(parts.db, parts.config.database.path.absolute()),
        sandbox=services.sandbox,
        settings=_settings(parts.config),
        shop_name=parts.config.branding.name,
        public_url=parts.config.server.public_url,
    )


def _exports(db: Database, payment_methods: PaymentMethodsByMode) -> Exports:
    return Exports(db, lambda: {chain.id: chain.name for chain in payment_methods.all_chains().values()})


def _settings(config: Config) -> Settings:
    return Settings(
        file=None if config.path is None else str(config.path.absolute()),
        logo=None if config.branding.logo is None else str(config.branding.logo),
        xpub=config.wallet.xpub,
        nodes={chain.id: chain.rpc_urls for chain in config.chains},
        price_sources=config.prices.sources,
        quorum=config.prices.quorum,
    )


def _around(parts: Parts) -> Iterator[Middleware]:
    """Yield what surrounds every request, from the outside to the inside."""
    yield Middleware(RequestMiddleware, clock=parts.clock, trusted_proxies=parts.config.server.trusted_proxies)
    yield Middleware(Compression)


def _published(public_url: str) -> list[Route]:
    """Return what tells about the API: the document and its pages."""

    @cache
    def described() -> Mapping[str, Any]:
        return document(table(), public_url)

    limit = page_limit()
    return [*publication.routes(described, limit), *docs.routes(described, limit)]


def _sandbox(parts: Parts, test: Mode | None, sessions: Sessions) -> SandboxControls | None:
    if test is None or test.sandbox is None:
        return None
    return SandboxControls(parts.db, test.sandbox, test.watchers[0], sessions, parts.clock, parts.events.wake)


def _api(parts: Parts, services: ApiServices) -> Api:
    limit = RateLimit(per_second=parts.config.rate_limit.per_second, burst=parts.config.rate_limit.burst)
    return Api(services, ApiKeys(parts.db), limit, parts.clock)


def _endpoints(parts: Parts) -> Endpoints:
    return Endpoints(parts.db, parts.events, reach=webhook_reach(parts.config))


def _deliveries(parts: Parts, sender: AttemptSender) -> Deliveries:
    public_url = parts.config.server.public_url
    return Deliveries(parts.db, sender, parts.events.wake, parts.clock, lambda: _example(parts.clock(), public_url))


def _checkout(parts: Parts, payment_methods: PaymentMethodsByMode, payers: Payers) -> pages.PayerServices:
    config = parts.config
    return pages.PayerServices(
        sessions=payers,
        chains={chain.id: _face(chain) for chain in payment_methods.all_chains().values()},
        branding=pages.PageBranding(config.branding.name, config.branding.logo),
        public_url=config.server.public_url,
        allow_embedding_from=config.checkout.allow_embedding_from,
        limit=page_limit(),
        limit_sessions=link_limit(),
        clock=lambda livemode: payment_methods.chain_time(livemode, parts.clock()),
    )


def _face(chain: AcceptedChain) -> PayerChain:
    return PayerChain(
        chain.name,
        chain.explorer_url,
        native_symbol=chain.assets[0].symbol,
        wallet_rpc_url=chain.wallet_rpc_url,
    )


def _example(now: datetime, public_url: str) -> SessionResource:
    return examples.paid_session(now, public_url, secrets.token_bytes(ids.ENTROPY_BYTES))
