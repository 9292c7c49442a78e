"""Free plans of RPC providers, and what each call costs of them.

As their pages said in November 2026; the guide `costs` names the pages. Compare before you rely on it: plans change.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

MONTH_SECONDS = 30 * 86_400


@dataclass(frozen=True)
class Plan:
    """A provider's free plan: units a month, and the units of a call; `costs` are those that differ from `usual`."""

    name: str
    unit: str
    units_a_month: int
    usual: int
    costs: Mapping[str, int] = field(default_factory=dict)

    def units(self, calls: Mapping[str, float]) -> float:
        """Return the units of calls by method."""
        return sum(count * self.costs.get(method, self.usual) for method, count in calls.items())


PLANS = (
    Plan(
        "Alchemy",
        "CU",
        30_000_000,
        20,
        {"eth_chainId": 0, "eth_blockNumber": 10, "eth_call": 26, "eth_getLogs": 60, "debug_traceBlockByHash": 40},
    ),
    Plan(
        "Infura",
        "credits",
        30 * 3_000_000,
        80,
        {"eth_chainId": 5, "eth_getLogs": 255, "eth_getBlockReceipts": 1000, "debug_traceBlockByHash": 1000},
    ),
    Plan("QuickNode", "credits", 10_000_000, 20, {"debug_traceBlockByHash": 40}),
    Plan("Ankr", "credits", 200_000_000, 200),
    Plan("dRPC", "CU", 210_000_000, 20),
    Plan("Chainstack", "requests", 3_000_000, 1),
)
