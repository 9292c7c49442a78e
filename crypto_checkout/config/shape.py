"""The shape of checkout.toml: every key, its kind and its default. Reading the file and comparing keys is not here.

The same keys with the same defaults, explained for the operator, are in `checkout.toml.example`; a test compares.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr

from crypto_checkout.config import values
from crypto_checkout.config.values import at_least, between, decimal_text, not_empty, one_of, without_repeats
from crypto_checkout.prices.sources import SOURCES

_DAY = 86_400
_Seconds = Annotated[int, between(1, 30 * _DAY)]
_PriceSource = Annotated[str, one_of(SOURCES)]


class Section(BaseModel):
    """A table of the file: no unknown keys, no silent conversions, no changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ServerConfig(Section):
    """Where the server listens and how the world calls it."""

    host: values.BindHost = "127.0.0.1"
    port: Annotated[int, between(0, 65_535)] = 4020
    """0 takes a free port: for tests."""
    public_url: values.PublicUrl = "http://127.0.0.1:4020"
    """Without a trailing slash."""
    trusted_proxies: Annotated[tuple[values.Network, ...], Field(strict=False)] = ()


class DatabaseConfig(Section):
    """Where the data is. A relative path is taken from the file's folder."""

    path: values.DatabaseFile = Path("checkout-data/checkout.db")


class WalletConfig(Section):
    """Whose addresses are given out. Empty: none, and only test mode works."""

    xpub: values.Xpub = Field(default="", repr=False)


class SessionsConfig(Section):
    """How long a payer has, and how exact the amount must be."""

    ttl_seconds: Annotated[int, between(60, _DAY)] = 900
    late_grace_seconds: Annotated[int, between(0, 30 * _DAY)] = 3600
    underpayment_tolerance_percent: Annotated[Decimal, decimal_text("0", "50")] = Decimal("0.1")
    overpayment_tolerance_percent: Annotated[Decimal, decimal_text("0", "1000")] = Decimal(5)


class PricesConfig(Section):
    """Where exchange rates come from, and which are good enough."""

    # Not all that exist: a further source is asked only where the operator names it.
    sources: Annotated[tuple[_PriceSource, ...], Field(strict=False), AfterValidator(without_repeats)] = (
        "chainlink",
        "coinbase",
        "kraken",
        "coingecko",
    )
    quorum: Annotated[int, at_least(1)] = 1
    """At most the number of `sources`; see `contradictions`."""
    max_age_seconds: Annotated[int, between(1, _DAY)] = 120
    max_spread_percent: Annotated[Decimal, decimal_text("0.01", "50")] = Decimal(3)
    fixed: dict[values.Pair, values.Price] = Field(default={})
    """Not to be changed, though Python would let you."""


class WebhooksConfig(Section):
    """How events are delivered."""

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
    """What payers see. A relative logo path is taken from the file's folder."""

    name: values.Label = ""
    logo: values.LogoFile = None


class CheckoutConfig(Section):
    """How the payer's pages may be used."""

    allow_embedding_from: Annotated[
        tuple[values.Origin, ...], Field(strict=False), AfterValidator(without_repeats)
    ] = ()
    """Sites that may show the pages in a frame, each as a scheme and a host."""


class EventsConfig(Section):
    """How long events are kept; 0 keeps them for good."""

    retention_days: Annotated[int, between(0, 36_500)] = 0


class AlertsConfig(Section):
    """Who is told of what needs a person, and how. Without `email_to` and `webhook_url`: nobody."""

    email_to: Annotated[tuple[values.Mailbox, ...], Field(strict=False), AfterValidator(without_repeats)] = ()
    email_from: values.OptionalMailbox = ""
    smtp_host: values.OptionalHost = ""
    smtp_port: Annotated[int, between(1, 65_535)] = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str = ""
    smtp_password: str = Field(default="", repr=False)
    webhook_url: values.OptionalUrl = Field(default="", repr=False)
    webhook_secret: values.WebhookSecret = Field(default="", repr=False)
    every_minutes: Annotated[int, between(1, 1440)] = 15
    test_mode: bool = False


class LogConfig(Section):
    """What is logged and how it looks."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class TokenConfig(Section):
    """An ERC-20 token that is taken on a chain."""

    symbol: values.Symbol
    address: values.TokenAddress
    """Lower case, whatever case the file has."""
    decimals: Annotated[int, between(0, 36)]
    usd_pegged: bool = False


class ConfirmationTier(Section):
    """How deep the payments of sessions above a price must be."""

    above_fiat: Annotated[Decimal, decimal_text("0", "1000000000000")]
    """In the session's own currency."""
    confirmations: Annotated[int, between(1, 1000)]


class ChainConfig(Section):
    """A chain on which real money is taken."""

    id: values.ChainId
    name: values.Name
    rpc_urls: Annotated[
        tuple[values.RpcUrl, ...],
        Field(strict=False, repr=False),
        AfterValidator(not_empty),
        AfterValidator(without_repeats),
    ]
    """The first is preferred. They may carry API keys: never log them whole."""
    confirmations: Annotated[int, between(1, 1000)] = 3
    confirm_with: Annotated[int, between(1, 10)] = 1
    agree_above_fiat: Annotated[Decimal, decimal_text("0", "1000000000000")] = Decimal(0)
    finality: Literal["depth", "safe", "finalized"] = "depth"
    poll_seconds: Annotated[float, between(0.05, 3600)] = 4.0
    explorer_url: values.ExplorerUrl = ""
    """Without a trailing slash; empty: no links."""
    wallet_rpc_url: values.WalletRpcUrl = ""
    """Every payer can read it: never one with an API key. Empty: wallets aren't offered to add the chain."""
    native_symbol: values.Symbol = "ETH"
    start_block: values.StartBlock = "latest"
    confirmation_tiers: Annotated[tuple[ConfirmationTier, ...], Field(strict=False)] = ()
    tokens: Annotated[tuple[TokenConfig, ...], Field(strict=False)] = ()


class Config(Section):
    """The whole configuration, checked. `Config()` is what every default says."""

    server: ServerConfig = ServerConfig()
    database: DatabaseConfig = DatabaseConfig()
    wallet: WalletConfig = WalletConfig()
    sessions: SessionsConfig = SessionsConfig()
    prices: PricesConfig = PricesConfig()
    webhooks: WebhooksConfig = WebhooksConfig()
    rate_limit: RateLimitConfig = RateLimitConfig()
    test_mode: TestModeConfig = TestModeConfig()
    branding: BrandingConfig = BrandingConfig()
    checkout: CheckoutConfig = CheckoutConfig()
    events: EventsConfig = EventsConfig()
    alerts: AlertsConfig = AlertsConfig()
    log: LogConfig = LogConfig()
    chains: Annotated[tuple[ChainConfig, ...], Field(strict=False)] = ()

    _path: Path | None = PrivateAttr(default=None)

    def model_post_init(self, context: Mapping[str, Any] | None, /) -> None:
        """Remember the file that was read; `load` passes it as context."""
        self._path = context["path"] if context else None

    @property
    def path(self) -> Path | None:
        """The file this came from; None when there was none."""
        return self._path

    @property
    def local_only(self) -> bool:
        """Tell whether there was no file: only test mode works, and webhooks may go to loopback."""
        return self._path is None
