"""Read what left our addresses, by the logs of blocks: what they say was collected, and tokens that they sent.

Anybody may collect from an address with code, and anybody may log that event, so that log counts only of the address
it comes from. Every log counts only once the hash of its block proves it. What left without a log is found by
`internal_transfers`.
"""

from collections.abc import Sequence
from typing import Protocol

from crypto_checkout.core.address import Address
from crypto_checkout.core.ledger.follow import Block, Header
from crypto_checkout.core.ledger.outflow import UNSEEN, Outflow, of_log, without_repetitions
from crypto_checkout.core.ledger.payment import Transfer, TransferKind
from crypto_checkout.services.ledger.reading.owners import owners
from crypto_checkout.services.ledger.reading.stretch import Stretch
from crypto_checkout.store.database import Database
from crypto_checkout.store.ledger import outflows as store


class OutflowEvidence(Protocol):
    """A chain as outflows are read from it; `chain.evm.chain` and `chain.sandbox.chain` implement it."""

    async def prove(self, transfers: Sequence[Transfer]) -> list[Transfer]:
        """Return the transfers with their proof by the hash of their block. Raises ProviderFailed for invented ones."""

    async def confirm(self, transfers: Sequence[Transfer]) -> None:
        """Return once enough providers have shown these transfers. Raises ProviderFailed."""

    async def collected(self, headers: Sequence[Header]) -> list[Transfer]:
        """Return what addresses, whoever's, say was collected from them in these blocks."""


class OutflowReader:
    """Reads the outflows of one chain."""

    def __init__(self, db: Database, chain: OutflowEvidence, chain_id: int) -> None:
        self._db = db
        self._chain = chain
        self._chain_id = chain_id

    async def in_stretch(self, stretch: Stretch) -> list[Outflow]:
        """Return the outflows that a stretch's own logs show, and its blocks as far as they were read.

        Where one of the watched addresses was collected from, others are mostly collected from in the same block.
        """
        logs = await stretch.outgoing()
        hinted = {each.block_number for each in logs if each.kind is TransferKind.INTERNAL}
        headers = await stretch.read_headers(sorted(hinted))
        logs += await self._chain.collected(headers) if headers else []
        return await self._of([*logs, *_logs(stretch.blocks)])

    async def in_blocks(self, blocks: Sequence[Block]) -> list[Outflow]:
        """Return the outflows that the logs of blocks show."""
        return await self._of(_logs(blocks))

    async def _of(self, logs: Sequence[Transfer]) -> list[Outflow]:
        ours = await owners(self._db, {each.sender for each in logs if each.sender is not None})
        sent = [*dict.fromkeys(each for each in logs if each.sender in ours)]
        # Less is expected for what left, so that an invented log would make up a payment.
        found = await self._chain.prove(sent) if sent else []
        await self._chain.confirm(found)
        return without_repetitions([of_log(each) for each in found])

    async def unknown(self, outflows: Sequence[Outflow]) -> list[Outflow]:
        """Return those of these outflows that aren't recorded."""
        addresses = {each.address for each in outflows}
        stored = await self._db.read(lambda unit: store.at_addresses(unit, self._chain_id, addresses))
        recorded = {each.key for each in stored}
        return [each for each in without_repetitions([*stored, *outflows]) if each.key not in recorded]

    async def unaccounted(self, outflows: Sequence[Outflow]) -> list[tuple[Outflow, int]]:
        """Return the coins that left in blocks processed before, those not recorded yet, with what nobody knew of.

        A log that was left out at first is known by its address's lower balance: as coins that left unseen.
        """
        addresses = {each.address for each in outflows}
        stored = await self._db.read(lambda unit: store.at_addresses(unit, self._chain_id, addresses))
        recorded = {each.key for each in stored}
        unseen: dict[Address, list[tuple[int, int]]] = {}
        for each in stored:
            if each.log_index == UNSEEN:
                unseen.setdefault(each.address, []).append((each.block_number, each.units))
        found = []
        for outflow in (each for each in outflows if each.key not in recorded):
            known = unseen.get(outflow.address, [])
            units = outflow.units
            for place, (number, left) in enumerate(known):
                if number >= outflow.block_number:
                    taken = min(units, left)
                    units -= taken
                    known[place] = (number, left - taken)
            found.append((outflow, units))
        return found


def _logs(blocks: Sequence[Block]) -> list[Transfer]:
    return [
        each
        for block in blocks
        for each in (*block.collected, *(t for t in block.transfers if t.kind is TransferKind.TOKEN))
    ]
