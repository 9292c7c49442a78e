"""What the pages stand on: the services, and what is fixed for as long as the server runs. Wired in `app`."""

from collections.abc import Sequence
from dataclasses import dataclass

from crypto_checkout.core.moments import Clock
from crypto_checkout.services.alerts.issues import Issues
from crypto_checkout.services.checkout.customers import Customers
from crypto_checkout.services.checkout.decisions import Decisions
from crypto_checkout.services.checkout.links import Links
from crypto_checkout.services.checkout.payment_methods import PaymentMethodsByMode
from crypto_checkout.services.checkout.sessions import Sessions
from crypto_checkout.services.diagnosis.explain import Explainer
from crypto_checkout.services.diagnosis.payment_detail import PaymentDetails
from crypto_checkout.services.ledger.check_now import CheckNow
from crypto_checkout.services.ledger.health import Readiness
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.services.owner.account import Account
from crypto_checkout.services.owner.audit import AuditTrail
from crypto_checkout.services.owner.set_up_link import SetUpLink
from crypto_checkout.services.owner.sign_in import SignIn
from crypto_checkout.services.reporting.config_snippets import Settings
from crypto_checkout.services.reporting.exports import Exports
from crypto_checkout.services.reporting.totals import Totals
from crypto_checkout.services.sandbox.controls import SandboxControls
from crypto_checkout.services.upkeep.backup_download import BackupDownloads
from crypto_checkout.services.webhooks.deliveries import Deliveries
from crypto_checkout.services.webhooks.endpoints import Endpoints
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.database import Database


@dataclass(frozen=True, slots=True)
class DashboardServices:
    """Everything a page may need; `sandbox` is None where test mode is switched off."""

    db: Database
    clock: Clock
    events: Outbox
    payment_methods: PaymentMethodsByMode
    health: Readiness
    sign_in: SignIn
    set_up_link: SetUpLink
    account: Account
    trail: AuditTrail
    sessions: Sessions
    decisions: Decisions
    payment_details: PaymentDetails
    explain: Explainer
    check_now: CheckNow
    links: Links
    endpoints: Endpoints
    deliveries: Deliveries
    customers: Customers
    totals: Totals
    issues: Issues
    exports: Exports
    backup_downloads: BackupDownloads
    sandbox: SandboxControls | None
    settings: Settings
    watchers: Sequence[Watcher]
    shop_name: str
    public_url: str

    @property
    def title(self) -> str:
        """How the dashboard calls itself."""
        return self.shop_name or "Crypto Checkout"

    @property
    def names(self) -> tuple[str, ...]:
        """The names that a password must not be made of."""
        return (self.shop_name, self.public_url.partition("//")[2].replace(".", " "))
