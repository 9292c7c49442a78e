"""The conditions under which a chain can have deposits, held against what its node says."""

from dataclasses import dataclass

from crypto_checkout.core.address import Address, checksum, keccak_256
from crypto_checkout.core.collect.contracts import (
    COLLECTOR,
    CREATE2_PROXY,
    CREATE2_PROXY_CODE_HASH,
    DELEGATION_PREFIX,
    FORWARDER,
)

NO_CODE_HASH = "0x" + keccak_256(b"").hex()

SET_UP = "crypto-checkout collect setup prints the two transactions that put them there; anybody may send them."


@dataclass(frozen=True, slots=True)
class DepositFacts:
    """The contracts and a destination as a chain shows them.

    Attributes:
        proxy_hash: keccak256 of the deployment proxy's code, as the others in hexadecimal with 0x.
        computes: the proxy would create a deposit at the address that we compute.
        moves: the Collector would move the coin from a deposit to the destination.
        has_code: the destination is a contract there, not an ordinary account.
    """

    proxy_hash: str
    forwarder_hash: str
    collector_hash: str
    computes: bool
    moves: bool
    has_code: bool

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of contracts of ours that aren't deployed there yet."""
        hashes = {FORWARDER.name: self.forwarder_hash, COLLECTOR.name: self.collector_hash}
        return tuple(name for name, code_hash in hashes.items() if code_hash == NO_CODE_HASH)


def is_contract(code: bytes) -> bool:
    """Tell whether this is the code of a contract: an account that delegates (EIP-7702) stays an ordinary one."""
    return bool(code) and not code.startswith(bytes.fromhex(DELEGATION_PREFIX[2:]))


def problem(facts: DepositFacts, destination: Address) -> str | None:
    """Return why deposits for a destination can't be given out on a chain; None if they can."""
    if facts.proxy_hash != CREATE2_PROXY_CODE_HASH:
        state = "is none" if facts.proxy_hash == NO_CODE_HASH else "is other code"
        return (
            f"there {state} at {checksum(CREATE2_PROXY)}, where the deployment proxy is on other chains: deposits "
            "can't be made there. Use an xpub for this chain, on a server of its own."
        )
    if facts.missing:
        return f"the contracts that collect are not there yet ({', '.join(facts.missing)}). {SET_UP}"
    for contract, code_hash in ((FORWARDER, facts.forwarder_hash), (COLLECTOR, facts.collector_hash)):
        if code_hash != contract.code_hash:
            return f"the code at {checksum(contract.address)} is not our {contract.name}: trust no deposit there."
    if not facts.computes:
        return "it creates contracts at other addresses than Ethereum does: money at a deposit could not be collected."
    if not facts.moves:
        return f"the destination {checksum(destination)} does not take the chain's coin there."
    return None


def only_elsewhere(destination: Address, elsewhere: str) -> str:
    """Say that a destination is a contract on another chain and nothing on this one."""
    return (
        f"the destination {checksum(destination)} is a contract on {elsewhere} and not here: what is collected here "
        "might be nobody's. Take an ordinary account as cold_address, or deploy the same contract here first."
    )
