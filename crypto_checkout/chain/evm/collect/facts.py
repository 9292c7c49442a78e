"""Ask a node whether a chain can have deposits. Nothing is sent."""

import secrets

from crypto_checkout.chain.evm import decoding
from crypto_checkout.chain.rpc.providers import Ask, Refused
from crypto_checkout.core.address import Address, keccak_256
from crypto_checkout.core.collect import calls
from crypto_checkout.core.collect.contracts import COLLECTOR, CREATE2_PROXY, FORWARDER
from crypto_checkout.core.collect.deposits import Deposits, init_code
from crypto_checkout.core.collect.readiness import DepositFacts, is_contract

_ONE_UNIT = "0x1"
_ONE = (1).to_bytes(32)
_ANSWERS_ONE = "0x600160005260206000f3"  # PUSH 1, MSTORE at 0, RETURN 32 bytes
_NOBODY = "0x" + "00" * 20


async def deposit_facts(ask: Ask, deposits: Deposits) -> DepositFacts:
    """Read what a chain shows of the contracts and of a destination.

    The deposit that is tried has a salt that nobody can foresee, so that nobody can be there first.
    """
    places = (CREATE2_PROXY, FORWARDER.address, COLLECTOR.address, deposits.destination)
    found = await ask([("eth_getCode", [place, "latest"]) for place in places])
    proxy, forwarder, collector, destination = (decoding.hexadecimal(each) for each in found)
    salt = secrets.token_bytes(32)
    deposit = deposits.address_of(salt)
    made = await _called(ask, CREATE2_PROXY, salt + init_code(deposits.destination)) if proxy else b""
    return DepositFacts(
        _hash(proxy),
        _hash(forwarder),
        _hash(collector),
        computes=made == bytes.fromhex(deposit[2:]),
        moves=bool(collector) and await _moves(ask, deposits, salt),
        has_code=is_contract(destination),
    )


async def _moves(ask: Ask, deposits: Deposits, salt: bytes) -> bool:
    """Try to collect one unit that a deposit is made to have; without such overrides, only to pay the destination."""
    deposit = deposits.address_of(salt)
    try:
        honoured = await _called(ask, deposit, b"", {deposit: {"code": _ANSWERS_ONE}})
        if honoured == _ONE:
            call = calls.collect(deposits.destination, {calls.COIN: [salt]})
            return await _called(ask, COLLECTOR.address, call, {deposit: {"balance": _ONE_UNIT}}) == _ONE
    except Refused:
        pass  # it has no overrides
    try:
        await ask([("eth_estimateGas", [{"from": _NOBODY, "to": deposits.destination, "value": "0x0"}])])
    except Refused as error:
        if decoding.has_reverted(error):
            return False
        raise
    return True


async def _called(
    ask: Ask, contract: Address, data: bytes, overrides: dict[Address, dict[str, str]] | None = None
) -> bytes:
    """Return a contract's answer, empty if it reverts. Any other refusal is the node's own, and raised."""
    parameters: list[object] = [{"to": contract, "data": "0x" + data.hex()}, "latest"]
    try:
        (answer,) = await ask([("eth_call", [*parameters, overrides] if overrides else parameters)])
    except Refused as error:
        if decoding.has_reverted(error):
            return b""
        raise
    return decoding.hexadecimal(answer)


def _hash(code: bytes) -> str:
    return "0x" + keccak_256(code).hex()
