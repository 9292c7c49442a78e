"""How much somebody is asked over JSON-RPC: what the plans of providers are limited by."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RpcUsage:
    """JSON-RPC calls, and the bytes of their bodies (unpacked, without HTTP's headers)."""

    calls: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0

    def __add__(self, other: "RpcUsage") -> "RpcUsage":
        """Add up."""
        return RpcUsage(
            self.calls + other.calls,
            self.bytes_sent + other.bytes_sent,
            self.bytes_received + other.bytes_received,
        )
