"""The sandbox: the transactions of the simulated chain, and the scenarios that a payment can go through."""

from dataclasses import dataclass
from enum import StrEnum

from crypto_checkout.core.address import Address
from crypto_checkout.core.ledger.payment import TransferKind
from crypto_checkout.core.money import CoinUnits


class Scenario(StrEnum):
    """The courses that a payment can take; the sandbox drives each to its end at once."""

    EXACT = "exact"
    UNDERPAID = "underpaid"
    OVERPAID = "overpaid"
    LATE = "late"
    AFTER_GRACE = "after_grace"
    TOP_UP = "top_up"
    REORGED = "reorged"
    REORGED_AFTER_PAID = "reorged_after_paid"
    INTERNAL = "internal"
    WRONG_TOKEN = "wrong_token"  # noqa: S105 - an ERC-20 token, not a secret
    TWO_IN_ONE_TX = "two_in_one_tx"


@dataclass(frozen=True, slots=True)
class SandboxTransaction:
    """One transfer of a transaction; transfers of one transaction share its hash and differ in `place`.

    `sender` is the address from which it was collected, None for a payment.
    """

    hash: str
    block_number: int
    to: Address
    units: CoinUnits
    kind: TransferKind
    contract: Address | None
    place: int = 0
    sender: Address | None = None
