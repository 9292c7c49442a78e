"""The shape of checkout.toml: every key with its type and default.

The same keys with the same defaults, explained for the operator, are in `checkout.toml.example`; a test compares them.
Reading the file and comparing keys with each other is not done here.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, create_model

from crypto_checkout.config import texts, values
from crypto_checkout.config.values import at_least, between, decimal_text, not_empty, one_of, without_repeats
from crypto_checkout.prices.sources import SOURCES

_DAY = 86_400
_Seconds = Annotated[int, between(1, 30 * _DAY)]
_PriceSource = Annotated[str, one_of(SOURCES)]
_Mailboxes = Annotated[tuple[values.Mailbox, ...], Field(strict=False), AfterValidator(without_repeats)]


class Section(BaseModel):
    """A table of the file: no unknown keys, no silent conversions, no changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ServerConfig(Section):
    """The server's address, and its public URL."""

    host: values.BindHost = "127.0.0.1"
    port: Annotated[int, between(0, 65_535)] = 4020
    """0 takes a free port, for tests."""
    public_url: values.PublicUrl = "http://127.0.0.1:4020"
    """Without a trailing slash."""
    trusted_proxies: Annotated[tuple[values.Network, ...], Field(strict=False)] = ()


class DatabaseConfig(Section):
    """The database: a file, or a PostgreSQL server's. Relative paths start at the configuration file's folder."""

    path: values.DatabaseFile = Path("checkout-data/checkout.db")
    """With a URL only its folder is used, for what is kept beside a database."""
    url: texts.DatabaseUrl = Field(default="", repr=False)
    url_file: texts.OptionalFile = None
    """A file with the URL; `config.load` reads it."""


class BackupConfig(Section):
    """Backups made by the running server. A relative path starts at the configuration file's folder."""

    folder: texts.OptionalFolder = None
    """None: `backups` beside the database; see `Config.backup_folder`."""
    every_hours: Annotated[int, between(0, 8760)] = 24
    """0 makes none."""
    keep_daily: Annotated[int, between(1, 3660)] = 7
    keep_weekly: Annotated[int, between(0, 520)] = 4
    age_recipients: Annotated[tuple[texts.AgeRecipient, ...], Field(strict=False), AfterValidator(without_repeats)] = ()
    passphrase: texts.Passphrase = Field(default="", repr=False)
    """Instead of `age_recipients`. With neither, backups aren't encrypted."""


class WalletConfig(Section):
    """The wallet that gets the money: one address, or a key that derives many. If empty, only test mode works."""

    cold_address: values.ColdAddress = ""
    """In lower case, though the file must have the spelling of EIP-55. New sessions prefer it to `xpub`."""
    cold_label: values.ColdLabel = ""
    xpub: values.Xpub = Field(default="", repr=False)


class CollectorConfig(Section):
    """Automatic collection. Without `key_file` it is off. A relative path starts at the configuration file's folder."""

    key_file: values.KeyFile = None
    chains: Annotated[tuple[int, ...], Field(strict=False), AfterValidator(without_repeats)] = ()
    """The ids of the chains to collect on; none names all."""
    min_fiat: Annotated[Decimal, decimal_text("0", "1000000000")] = Decimal(50)
    """In US dollars, as is `max_fiat_per_day`."""
    every_hours: Annotated[int, between(1, 8760)] = 24
    max_fee_percent: Annotated[Decimal, decimal_text("0.01", "100")] = Decimal(2)
    max_fiat_per_day: Annotated[Decimal, decimal_text("0", "1000000")] = Decimal(20)


class SessionsConfig(Section):
    """The time to pay, and the tolerances of the amount."""

    ttl_seconds: Annotated[int, between(60, _DAY)] = 900
    late_grace_seconds: Annotated[int, between(0, 30 * _DAY)] = 3600
    underpayment_tolerance_percent: Annotated[Decimal, decimal_text("0", "50")] = Decimal("0.1")
    overpayment_tolerance_percent: Annotated[Decimal, decimal_text("0", "1000")] = Decimal(5)
    dust_below_fiat: Annotated[Decimal, decimal_text("0", "1000")] = Decimal("0.01")
    """In the session's own currency."""


