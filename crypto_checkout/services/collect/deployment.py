"""Find the contracts that collect which a chain lacks, so that anybody can put them there."""

from dataclasses import dataclass

from crypto_checkout.core.collect import readiness
from crypto_checkout.core.collect.contracts import COLLECTOR, CREATE2_PROXY_CODE_HASH, FORWARDER, Contract
from crypto_checkout.core.collect.deposits import Deposits
from crypto_checkout.core.errors import RecoverableError
from crypto_checkout.services.collect.deposit_check import DepositReader

GAS = {FORWARDER: 170_000, COLLECTOR: 520_000}
"""The gas that deploying each of them takes, as measured, rounded up."""


@dataclass(frozen=True, slots=True)
class ChainSetup:
    """A chain: the contracts that it lacks, or else what is wrong with it, if anything is."""

    chain_id: int
    name: str
    missing: tuple[Contract, ...] = ()
    problem: str | None = None


async def look(reader: DepositReader, deposits: Deposits, chain_id: int, name: str) -> ChainSetup:
    """Find what a chain lacks; one that doesn't answer has that as its problem."""
    try:
        facts = await reader.deposit_facts(deposits)
    except RecoverableError as error:
        return ChainSetup(chain_id, name, problem=f"it can't be asked: {error}")
    missing = tuple(each for each in (FORWARDER, COLLECTOR) if each.name in facts.missing)
    problem = readiness.problem(facts, deposits.destination)
    if missing and facts.proxy_hash == CREATE2_PROXY_CODE_HASH:
        return ChainSetup(chain_id, name, missing)
    return ChainSetup(chain_id, name, problem=problem)
