"""Wire the web application: the services behind the API, the payer's pages and the dashboard, and their routes."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crypto_checkout.app import alerts, prices, webhooks
from crypto_checkout.app.chains import endpoints
from crypto_checkout.app.modes import Mode, Modes
from crypto_checkout.app.parts import Parts, Watches, backup_plan
from crypto_checkout.chain.sandbox.chain import CHAIN_ID
from crypto_checkout.chain.wallet import signatures
from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.config import BrandingConfig, Config
from crypto_checkout.config.mistakes import from_validation
from crypto_checkout.config.values import is_near
from crypto_checkout.core.address import Address
from crypto_checkout.http import slashes, static, status
from crypto_checkout.http.api import publication
from crypto_checkout.http.api.openapi import document
from crypto_checkout.http.api.operations import ApiServices
from crypto_checkout.http.api.routes import Api
from crypto_checkout.http.api.table import table
from crypto_checkout.http.checkout import pages
from crypto_checkout.http.checkout.branding.sample import SamplePages
from crypto_checkout.http.checkout.branding.shop import Branding
from crypto_checkout.http.checkout.view import PayerChain
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
from crypto_checkout.http.entry.application import Application
from crypto_checkout.http.entry.client_address import ClientAddresses
from crypto_checkout.http.rate_limit import LinkLimit, RateLimit, page_limit, poll_limit
from crypto_checkout.prices.sources import SOURCES
from crypto_checkout.services.alerts.alert_test import AlertTest
from crypto_checkout.services.alerts.issues import Issues
from crypto_checkout.services.checkout.answers import PayerAnswers
from crypto_checkout.services.checkout.asset_choice import AssetChoices
from crypto_checkout.services.checkout.customers import Customers
from crypto_checkout.services.checkout.decisions import Decisions
from crypto_checkout.services.checkout.links import Links
from crypto_checkout.services.checkout.payment_methods import AcceptedChain
from crypto_checkout.services.checkout.session_reader import SessionReader
from crypto_checkout.services.checkout.sessions import Sessions
from crypto_checkout.services.collect.balances import BalanceReports
from crypto_checkout.services.collect.records import Collections
from crypto_checkout.services.diagnosis.explain import Explainer
from crypto_checkout.services.diagnosis.nodes import NodeTrial
from crypto_checkout.services.diagnosis.payment_detail import PaymentDetails
from crypto_checkout.services.ledger.check_now import CheckNow
from crypto_checkout.services.ledger.health import ChainVisibility, Readiness
from crypto_checkout.services.owner.account import Account
from crypto_checkout.services.owner.api_keys import ApiKeys
from crypto_checkout.services.owner.audit import AuditTrail
from crypto_checkout.services.owner.passwords import Passwords
from crypto_checkout.services.owner.set_up_link import SetUpLink
from crypto_checkout.services.owner.sign_in import SignIn
from crypto_checkout.services.payer import Payers
from crypto_checkout.services.receipts.payer import PayerReceipts
from crypto_checkout.services.receipts.sender import Resending
from crypto_checkout.services.receipts.signing_key import SigningKey
from crypto_checkout.services.refunds.claims import Claims
from crypto_checkout.services.refunds.mail import PayerMail
from crypto_checkout.services.refunds.refunds import Refunds
from crypto_checkout.services.reporting.config_snippets import Settings
from crypto_checkout.services.reporting.exports import Exports
from crypto_checkout.services.reporting.setup_progress import Setup, SetupFacts
from crypto_checkout.services.reporting.totals import Totals
from crypto_checkout.services.sandbox.controls import SandboxControls
from crypto_checkout.services.sandbox.refunds import RefundPayer
from crypto_checkout.services.sandbox.relay import AnyControls, RelayedControls
from crypto_checkout.services.webhooks.dispatcher import AttemptSender
from crypto_checkout.store.data_folder import server_notes


def services(parts: Parts, modes: Modes, sender: AttemptSender) -> ApiServices:
    """Wire the services behind the API."""
    config, db, events = parts.config, parts.db, parts.events
    payment_methods, public_url = modes.payment_methods, config.server.public_url
    reader = SessionReader(db, public_url=public_url)
    on_made = db.signals.make("a session was made", partial(_look_soon, modes))
    chains = {chain_id: configured.chain for chain_id, configured in modes.chains.items()}
    refunds = Refunds(db, modes.refunds.records, payment_methods, chains)
    return ApiServices(
        db=db,
        sessions=Sessions(db, payment_methods, events, reader, on_made, on_choices=modes.network_costs.want),
        session_reader=reader,
        decisions=Decisions(reader, payment_methods.chain_time, events, parts.receipts),
        answers=PayerAnswers(db, reader, payment_methods.chain_time, events),
        links=Links(db, payment_methods, events, public_url=public_url),
        endpoints=webhooks.endpoints(config, db, events),
        deliveries=webhooks.deliveries(config, db, sender, events.wake, parts.clock),
        customers=Customers(db, events),
        balances=BalanceReports(db, payment_methods, modes.balance_sources, forgetful={CHAIN_ID}),
        refunds=refunds,
        claims=_claims(parts, modes, refunds),
        sandbox=_sandbox(parts, modes, reader, refunds),
        collections=Collections(db),
    )


def _look_soon(modes: Modes, livemode: bool) -> None:
    """Have the chains of a mode looked at, because a session was made."""
    mode = modes.live if livemode else modes.test
    for watcher in () if mode is None else mode.watchers:
        watcher.session_made()


def dashboard_services(
    parts: Parts,
    modes: Modes,
    services: ApiServices,
    issues: Issues,
    watching: Watches,
    alert_test: AlertTest,
    wake_mail: Callable[[], None],
) -> DashboardServices:
    """Wire the services behind the dashboard: those of the API, and the owner's."""
    config, db, clock = parts.config, parts.db, parts.clock
    payment_methods, passwords = modes.payment_methods, Passwords()
    all_chains = payment_methods.all_chains().values()
    exports = Exports(
        db,
        {chain.id: chain.name for chain in all_chains},
        [asset for chain in all_chains for asset in chain.assets],
    )
    return DashboardServices(
        db=db,
        clock=clock,
        checkout=CheckoutServices(
            payment_methods,
            services.sessions,
            services.session_reader,
            services.decisions,
            services.links,
            services.customers,
            services.refunds,
            services.claims,
        ),
        ledger=LedgerServices(modes.watchers, CheckNow(db, modes.watchers, is_shared=bool(config.database.url))),
        webhooks=WebhookServices(parts.events, services.endpoints, services.deliveries),
        owner=OwnerServices(SignIn(db, passwords, clock), SetUpLink(db), Account(db, passwords), AuditTrail(db)),
        issues=issues,
        alert_test=alert_test,
        mail_test=alerts.mail_test(config, clock),
        receipts=Resending(db, has_server=alerts.mail_server(config) is not None, wake=wake_mail),
        diagnosis=DiagnosisServices(
            PaymentDetails(db, services.session_reader, payment_methods), Explainer(db, modes.chains)
        ),
        balances=services.balances,
        collections=services.collections,
        reporting=ReportingServices(Totals(db, clock), exports, _setup(parts)),
        backups=watching.backups,
        disk=watching.disk,
        updates=watching.updates,
        sandbox=services.sandbox,
        price_trial=prices.trial(parts, {} if modes.live is None else modes.live.contracts),
        node_trial=_node_trial(parts),
        shop_sample=SamplePages(partial(_tried_branding, config), config.server.public_url, clock),
        settings=_settings(config, modes.live),
        shop_name=config.branding.name,
        public_url=config.server.public_url,
    )


