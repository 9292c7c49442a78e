"""The services behind the pages, by area, and the facts that don't change while the server runs. Wired in `app`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from crypto_checkout.core.moments import Clock
from crypto_checkout.prices.trial import PriceTrial
from crypto_checkout.services.alerts.alert_test import AlertTest
from crypto_checkout.services.alerts.issues import Issues
from crypto_checkout.services.checkout.customers import Customers
from crypto_checkout.services.checkout.decisions import Decisions
from crypto_checkout.services.checkout.links import Links
from crypto_checkout.services.checkout.payment_methods import PaymentMethodsByMode
from crypto_checkout.services.checkout.session_reader import SessionReader
from crypto_checkout.services.checkout.sessions import Sessions
from crypto_checkout.services.collect.balances import BalanceReports
from crypto_checkout.services.collect.records import Collections
from crypto_checkout.services.diagnosis.explain import Explainer
from crypto_checkout.services.diagnosis.nodes import NodeTrial
from crypto_checkout.services.diagnosis.payment_detail import PaymentDetails
from crypto_checkout.services.ledger.check_now import CheckNow
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.services.owner.account import Account
from crypto_checkout.services.owner.audit import AuditTrail
from crypto_checkout.services.owner.set_up_link import SetUpLink
from crypto_checkout.services.owner.sign_in import SignIn
from crypto_checkout.services.receipts.mail_test import MailTest
from crypto_checkout.services.receipts.sender import Resending
from crypto_checkout.services.refunds.claims import Claims
from crypto_checkout.services.refunds.refunds import Refunds
from crypto_checkout.services.reporting.config_snippets import Settings
from crypto_checkout.services.reporting.exports import Exports
from crypto_checkout.services.reporting.setup_progress import Setup
from crypto_checkout.services.reporting.totals import Totals
from crypto_checkout.services.sandbox.relay import AnyControls
from crypto_checkout.services.upkeep.backups import Backups
from crypto_checkout.services.upkeep.disk_watch import DiskWatch
from crypto_checkout.services.upkeep.update_watch import UpdateWatch
from crypto_checkout.services.webhooks.deliveries import Deliveries
from crypto_checkout.services.webhooks.endpoints import Endpoints
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.database import Database


@dataclass(frozen=True, slots=True)
class CheckoutServices:
    """Payments, refunds, links and customers."""

    payment_methods: PaymentMethodsByMode
    sessions: Sessions
    session_reader: SessionReader
    decisions: Decisions
    links: Links
    customers: Customers
    refunds: Refunds
    claims: Claims


@dataclass(frozen=True, slots=True)
class LedgerServices:
    """The chains: their watchers, and the check on demand."""

    watchers: Sequence[Watcher]
    check_now: CheckNow


@dataclass(frozen=True, slots=True)
class WebhookServices:
    """Events, endpoints and deliveries."""

    outbox: Outbox
    endpoints: Endpoints
    deliveries: Deliveries


@dataclass(frozen=True, slots=True)
class OwnerServices:
    """The owner's account, signing in to it, and its audit trail."""

    sign_in: SignIn
    set_up_link: SetUpLink
    account: Account
    audit_trail: AuditTrail


@dataclass(frozen=True, slots=True)
class DiagnosisServices:
    """Explanations of single payments and transactions."""

    payment_details: PaymentDetails
    explainer: Explainer


@dataclass(frozen=True, slots=True)
class ReportingServices:
    """Totals, exports, and the progress of the setup."""

    totals: Totals
    exports: Exports
    setup: Setup


class ShopSample(Protocol):
    """A sample payment page with branding that isn't configured, given by the keys of the configuration."""

    def problems(self, values: Mapping[str, str]) -> Mapping[str, str]:
        """Return the problems of values by key; empty if they are fine."""

    def page(self, values: Mapping[str, str], base: str, accept_language: str) -> str | None:
        """Return the page as HTML, its files below the path `base`; None for values with problems."""

    def stylesheet(self, values: Mapping[str, str]) -> str:
        """Return the stylesheet of the color; empty without one."""

    def logo(self, values: Mapping[str, str]) -> tuple[Path, str, Mapping[str, str]] | None:
        """Return the file of the logo, its media type and its headers; None without one."""


@dataclass(frozen=True, slots=True)
class DashboardServices:
    """Everything a page may use; `sandbox` is None when test mode is switched off."""

    db: Database
    clock: Clock
    checkout: CheckoutServices
    ledger: LedgerServices
    webhooks: WebhookServices
    owner: OwnerServices
    issues: Issues
    alert_test: AlertTest
    mail_test: MailTest
    receipts: Resending
    diagnosis: DiagnosisServices
    balances: BalanceReports
    collections: Collections
    reporting: ReportingServices
    backups: Backups
    disk: DiskWatch
    updates: UpdateWatch
    sandbox: AnyControls | None
    price_trial: PriceTrial
    node_trial: NodeTrial
    shop_sample: ShopSample
    settings: Settings
    shop_name: str
    public_url: str

    @property
    def title(self) -> str:
        """The dashboard's name: the shop's, or the product's."""
        return self.shop_name or "Crypto Checkout"

    @property
    def names(self) -> tuple[str, ...]:
        """The names that a password must not consist of."""
        return (self.shop_name, self.public_url.partition("//")[2].replace(".", " "))