class PricesConfig(Section):
    """The sources of exchange rates, and the conditions for using them."""

    # Not all sources: the others want a key.
    sources: Annotated[tuple[_PriceSource, ...], Field(strict=False), AfterValidator(without_repeats)] = (
        "chainlink",
        "coinbase",
        "kraken",
    )
    quorum: Annotated[int, at_least(1)] = 1
    """At most the number of `sources`; see `contradictions`."""
    max_age_seconds: Annotated[int, between(1, _DAY)] = 120
    max_spread_percent: Annotated[Decimal, decimal_text("0.01", "50")] = Decimal(3)
    coingecko_api_key: values.ApiKey = Field(default="", repr=False)
    fixed: dict[values.Pair, values.Price] = Field(default={})
    """Must not be changed, though Python would allow it."""


class WebhooksConfig(Section):
    """Delivery of events."""

    timeout_seconds: Annotated[int, between(1, 120)] = 15
    retry_seconds: Annotated[tuple[_Seconds, ...], Field(strict=False, max_length=20)] = (60, 600, 3600, 21_600, 86_400)
    concurrency: Annotated[int, between(1, 1000)] = 16
    attempts_retention_days: Annotated[int, between(0, 36_500)] = 30
    allow_private_networks: bool = False


class RateLimitConfig(Section):
    """The token bucket of each API key."""

    per_second: Annotated[int, between(1, 100_000)] = 50
    burst: Annotated[int, between(1, 100_000)] = 100


class TestModeConfig(Section):
    """The simulated chain."""

    __test__ = False  # pytest, this is no test

    enabled: bool = True


class BrandingConfig(Section):
    """The shop as payers see and reach it. A relative path starts at the configuration file's folder."""

    name: values.Label = ""
    logo: values.LogoFile = None
    color: values.Color = ""
    """`#rrggbb` in lower case, or empty."""
    support_email: values.OptionalMailbox = ""
    support_url: values.OptionalPageUrl = ""
    terms_url: values.OptionalPageUrl = ""
    address: texts.Paragraph = ""
    """The shop's postal address on receipts, in lines."""
    tax_number: values.Label = ""


class CheckoutConfig(Section):
    """Use of the payer's pages by other sites."""

    allow_embedding_from: Annotated[
        tuple[values.Origin, ...], Field(strict=False), AfterValidator(without_repeats)
    ] = ()
    """Sites that may show the pages in a frame, each as a scheme and a host."""


class EventsConfig(Section):
    """Retention of events; 0 keeps them for good."""

    retention_days: Annotated[int, between(0, 36_500)] = 0


# `from` is a keyword of Python: a field of that name can't be written in a class.
_REFUND_KEYS: Any = {
    "from": (Annotated[tuple[values.OwnAddress, ...], Field(strict=False), AfterValidator(without_repeats)], ())
}
_RefundKeys = create_model("_RefundKeys", __base__=Section, **_REFUND_KEYS)


class RefundsConfig(_RefundKeys):  # type: ignore[misc,valid-type]  # made by a call
    """The addresses that the owner pays refunds from, in lower case: their payments are recognized without a hash."""

    @property
    def senders(self) -> tuple[str, ...]:
        """The addresses of the key `from`."""
        found: tuple[str, ...] = getattr(self, "from")
        return found


_MAIL_KEYS: Any = {"from": (values.OptionalMailbox, "")}
_MailKeys = create_model("_MailKeys", __base__=Section, **_MAIL_KEYS)


class MailConfig(_MailKeys):  # type: ignore[misc,valid-type]  # made by a call
    """The mail server, and the mails to payers and to the owner. Without `from` and `smtp_host` none are sent."""

    smtp_host: values.OptionalHost = ""
    smtp_port: Annotated[int, between(1, 65_535)] = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str = ""
    smtp_password: str = Field(default="", repr=False)
    receipts: bool = False
    """Whether payers get their receipt by mail."""
    notify_paid: Literal["off", "each", "daily"] = "off"
    notify_to: _Mailboxes = ()
    """Empty: the receivers of alerts."""
    daily_at: Annotated[int, between(0, 23)] = 8
    """The hour of the daily mail in `time_zone`."""
    time_zone: texts.TimeZone = "UTC"
    test_mode: bool = False

    @property
    def sender(self) -> str:
        """The address of the key `from`."""
        found: str = getattr(self, "from")
        return found


class AlertsConfig(Section):
    """The receivers of alerts. Without `email_to` and `webhook_url` none are sent."""

    email_to: _Mailboxes = ()
    webhook_url: values.OptionalUrl = Field(default="", repr=False)
    webhook_secret: values.WebhookSecret = Field(default="", repr=False)
    every_minutes: Annotated[int, between(1, 1440)] = 15
    test_mode: bool = False


