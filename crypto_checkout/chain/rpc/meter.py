"""How much the providers of a chain are asked: calls and bytes, which are what their plans are limited by."""

from collections import defaultdict
from collections.abc import Mapping

from crypto_checkout import metrics
from crypto_checkout.core.diagnosis.rpc_usage import RpcUsage


class Meter:
    """Counts for `/metrics`, and until somebody takes the counts; providers are named by their host."""

    def __init__(self, chain_id: int) -> None:
        self.chain_id = chain_id
        self._used = defaultdict[str, RpcUsage](RpcUsage)

    def count(self, provider: str, used: RpcUsage) -> None:
        """Add to what a provider was asked; what failed counts too, for a plan counts it."""
        self._used[provider] += used
        metrics.RPC_CALLS.labels(self.chain_id, provider).inc(used.calls)
        metrics.RPC_BYTES.labels(self.chain_id, provider, "sent").inc(used.bytes_sent)
        metrics.RPC_BYTES.labels(self.chain_id, provider, "received").inc(used.bytes_received)

    def take(self) -> Mapping[str, RpcUsage]:
        """Return what was counted since the last time, by provider, and begin anew."""
        taken, self._used = self._used, defaultdict(RpcUsage)
        return taken

    def put_back(self, taken: Mapping[str, RpcUsage]) -> None:
        """Have counts taken again that couldn't be stored."""
        for provider, used in taken.items():
            self._used[provider] += used