def application(
    parts: Parts,
    modes: Modes,
    services: ApiServices,
    dashboard: DashboardServices,
    tokens: status.Tokens,
    loop_stall: Callable[[], float],
    leader: Callable[[], str],
) -> Application:
    """Make the web application: the API, its documentation, the payer's pages, the dashboard, and the status pages.

    `loop_stall` returns the longest stall of late, in seconds, `leader` who leads, in words.
    """
    checkout = pages.site(_checkout(parts, modes, services))

    def page_not_found(request: Request) -> Response | None:
        return slashes.redirect(request, web.routes) or checkout.page_not_found(request)

    server, folder = parts.config.server, parts.config.database.path.resolve().parent
    web = Application(
        [
            *_api(parts, services).routes(table()),
            *_documentation(parts),
            *checkout.routes,
            *Dashboard(dashboard, PAGES, MENUS).routes(),
            *static.routes(),
            *status.routes(
                _readiness(parts, modes),
                dashboard.issues,
                tokens,
                is_public=_is_public(parts.config),
                loop_stall=loop_stall,
                leader=leader,
            ),
        ],
        clock=parts.clock,
        addresses=ClientAddresses(server.trusted_proxies, partial(server_notes.note_untrusted_proxy, folder)),
        is_https=server.public_url.startswith("https:"),
        page_not_found=page_not_found,
        version=parts.db.version,
    )
    return web


