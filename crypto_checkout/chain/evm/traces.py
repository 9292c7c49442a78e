"""Internal transfers: native coins that contracts sent, from the traces of `debug_traceBlockByHash`.

Traces name the transactions, and decide nothing: the amounts that arrived are in `chain.evm.balances`.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from crypto_checkout.chain.evm import decoding
from crypto_checkout.chain.rpc.providers import Ask, Refused, Unsupported, quantity
from crypto_checkout.core.address import Address
from crypto_checkout.core.errors import ProviderFailed
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.payment import Transfer, TransferKind

# DELEGATECALL and STATICCALL move nothing, CALLCODE moves coins to where they were.
_MOVING = frozenset({"CALL", "SELFDESTRUCT"})


async def internal_transfers(ask: Ask, header: Header, addresses: Collection[Address]) -> list[Transfer]:
    """Return the coins that contracts sent to these addresses in a block: one transfer per transaction and receiver."""
    try:
        (traces,) = await ask([("debug_traceBlockByHash", [header.hash, {"tracer": "callTracer"}])])
    except Refused as error:
        raise Unsupported(f"no traces: {error}") from error
    found = []
    for trace in decoding.lists([traces])[0]:
        tx_hash = decoding.hash_(decoding.field(trace, "txHash"))
        found += [each for each in _added_up(trace.get("result"), tx_hash, header) if each.to in addresses]
    return found


async def of_transaction(ask: Ask, header: Header, tx_hash: str) -> list[Transfer]:
    """Return the coins that contracts sent in one transaction: one transfer per receiver. Raises Unsupported."""
    try:
        (trace,) = await ask([("debug_traceTransaction", [tx_hash, {"tracer": "callTracer"}])])
    except Refused as error:
        raise Unsupported(f"no traces: {error}") from error
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
    """Yield the calls below a transaction's own, without those that reverted."""
    pending = [frame]
    while pending:
        outer = pending.pop()
        if not isinstance(outer, dict) or outer.get("error"):
            continue
        inner = outer.get("calls") or []
        if not isinstance(inner, list):
            raise ProviderFailed("a trace without a list of calls")
        if outer is not frame:
            yield outer
        pending += reversed(inner)


def _transfer(frame: dict[str, Any], tx_hash: str, header: Header) -> Transfer | None:
    if frame.get("type") not in _MOVING or frame.get("to") is None:
        return None
    sender, to, units = (
        decoding.address(frame.get("from")),
        decoding.address(frame["to"]),
        quantity(frame.get("value") or "0x0"),
    )
    if not units or sender == to:
        return None
    return decoding.transfer_in(header, TransferKind.INTERNAL, tx_hash, sender=sender, to=to, units=units)