class UpdatesConfig(Section):
    """The look for a newer version. Without `check_url` nobody is asked."""

    check_url: values.OptionalPlainUrl = ""
    """Answers with JSON that names the newest version; see `crypto_checkout.updates`."""


class LogConfig(Section):
    """The level and format of the log."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class TokenConfig(Section):
    """An ERC-20 token accepted on a chain."""

    symbol: values.Symbol
    address: values.TokenAddress
    """In lower case, whatever the file has."""
    decimals: Annotated[int, between(0, 36)]
    usd_pegged: bool = False


class ProviderConfig(Section):
    """An RPC provider that takes headers, such as an access key."""

    url: values.RpcUrl = Field(repr=False)
    headers: Annotated[dict[values.HeaderName, values.HeaderValue], Field(repr=False)] = Field(default={})
    """Must not be changed, though Python would allow it."""


class ConfirmationTier(Section):
    """The confirmations needed by sessions above a price."""

    above_fiat: Annotated[Decimal, decimal_text("0", "1000000000000")]
    """In the session's own currency."""
    confirmations: Annotated[int, between(1, 1000)]


class ChainConfig(Section):
    """A chain for real money."""

    id: values.ChainId
    name: values.Name
    rpc_urls: Annotated[
        tuple[values.RpcUrl, ...],
        Field(strict=False, repr=False),
        AfterValidator(not_empty),
        AfterValidator(without_repeats),
    ] = ()
    """The first is preferred, after `providers`. They may contain API keys: never log them whole."""
    confirmations: Annotated[int, between(1, 1000)] = 3
    confirm_with: Annotated[int, between(1, 10)] = 1
    agree_above_fiat: Annotated[Decimal, decimal_text("0", "1000000000000")] = Decimal(0)
    finality: Literal["depth", "safe", "finalized"] = "depth"
    poll_seconds: Annotated[float, between(0.05, 3600)] = 4.0
    explorer_url: values.ExplorerUrl = ""
    """Without a trailing slash; empty for no links."""
    wallet_rpc_url: values.WalletRpcUrl = ""
    """Public to every payer, so never one with an API key. If empty, wallets aren't offered to add the chain."""
    native_symbol: values.Symbol = "ETH"
    start_block: values.StartBlock = "latest"
    providers: Annotated[tuple[ProviderConfig, ...], Field(strict=False, repr=False)] = ()
    confirmation_tiers: Annotated[tuple[ConfirmationTier, ...], Field(strict=False)] = ()
    tokens: Annotated[tuple[TokenConfig, ...], Field(strict=False)] = ()


class Config(Section):
    """The whole configuration, checked. `Config()` has all the defaults."""

    server: ServerConfig = ServerConfig()
    database: DatabaseConfig = DatabaseConfig()
    backup: BackupConfig = BackupConfig()
    wallet: WalletConfig = WalletConfig()
    collector: CollectorConfig = CollectorConfig()
    sessions: SessionsConfig = SessionsConfig()
    prices: PricesConfig = PricesConfig()
    webhooks: WebhooksConfig = WebhooksConfig()
    rate_limit: RateLimitConfig = RateLimitConfig()
    test_mode: TestModeConfig = TestModeConfig()
    branding: BrandingConfig = BrandingConfig()
    checkout: CheckoutConfig = CheckoutConfig()
    events: EventsConfig = EventsConfig()
    refunds: RefundsConfig = RefundsConfig()
    mail: MailConfig = MailConfig()
    alerts: AlertsConfig = AlertsConfig()
    updates: UpdatesConfig = UpdatesConfig()
    log: LogConfig = LogConfig()
    chains: Annotated[tuple[ChainConfig, ...], Field(strict=False)] = ()

    _path: Path | None = PrivateAttr(default=None)
    _notes: tuple[str, ...] = PrivateAttr(default=())

    def model_post_init(self, context: Mapping[str, Any] | None, /) -> None:
        """Keep the path of the file and the notes about it, which `load` passes as context."""
        self._path = context["path"] if context else None
        self._notes = context.get("notes", ()) if context else ()

    @property
    def path(self) -> Path | None:
        """The file that was read; None without one."""
        return self._path

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the operator about keys that work, and should be written otherwise."""
        return self._notes

    @property
    def backup_folder(self) -> Path:
        """The folder of backups."""
        return self.backup.folder or self.database.path.parent / "backups"

    @property
    def local_only(self) -> bool:
        """True without a file: only test mode works then, and webhooks may go to loopback."""
        return self._path is None
