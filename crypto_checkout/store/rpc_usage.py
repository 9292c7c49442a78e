"""RPC calls and bytes per provider, chain and day."""

from dataclasses import dataclass
from datetime import date

from crypto_checkout.core.diagnosis.rpc_usage import RpcUsage
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.table import Table


@dataclass(frozen=True, slots=True)
class DailyUsage:
    """The usage of a provider, named by its host, on a day (UTC)."""

    day: date
    chain_id: int
    provider: str
    usage: RpcUsage


_USAGE = Table("rpc_usage", DailyUsage, flat=("usage",))
_ADD = f"""
    {_USAGE.insert}
    ON CONFLICT (day, chain_id, provider) DO UPDATE
    SET calls = rpc_usage.calls + excluded.calls,
        bytes_sent = rpc_usage.bytes_sent + excluded.bytes_sent,
        bytes_received = rpc_usage.bytes_received + excluded.bytes_received
"""  # noqa: S608 - the names of columns


def add(unit: WriteUnit, day: DailyUsage) -> None:
    """Add to a provider's usage on a day."""
    unit.run(_ADD, _USAGE.values(day))


def since(unit: ReadUnit, day: date) -> list[DailyUsage]:
    """Return the usage since a day, oldest first."""
    return _USAGE.all(unit, "WHERE day >= :day ORDER BY day, chain_id, provider", {"day": day.isoformat()})


def forget_before(unit: WriteUnit, day: date) -> None:
    """Delete the usage before a day."""
    unit.run("DELETE FROM rpc_usage WHERE day < :day", {"day": day.isoformat()})
