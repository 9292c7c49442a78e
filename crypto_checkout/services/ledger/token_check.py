"""Check that each configured token matches its contract.

With the wrong decimals, every amount in that token would be wrong by powers of ten.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.assets import Asset, TokenFacts
from crypto_checkout.services.ledger.startup_check import Contradiction, until_passed

_PUBLIC = "this token is not what the configuration says; the server's log has the reason."


class TokenReader(Protocol):
    """A chain on which tokens are checked; `chain.evm.chain` implements it."""

    async def token_facts(self, contract: Address) -> TokenFacts:
        """Return a token's facts as its contract states them. Raises ProviderFailed."""


@dataclass(frozen=True, slots=True)
class ConfiguredToken:
    """A token, and its key in the configuration, like `chains[0].tokens[1]`."""

    asset: Asset
    key: str


class TokenCheck:
    """Checks the tokens of each chain, once per start.

    `unready` holds the tokens that haven't passed, by chain id and contract, with the reason;
    `services.checkout.payment_methods` refuses sessions in them. Those in `passed` have sessions, so they passed at an
    earlier start: they are refused only if the contract contradicts the configuration now.
    """

    def __init__(
        self, chains: Mapping[int, TokenReader], tokens: Sequence[ConfiguredToken], passed: Collection[Asset] = ()
    ) -> None:
        self._chains = chains
        self._tokens = {(token.asset.chain_id, _contract(token)): token for token in tokens}
        decimals = {(asset.chain_id, asset.contract): asset.decimals for asset in passed}
        self.unready = {
            key: "the server is still comparing this token with its contract."
            for key, token in self._tokens.items()
            if decimals.get(key) != token.asset.decimals
        }

    async def run(self) -> None:
        """Check every token, repeatedly until it passes."""
        await asyncio.gather(
            *(
                until_passed(self.unready, key, partial(self._check, token), what="this token", chain_id=key[0])
                for key, token in self._tokens.items()
            )
        )

    async def _check(self, token: ConfiguredToken) -> None:
        problem = contradiction(token, await self._chains[token.asset.chain_id].token_facts(_contract(token)))
        if problem is not None:
            raise Contradiction(f"{problem} No session in {token.asset.symbol} is made.", public=_PUBLIC)


def contradiction(token: ConfiguredToken, facts: TokenFacts) -> str | None:
    """Return how contract and configuration contradict each other, and the remedy; None if they agree."""
    contract = checksum(_contract(token))
    if not facts.has_code:
        return (
            f"{token.key}.address: there is no contract at {contract} on chain {token.asset.chain_id}. Take the "
            "address that the token's issuer publishes for this chain, then start again."
        )
    if facts.decimals is None:
        return (
            f"{token.key}.address: the contract at {contract} has no decimals(), so it is no token. Take the address "
            "that the token's issuer publishes for this chain, then start again."
        )
    if facts.decimals != token.asset.decimals:
        return (
            f"{token.key}.decimals is {token.asset.decimals}, and the contract at {contract} says {facts.decimals}: "
            "amounts would be wrong by powers of ten. Correct decimals, or the address, then start again."
        )
    return None


def _contract(token: ConfiguredToken) -> Address:
    assert token.asset.contract is not None, "a native coin has no contract to check"
    return token.asset.contract
