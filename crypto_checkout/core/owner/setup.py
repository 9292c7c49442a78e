"""The steps of setting up a shop, in the order of a person."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class SetupStep(StrEnum):
    """The steps; a step that was done once stays done."""

    TRY = "try"
    SHOP = "shop"
    WALLET = "wallet"
    CHAIN = "chain"
    PRICE = "price"
    LINK = "link"
    REAL_PAYMENT = "real_payment"
    BACKUP = "backup"
    ALERTS = "alerts"
    SECOND_FACTOR = "second_factor"


@dataclass(frozen=True, slots=True)
class SetupProgress:
    """The steps that are done, with the time since when that is known; the owner may have dismissed the rest."""

    done: Mapping[SetupStep, datetime]
    is_dismissed: bool = False

    @property
    def is_complete(self) -> bool:
        """True once all steps are done."""
        return len(self.done) == len(SetupStep)
