"""Usage of a JSON-RPC provider, in the figures that limit its plans."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RpcUsage:
    """JSON-RPC calls, and the bytes of their bodies (unpacked, without HTTP's headers)."""

    calls: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0

    def __add__(self, other: "RpcUsage") -> "RpcUsage":
        """Return the sum."""
        return RpcUsage(
            self.calls + other.calls,
            self.bytes_sent + other.bytes_sent,
            self.bytes_received + other.bytes_received,
        )
