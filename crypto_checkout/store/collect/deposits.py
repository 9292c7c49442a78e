"""Wallets of cold-address mode, present and earlier ones, and the chains that can have their deposits."""

from dataclasses import dataclass

from crypto_checkout.core.address import Address
from crypto_checkout.core.collect.deposits import SYSTEM, Deposits
from crypto_checkout.store.database import ReadUnit, WriteUnit


@dataclass(frozen=True, slots=True)
class ChainFound:
    """A chain when it was last asked: whether the destination had code, and whether deposits could be given out."""

    has_code: bool
    passed: bool


def record(unit: WriteUnit, deposits: Deposits) -> None:
    """Keep a wallet's destination and label for good; repeating is safe."""
    unit.run(
        """
        INSERT INTO wallets (wallet_id, next_index, system, destination, label)
        VALUES (:wallet_id, 0, :system, :destination, :label)
        ON CONFLICT (wallet_id) DO UPDATE SET system = :system, destination = :destination, label = :label
        """,
        {
            "wallet_id": deposits.wallet_id,
            "system": SYSTEM,
            "destination": deposits.destination,
            "label": deposits.label,
        },
    )


def recorded(unit: ReadUnit) -> dict[str, Deposits]:
    """Return all wallets of cold-address mode, by their ids."""
    rows = unit.all("SELECT wallet_id, destination, label FROM wallets WHERE system = :system", {"system": SYSTEM})
    return {row["wallet_id"]: Deposits(Address(row["destination"]), row["label"]) for row in rows}


def record_chain(unit: WriteUnit, wallet_id: str, chain_id: int, found: ChainFound) -> None:
    """Replace what was found on a chain."""
    unit.run(
        """
        INSERT INTO deposit_chains (wallet_id, chain_id, has_code, passed)
        VALUES (:wallet_id, :chain_id, :has_code, :passed)
        ON CONFLICT (wallet_id, chain_id) DO UPDATE SET has_code = :has_code, passed = :passed
        """,
        {
            "wallet_id": wallet_id,
            "chain_id": chain_id,
            "has_code": int(found.has_code),
            "passed": int(found.passed),
        },
    )


def chains(unit: ReadUnit, wallet_id: str) -> dict[int, ChainFound]:
    """Return what was last found on each chain, by its id."""
    rows = unit.all(
        "SELECT chain_id, has_code, passed FROM deposit_chains WHERE wallet_id = :wallet_id", {"wallet_id": wallet_id}
    )
    return {row["chain_id"]: ChainFound(bool(row["has_code"]), bool(row["passed"])) for row in rows}
