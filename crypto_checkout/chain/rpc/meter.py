"""Counts of calls to the providers of a chain and of their bytes, which providers' plans limit."""

from collections import defaultdict
from collections.abc import Mapping

from crypto_checkout import metrics
from crypto_checkout.core.diagnosis.rpc_usage import RpcUsage


class Meter:
    """Counts for `/metrics`, and until `take` collects them; providers are named by their host."""

    def __init__(self, chain_id: int) -> None:
        self.chain_id = chain_id
        self._used = defaultdict[str, RpcUsage](RpcUsage)

    def count(self, provider: str, used: RpcUsage) -> None:
        """Add to a provider's usage; failed calls count too, because plans count them."""
        self._used[provider] += used
        metrics.RPC_CALLS.labels(self.chain_id, provider).inc(used.calls)
        metrics.RPC_BYTES.labels(self.chain_id, provider, "sent").inc(used.bytes_sent)
        metrics.RPC_BYTES.labels(self.chain_id, provider, "received").inc(used.bytes_received)

    def take(self) -> Mapping[str, RpcUsage]:
        """Return the counts since the last time, by provider, and start again from zero."""
        taken, self._used = self._used, defaultdict(RpcUsage)
        return taken

    def put_back(self, taken: Mapping[str, RpcUsage]) -> None:
        """Add counts that couldn't be stored, for the next `take`."""
        for provider, used in taken.items():
            self._used[provider] += used
