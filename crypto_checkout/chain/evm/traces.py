"""Which transactions of a block sent the native coin on through contracts: what `debug_traceBlockByHash` tells.

It names an internal transfer, and decides nothing: how much arrived is in `chain.evm.balances`.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from crypto_checkout.chain.evm import answers
from crypto_checkout.chain.rpc.providers import Ask, Refused, Unable, quantity
from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.payment import Transfer, TransferKind

# A DELEGATECALL and a STATICCALL move nothing, a CALLCODE moves it to where it was.
_MOVING = frozenset({"CALL", "SELFDESTRUCT"})


async def internal_transfers(ask: Ask, header: Header, addresses: Collection[Address]) -> list[Transfer]:
    """Return what contracts sent to these addresses in a block, one transfer for each transaction and receiver."""
    try:
        (traces,) = await ask([("debug_traceBlockByHash", [header.hash, {"tracer": "callTracer"}])])
    except Refused as error:
        raise Unable(f"no traces: {error}") from error
    found = []
    for trace in answers.lists([traces])[0]:
        tx_hash = answers.hash_(answers.field(trace, "txHash"))
        found += [each for each in _added_up(trace.get("result"), tx_hash, header) if each.to in addresses]
    return found


async def of_transaction(ask: Ask, header: Header, tx_hash: str) -> list[Transfer]:
    """Return what contracts sent on in one transaction of a block, one transfer for each receiver. Raises Unable."""
    try:
        (trace,) = await ask([("debug_traceTransaction", [tx_hash, {"tracer": "callTracer"}])])
    except Refused as error:
        raise Unable(f"no traces: {error}") from error
    return _added_up(trace, tx_hash, header)


def _added_up(trace: Any, tx_hash: str, header: Header) -> list[Transfer]:
    found: dict[Address, Transfer] = {}
    for frame in _calls_inside(trace):
        transfer = _transfer(frame, tx_hash, header)
        if transfer is not None:
            earlier = found.get(transfer.to)
            units = transfer.units + (earlier.units if earlier else 0)
            found[transfer.to] = replace(earlier or transfer, units=units)
    return [*found.values()]


def _calls_inside(frame: Any) -> Iterator[dict[str, Any]]:
    """Yield the calls below a transaction's own, without those that were undone."""
    waiting = [frame]
    while waiting:
        outer = waiting.pop()
        if not isinstance(outer, dict) or outer.get("error"):
            continue
        inner = outer.get("calls") or []
        if not isinstance(inner, list):
            raise ProviderFailed("a trace without a list of calls")
        if outer is not frame:
            yield outer
        waiting += reversed(inner)


def _transfer(frame: dict[str, Any], tx_hash: str, header: Header) -> Transfer | None:
    if frame.get("type") not in _MOVING or frame.get("to") is None:
        return None
    sender, to, units = (
        answers.address(frame.get("from")),
        answers.address(frame["to"]),
        quantity(frame.get("value") or "0x0"),
    )
    if not units or sender == to:
        return None
    return Transfer(
        to=to,
        sender=sender,
        units=units,
        kind=TransferKind.INTERNAL,
        contract=None,
        tx_hash=tx_hash,
        log_index=None,
        block_number=header.number,
        block_hash=header.hash,
        block_time=header.time,
    )
