"""How much each provider of each chain was asked, day by day."""

from dataclasses import dataclass
from datetime import date

from crypto_checkout.core.diagnosis.rpc_usage import RpcUsage

from .database import ReadUnit, WriteUnit


@dataclass(frozen=True, slots=True)
class DailyUsage:
    """What a provider, named by its host, was asked on a day (UTC)."""

    day: date
    chain_id: int
    provider: str
    usage: RpcUsage


def add(unit: WriteUnit, day: DailyUsage) -> None:
    """Add to what a provider was asked on a day."""
    unit.run(
        """
        INSERT INTO rpc_usage (day, chain_id, provider, calls, bytes_sent, bytes_received)
        VALUES (:day, :chain_id, :provider, :calls, :bytes_sent, :bytes_received)
        ON CONFLICT (day, chain_id, provider) DO UPDATE
        SET calls = rpc_usage.calls + excluded.calls,
            bytes_sent = rpc_usage.bytes_sent + excluded.bytes_sent,
            bytes_received = rpc_usage.bytes_received + excluded.bytes_received
        """,
        {
            "day": day.day.isoformat(),
            "chain_id": day.chain_id,
            "provider": day.provider,
            "calls": day.usage.calls,
            "bytes_sent": day.usage.bytes_sent,
            "bytes_received": day.usage.bytes_received,
        },
    )


def since(unit: ReadUnit, day: date) -> list[DailyUsage]:
    """Return what was asked from a day on, oldest first."""
    rows = unit.all(
        """
        SELECT day, chain_id, provider, calls, bytes_sent, bytes_received
        FROM rpc_usage
        WHERE day >= :day
        ORDER BY day, chain_id, provider
        """,
        {"day": day.isoformat()},
    )
    return [DailyUsage(date.fromisoformat(row[0]), row[1], row[2], RpcUsage(row[3], row[4], row[5])) for row in rows]


def forget_before(unit: WriteUnit, day: date) -> None:
    """Forget what was asked before a day."""
    unit.run("DELETE FROM rpc_usage WHERE day < :day", {"day": day.isoformat()})
