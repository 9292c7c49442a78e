"""Doubts about strange answers: refused at first, so that they are asked for again, and from every provider.

No list of the ways in which chains differ from Ethereum is complete: transactions of other types and without familiar
fields, bloom filters that don't fit the logs, transactions without a receipt. From one node such an answer may be an
error or a lie, so it is refused. Once every provider has given it, more than once, it is the chain's own way: what
can't be read is skipped, and the balances show whether money came. Each kind is logged once.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from crypto_checkout.chain.evm import decoding
from crypto_checkout.chain.evm.decoding import Skip, Strange
from crypto_checkout.chain.rpc.providers import Rpc
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.log import get_logger

log = get_logger("doubts")

_TIMES = 2
_USUAL_AFTER = 3
_KEPT = 1024


class Doubts:
    """The doubts about one chain's blocks, in memory only: after a restart each is raised anew."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._raised: OrderedDict[tuple[str, str, str], int] = OrderedDict()
        self._settled: dict[str, int] = {}

    def of(self, header: Header) -> Skip:
        """Return `raise_unless_settled` for one block."""
        return lambda found: self.raise_unless_settled({header: found})

    def raise_unless_settled(self, found: Mapping[Header, Sequence[Strange]], *, times: int = _TIMES) -> None:
        """Raise one of these, unless each was raised `times` per provider for its block, or is of a foreign type."""
        unsettled = [
            each for header, of_block in found.items() for each in of_block if not self._is_settled(header, each, times)
        ]
        decoding.refuse(unsettled)

    def is_usual(self, reason: str) -> bool:
        """Tell whether this was settled so often that it needs no more doubt on this chain."""
        return self._settled.get(reason, 0) >= _USUAL_AFTER

    def _is_settled(self, header: Header, strange: Strange, times: int) -> bool:
        if not strange.is_foreign:
            key = (header.hash, strange.subject, strange.reason)
            raised = self._raised.pop(key, 0)
            self._raised[key] = raised + 1
            if len(self._raised) > _KEPT:
                self._raised.popitem(last=False)
            if raised < times * len(self._rpc.providers):
                return False
        if strange.reason not in self._settled:
            log.warning(
                "a strange answer is skipped, and balances decide",
                chain=self._rpc.chain_id,
                block=header.number,
                error=str(strange),
            )
        self._settled[strange.reason] = self._settled.get(strange.reason, 0) + 1
        return True
