"""The payment methods of each mode: its accepted chains with their assets, its wallet and its prices.

Wired in `app`. `AcceptedChains` is the part that needs neither wallet nor prices, enough to check a payment link.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Generic, Protocol, TypeVar

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset, Choice
from crypto_checkout.core.checkout.quotes import Rate
from crypto_checkout.core.errors import ChainNotReady, UnsupportedAsset, UnsupportedChain, WalletNotConfigured
from crypto_checkout.core.money import Fiat


class Wallet(Protocol):
    """Derives deposit addresses; see `chain.wallet.xpub.ExtendedPublicKey` and `core.collect.deposits.Deposits`."""

    @property
    def wallet_id(self) -> str:
        """The wallet's name in the database."""

    @property
    def is_quick(self) -> bool:
        """True if an address takes microseconds, False if it takes milliseconds."""

    def address(self, index: int) -> Address:
        """Return the address at an index. Raises ValueError for one of the few indices without a key."""

    @property
    def branch(self) -> str | None:
        """The derivation path above all addresses (BIP-44), None for deposits, which no key controls."""


class Prices(Protocol):
    """Quotes rates; see `prices.board.PriceBoard`."""

    async def rate(self, base: str, quote: str) -> Rate:
        """Return the price of one `base` in `quote`."""

    def has_own(self, base: str, quote: str) -> bool:
        """Tell whether the operator set the price of a pair, which then goes before a token's peg."""

    def jumps(self) -> Mapping[str, str]:
        """Return the pairs, like `ETH/USD`, refused because one source alone moved the price, with the reason."""


async def rate_of(prices: Prices, asset: Asset, currency: str) -> Rate:
    """Return the price of an asset: a pegged token's is the dollar's, unless the operator set another.

    Raises as `Prices.rate` does: PriceUnavailable, UnsupportedAsset.
    """
    if asset.usd_pegged and not prices.has_own(asset.symbol, currency):
        return replace(await prices.rate("USD", currency), base=asset.symbol)
    return await prices.rate(asset.symbol, currency)


@dataclass(frozen=True, slots=True)
class Tier:
    """A depth required of payments above a price; `above_fiat` is in the session's own currency."""

    above_fiat: Decimal
    confirmations: int


@dataclass(frozen=True, slots=True)
class AcceptedChain:
    """A chain that payers can use; the first of `assets` is its native coin and the default.

    `tiers` require more than the usual `confirmations` for higher prices. `wallet_rpc_url` is a node for payers'
    wallets, empty for none.
    """

    id: int
    name: str
    explorer_url: str
    confirmations: int
    assets: tuple[Asset, ...]
    tiers: tuple[Tier, ...] = ()
    wallet_rpc_url: str = ""

    def confirmations_for(self, fiat: Fiat) -> int:
        """Return the depth required of a payment of this price: the most that a tier below the price asks for."""
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
    """The time to pay and the tolerances of the amount; `[sessions]` of the configuration."""

    ttl_seconds: int
    late_grace_seconds: int
    underpayment_tolerance_percent: Decimal
    overpayment_tolerance_percent: Decimal


M_co = TypeVar("M_co", bound="AcceptedChains", covariant=True)


