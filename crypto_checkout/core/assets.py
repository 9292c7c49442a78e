"""What can be paid with: the native coin of a chain, or a token on it."""

from dataclasses import dataclass

from .address import Address


@dataclass(frozen=True, slots=True)
class Choice:
    """A coin on a chain by its names, as links and sessions list what a payer may choose from."""

    chain_id: int
    symbol: str


@dataclass(frozen=True, slots=True)
class Asset:
    """A coin or token on one chain; `contract` is None for the native coin.

    A `usd_pegged` token is priced at one dollar. `decimals` says how many smallest units make one.
    """

    chain_id: int
    symbol: str
    decimals: int
    contract: Address | None = None
    usd_pegged: bool = False

    @property
    def is_native(self) -> bool:
        """Whether this is the chain's own coin."""
        return self.contract is None

    @property
    def choice(self) -> Choice:
        """Its names."""
        return Choice(self.chain_id, self.symbol)


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What a token's contract says about itself; None where it doesn't say."""

    has_code: bool
    decimals: int | None
    symbol: str | None