def _readiness(parts: Parts, modes: Modes) -> Readiness:
    # A server with real money is ready without its sandbox: a test key can take that down.
    watchers = modes.watchers if modes.live is None else modes.live.watchers
    return Readiness(parts.db, watchers, parts.clock)


def _claims(parts: Parts, modes: Modes, refunds: Refunds) -> Claims:
    contracts = {} if modes.live is None else modes.live.contracts

    async def is_signed(chain_id: int, account: Address, text: str, signature: str) -> bool:
        return await signatures.is_signed(text, signature, account, contracts.get(chain_id))

    server = alerts.mail_server(parts.config)
    mail = None
    if server is not None:
        name = alerts.shop(parts.config).name
        config = parts.config
        reply_to = config.branding.support_email
        texts = alerts.payer_texts(config)
        mail = PayerMail(server, texts, sender=config.mail.sender, shop_name=name, reply_to=reply_to, clock=parts.clock)
    return Claims(parts.db, modes.refunds.records, refunds, is_signed, mail)


def _sandbox(parts: Parts, modes: Modes, reader: SessionReader, refunds: Refunds) -> AnyControls | None:
    test = modes.test
    if test is None or test.sandbox is None or test.sandbox_records is None:
        return None
    payer, wake, watcher = RefundPayer(refunds, modes.refunds.payments[CHAIN_ID]), parts.events.wake, test.watchers[0]
    relay = test.sandbox_relay
    changed = None if relay is None else relay.changed
    controls = SandboxControls(parts.db, test.sandbox, watcher, reader, test.sandbox_records, wake, payer, changed)
    if relay is None:
        return controls
    relay.serve(controls)
    return RelayedControls(relay, controls)


def _settings(config: Config, live: Mode | None) -> Settings:
    names = {chain.id: chain.name for chain in config.chains}
    reasons: Mapping[int, str] = {} if live is None else live.uncollectable
    return Settings(
        file=None if config.path is None else str(config.path.absolute()),
        logo=None if config.branding.logo is None else str(config.branding.logo),
        cold_address=Address(config.wallet.cold_address) if config.wallet.cold_address else None,
        xpub=config.wallet.xpub,
        uncollectable=lambda: {names[chain_id]: reason for chain_id, reason in reasons.items()},
        nodes={chain.id: endpoints(chain) for chain in config.chains},
        price_sources=config.prices.sources,
        all_price_sources=tuple(SOURCES),
        quorum=config.prices.quorum,
        fixed_prices=config.prices.fixed,
        has_coingecko_key=bool(config.prices.coingecko_api_key),
        has_mail=alerts.mail_server(config) is not None,
        branding=_branding_values(config),
        backup=backup_plan(config),
        event_days=config.events.retention_days,
        attempt_days=config.webhooks.attempts_retention_days,
    )


def _node_trial(parts: Parts) -> NodeTrial:
    configured = [each for chain in parts.config.chains for each in endpoints(chain)]
    return NodeTrial(parts.clock, webhooks.reach(parts.config), configured)


