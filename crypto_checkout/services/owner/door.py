"""How the owner gets in, all of it: what the dashboard and the start of the server share."""

from dataclasses import dataclass
from typing import Self

from crypto_checkout.core.moments import Clock
from crypto_checkout.services.owner.account import Account
from crypto_checkout.services.owner.audit import AuditTrail
from crypto_checkout.services.owner.passwords import Passwords
from crypto_checkout.services.owner.set_up_link import SetUpLink
from crypto_checkout.services.owner.sign_in import SignIn
from crypto_checkout.store.database import Database


@dataclass(frozen=True, slots=True)
class Door:
    """The services around the owner's account."""

    sign_in: SignIn
    set_up_link: SetUpLink
    account: Account
    trail: AuditTrail

    @classmethod
    def of(cls, db: Database, clock: Clock) -> Self:
        """Make them."""
        passwords = Passwords()
        return cls(SignIn(db, passwords, clock), SetUpLink(clock), Account(db, passwords), AuditTrail(db))
