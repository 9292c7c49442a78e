"""Assets: the native coin of a chain, or a token on it."""

from dataclasses import dataclass

from .address import Address


@dataclass(frozen=True, slots=True)
class Choice:
    """An asset by chain and symbol, as links and sessions list the payer's choices."""

    chain_id: int
    symbol: str


@dataclass(frozen=True, slots=True)
class Asset:
    """A coin or token on one chain; `contract` is None for the native coin.

    A `usd_pegged` token is priced at one dollar, unless the operator set its price. One coin is 10^`decimals` smallest
    units.
    """

    chain_id: int
    symbol: str
    decimals: int
    contract: Address | None = None
    usd_pegged: bool = False

    @property
    def is_native(self) -> bool:
        """True for the chain's own coin."""
        return self.contract is None

    @property
    def choice(self) -> Choice:
        """The asset by chain and symbol."""
        return Choice(self.chain_id, self.symbol)


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """A token as its contract describes itself; a field that the contract doesn't answer is None."""

    has_code: bool
    decimals: int | None
    symbol: str | None