def _branding_values(config: Config) -> Mapping[str, str]:
    values = {name: "" if value is None else str(value) for name, value in config.branding.model_dump().items()}
    folder = _folder(config)
    if config.branding.logo is not None and config.branding.logo.is_relative_to(folder):
        values["logo"] = str(config.branding.logo.relative_to(folder))
    return values


def _tried_branding(config: Config, values: Mapping[str, str]) -> Branding | Mapping[str, str]:
    """Return branding that isn't configured, or its problems by key.

    A logo is read from the folder of the configuration only: a page must not tell which other files there are.
    """
    folder, logo = _folder(config), values.get("logo", "")
    elsewhere = {"logo": "put the file into the folder of checkout.toml, and name it here"}
    try:
        file = (folder / logo).resolve() if logo else None
        if file is not None and file != config.branding.logo and not file.is_relative_to(folder.resolve()):
            return elsewhere
        tried = BrandingConfig.model_validate({**values, "logo": "" if file is None else str(file)})
    except ValidationError as error:
        return {each.path: each.expected for each in from_validation(error, BrandingConfig)}
    except (OSError, ValueError):  # no file can have this name
        return elsewhere
    return alerts.payer_branding(tried)


def _folder(config: Config) -> Path:
    return Path.cwd() if config.path is None else config.path.absolute().parent


def _setup(parts: Parts) -> Setup:
    config, xpub = parts.config, parts.config.wallet.xpub
    facts = SetupFacts(
        has_name=bool(config.branding.name),
        has_cold_address=bool(config.wallet.cold_address),
        wallet_id=ExtendedPublicKey.parse(xpub).wallet_id if xpub else None,
        has_chain=bool(config.chains),
    )
    return Setup(parts.db, facts, config.database.path.resolve().parent)


def opens_on_phones(config: Config) -> bool:
    """Tell whether a wallet app, which opens https only, can reach the server from anywhere."""
    return config.server.public_url.startswith("https:") and _is_public(config)


def _is_public(config: Config) -> bool:
    return not is_near(urlsplit(config.server.public_url).hostname or "")


def _documentation(parts: Parts) -> list[Route]:
    """Return the routes of the OpenAPI document and the documentation pages."""

    @cache
    def described() -> Mapping[str, Any]:
        return document(table(), parts.config.server.public_url)

    limit = page_limit(parts.db.processes)
    return [*publication.routes(described, limit), *docs.routes(described, limit)]


def _api(parts: Parts, services: ApiServices) -> Api:
    configured = parts.config.rate_limit
    limit = RateLimit(per_second=configured.per_second, burst=configured.burst, processes=parts.db.processes)
    return Api(services, ApiKeys(parts.db), limit, parts.clock)


def _checkout(parts: Parts, modes: Modes, services: ApiServices) -> pages.PayerServices:
    config, payment_methods = parts.config, modes.payment_methods
    payers = Payers(
        services.sessions,
        services.session_reader,
        services.links,
        services.sandbox,
        AssetChoices(parts.db, payment_methods),
        services.answers,
        ChainVisibility(modes.watchers, parts.clock),
        modes.network_costs,
    )
    receipts = PayerReceipts(
        parts.db, alerts.receipt_reader(parts), SigningKey(parts.db), parts.receipts.policy, parts.clock
    )
    return pages.PayerServices(
        sessions=payers,
        claims=services.claims,
        receipts=receipts,
        chains={chain.id: _payer_chain(chain) for chain in payment_methods.all_chains().values()},
        branding=alerts.payer_branding(config.branding),
        public_url=config.server.public_url,
        opens_on_phones=opens_on_phones(config),
        allow_embedding_from=config.checkout.allow_embedding_from,
        limit=page_limit(parts.db.processes),
        limit_polls=poll_limit(parts.db.processes),
        limit_visits=LinkLimit(parts.db.processes),
        clock=lambda livemode: payment_methods.chain_time(livemode, parts.clock()),
    )


def _payer_chain(chain: AcceptedChain) -> PayerChain:
    return PayerChain(
        chain.name,
        chain.explorer_url,
        native_symbol=chain.assets[0].symbol,
        wallet_rpc_url=chain.wallet_rpc_url,
        assets=chain.assets,
    )