@dataclass(frozen=True, slots=True)
class AcceptedChains:
    """The chains of one mode that payers can use; the first is the default."""

    livemode: bool
    chains: tuple[AcceptedChain, ...]

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
        """Return the asset of a choice. Raises UnsupportedChain and UnsupportedAsset."""
        return self.chain(choice.chain_id).asset(choice.symbol)

    def check(self, choices: Sequence[Choice]) -> None:
        """Refuse unconfigured choices. Raises UnsupportedChain and UnsupportedAsset, with the place as `param`."""
        for place, choice in enumerate(choices):
            try:
                self.asset(choice)
            except (UnsupportedChain, UnsupportedAsset) as error:
                raise type(error)(error.message, param=f"assets[{place}].{error.param}") from None

    def configured(self, choices: Iterable[Choice]) -> tuple[Choice, ...]:
        """Return those of the choices that are configured."""
        known = {asset.choice for chain in self.chains for asset in chain.assets}
        return tuple(choice for choice in choices if choice in known)


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedChains(AcceptedChains):
    """The chains of a mode, and the prices of their coins."""

    prices: Prices


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethods(PricedChains):
    """Everything that a mode needs to take payments.

    `chain_time` turns our time into the chain's, which may run ahead in test mode.
    `block_time` returns the time of a chain's newest block as its provider gives it, if one was read, to detect a
    wrong clock.
    `unready` gives the reason for each chain whose next address can't be given out yet; `services.ledger.wallet_check`
    shares it and empties it. `unready_tokens` does the same for tokens, by chain and contract, with
    `services.ledger.token_check`. `stopped` tells whether a chain is no longer followed (`services.ledger.ancestor`),
    `stuck` why one can't be read now, None if it can (`core.ledger.chain_status`).
    """

    wallet: Wallet
    policy: Policy
    chain_time: Callable[[datetime], datetime]
    block_time: Callable[[int], datetime | None] = lambda _: None
    unready: Mapping[int, str] = field(default_factory=dict)
    unready_tokens: Mapping[tuple[int, Address], str] = field(default_factory=dict)
    stopped: Callable[[int], bool] = lambda _: False
    stuck: Callable[[int], str | None] = lambda _: None

    def takes_payments(self, chain_id: int) -> bool:
        """Tell whether sessions can be made on a chain now."""
        return chain_id not in self.unready and not self.stopped(chain_id) and self.stuck(chain_id) is None

    def check_ready(self, chain: AcceptedChain, asset: Asset) -> None:
        """Refuse while addresses of this chain can't be given out safely, it can't be read, or a token is unchecked.

        Raises WalletNotConfigured: ChainNotReady where that may pass by itself.
        """
        if self.stopped(chain.id):
            raise WalletNotConfigured(
                f"{chain.name} takes no payments now: its node shows another chain than the one that was followed. "
                f"The server's operator has to decide: crypto-checkout chains reanchor {chain.id} shows what to do."
            )
        reason = self.stuck(chain.id)
        if reason is not None:
            raise ChainNotReady(f"{chain.name} takes no payments now: {reason}. Try again in a moment.")
        reason = self.unready.get(chain.id)
        if reason is not None:
            raise ChainNotReady(f"{chain.name} takes no payments yet: {reason} Try again in a moment.")
        reason = None if asset.contract is None else self.unready_tokens.get((chain.id, asset.contract))
        if reason is not None:
            raise ChainNotReady(
                f"{chain.name} takes no {asset.symbol} yet: {reason} Try again in a moment, or take another coin."
            )


class ChainsByMode(Generic[M_co]):
    """The accepted chains of each mode; a mode that isn't configured has none."""

    def __init__(self, modes: Iterable[M_co]) -> None:
        self._by_mode = {each.livemode: each for each in modes}

    def of(self, livemode: bool) -> M_co:
        """Return those of a mode. Raises WalletNotConfigured where the mode isn't configured."""
        found = self._by_mode.get(livemode)
        if found is not None:
            return found
        if livemode:
            raise WalletNotConfigured(
                "This server takes no real money yet: set [wallet] cold_address or xpub, and at least one [[chains]], "
                "in checkout.toml."
            )
        raise WalletNotConfigured("Test mode is switched off on this server: set [test_mode] enabled = true.")

    def has(self, *, livemode: bool) -> bool:
        """Tell whether a mode is configured."""
        return livemode in self._by_mode

    def all_chains(self) -> dict[int, AcceptedChain]:
        """Return the chains of all modes by their ids."""
        return {chain.id: chain for each in self._by_mode.values() for chain in each.chains}


class PaymentMethodsByMode(ChainsByMode[PaymentMethods]):
    """The payment methods of each mode; a mode that isn't configured has none."""

    def chain_time(self, livemode: bool, now: datetime) -> datetime:
        """Return a mode's time, by which its sessions expire."""
        methods = self._by_mode.get(livemode)
        return now if methods is None else methods.chain_time(now)
