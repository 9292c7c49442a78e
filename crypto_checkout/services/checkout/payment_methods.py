"""What a mode can be paid with: its wallet, its chains with their assets, and its prices. Wired in `app`."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset, Choice
from crypto_checkout.core.checkout.quotes import Rate
from crypto_checkout.core.errors import UnsupportedAsset, UnsupportedChain, WalletNotConfigured
from crypto_checkout.core.money import Fiat


class Wallet(Protocol):
    """Derives deposit addresses; see `chain.wallet.xpub.ExtendedPublicKey`."""

    @property
    def wallet_id(self) -> str:
        """Names the wallet in the database."""

    def address(self, index: int) -> Address:
        """Return the address at an index. Raises ValueError for one of the few indices without a key."""


class Prices(Protocol):
    """Quotes rates; see `prices.board.PriceBoard`."""

    async def rate(self, base: str, quote: str) -> Rate:
        """Return what one `base` costs in `quote`."""


@dataclass(frozen=True, slots=True)
class Tier:
    """How deep payments above a price must be; `above_fiat` is in the session's own currency."""

    above_fiat: Decimal
    confirmations: int


@dataclass(frozen=True, slots=True)
class AcceptedChain:
    """A chain that payers can use; the first of `assets` is its native coin, and what is meant when none is named.

    `tiers` ask for more than the usual `confirmations` where more is at stake. `wallet_rpc_url` is a node that payers'
    wallets may be told of; empty for none.
    """

    id: int
    name: str
    explorer_url: str
    confirmations: int
    assets: tuple[Asset, ...]
    tiers: tuple[Tier, ...] = ()
    wallet_rpc_url: str = ""

    def confirmations_for(self, fiat: Fiat) -> int:
        """Return how deep a payment of a price must be: what the highest tier below it says, if it says more."""
        return max([self.confirmations, *(tier.confirmations for tier in self.tiers if fiat.amount > tier.above_fiat)])

    def asset(self, symbol: str | None) -> Asset:
        """Return an asset by its symbol, the native coin for None. Raises UnsupportedAsset."""
        if symbol is None:
            return self.assets[0]
        for asset in self.assets:
            if asset.symbol == symbol:
                return asset
        known = ", ".join(asset.symbol for asset in self.assets)
        raise UnsupportedAsset(f'{self.name} has no asset "{symbol[:20]}" here; it takes {known}.', param="asset")


@dataclass(frozen=True, slots=True)
class Policy:
    """How long a payer has and how exact the amount must be; `[sessions]` of the configuration."""

    ttl_seconds: int
    late_grace_seconds: int
    underpayment_tolerance_percent: Decimal
    overpayment_tolerance_percent: Decimal


@dataclass(frozen=True, slots=True)
class PaymentMethods:
    """One mode's side of the shop. `chain_time` turns the time into the chain's, which may run ahead in test mode.

    `unready` names the chains whose next address can't be given out yet, with the reason; it is shared with
    `services.ledger.wallet_check`, which empties it. `unready_tokens` does the same for tokens, by chain and contract,
    with `services.ledger.token_check`.
    """

    livemode: bool
    wallet: Wallet
    chains: tuple[AcceptedChain, ...]
    prices: Prices
    policy: Policy
    chain_time: Callable[[datetime], datetime]
    unready: Mapping[int, str] = field(default_factory=dict)
    unready_tokens: Mapping[tuple[int, Address], str] = field(default_factory=dict)

    def chain(self, chain_id: int | None) -> AcceptedChain:
        """Return a chain by its id, the first for None. Raises UnsupportedChain."""
        if chain_id is None:
            return self.chains[0]
        for chain in self.chains:
            if chain.id == chain_id:
                return chain
        known = ", ".join(f"{chain.id} ({chain.name})" for chain in self.chains)
        raise UnsupportedChain(f"Chain {chain_id} is not configured in this mode; there is {known}.", param="chainId")

    def asset(self, choice: Choice) -> Asset:
        """Return what somebody may choose. Raises UnsupportedChain and UnsupportedAsset."""
        return self.chain(choice.chain_id).asset(choice.symbol)

    def check(self, choices: Sequence[Choice]) -> None:
        """Refuse what isn't configured. Raises UnsupportedChain and UnsupportedAsset, whose `param` tells the place."""
        for place, choice in enumerate(choices):
            try:
                self.asset(choice)
            except (UnsupportedChain, UnsupportedAsset) as error:
                raise type(error)(error.message, param=f"assets[{place}].{error.param}") from None

    def configured(self, choices: Iterable[Choice]) -> tuple[Choice, ...]:
        """Keep what is configured."""
        known = {asset.choice for chain in self.chains for asset in chain.assets}
        return tuple(choice for choice in choices if choice in known)

    def check_ready(self, chain: AcceptedChain, asset: Asset) -> None:
        """Refuse while addresses of this chain can't be given out safely, or a token isn't known to be right.

        Raises WalletNotConfigured.
        """
        reason = self.unready.get(chain.id)
        if reason is not None:
            raise WalletNotConfigured(f"{chain.name} takes no payments yet: {reason} Try again in a moment.")
        reason = None if asset.contract is None else self.unready_tokens.get((chain.id, asset.contract))
        if reason is not None:
            raise WalletNotConfigured(
                f"{chain.name} takes no {asset.symbol} yet: {reason} Try again in a moment, or take another coin."
            )


class PaymentMethodsByMode:
    """The payment methods of each mode; a mode that isn't configured has none."""

    def __init__(self, payment_methods: Collection[PaymentMethods]) -> None:
        self._by_mode = {methods.livemode: methods for methods in payment_methods}

    def of(self, livemode: bool) -> PaymentMethods:
        """Return a mode's payment methods. Raises WalletNotConfigured where it has none."""
        methods = self._by_mode.get(livemode)
        if methods is not None:
            return methods
        if livemode:
            raise WalletNotConfigured(
                "This server takes no real money yet: set [wallet] xpub and at least one [[chains]] in checkout.toml."
            )
        raise WalletNotConfigured("Test mode is switched off on this server: set [test_mode] enabled = true.")

    def has(self, *, livemode: bool) -> bool:
        """Tell whether a mode is configured."""
        return livemode in self._by_mode

    def chain_time(self, livemode: bool, now: datetime) -> datetime:
        """Return a mode's time, by which its sessions expire."""
        methods = self._by_mode.get(livemode)
        return now if methods is None else methods.chain_time(now)

    def all_chains(self) -> dict[int, AcceptedChain]:
        """Return the chains of all modes by their id."""
        return {chain.id: chain for methods in self._by_mode.values() for chain in methods.chains}
