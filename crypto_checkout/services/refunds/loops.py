"""The loops that notice payments of refunds, one for each chain, and the records that wake them."""

from collections.abc import Callable, Collection
from functools import partial

from crypto_checkout.core.address import Address
from crypto_checkout.services.checkout.session_reader import SessionReader
from crypto_checkout.services.refunds.recognition import RefundChain, RefundPayments
from crypto_checkout.services.refunds.records import RefundRecords
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.database import Database, WriteUnit


class OpenRefunds:
    """The records of refunds, and the loops that are woken when one changes, by the ids of their chains."""

    def __init__(self, db: Database, events: Outbox, *, public_url: str) -> None:
        self._db = db
        reader = SessionReader(db, public_url=public_url)
        changed = db.signals.make("a refund changed", self._wake)
        self.records = RefundRecords(reader, events, public_url=public_url, changed=changed)
        self.payments: dict[int, RefundPayments] = {}

    def follow(self, chain_id: int, chain: RefundChain, owners: Collection[Address]) -> RefundPayments:
        """Make the loop of a chain; `owners` are the addresses that refunds are paid from."""
        self.payments[chain_id] = RefundPayments(self._db, chain, self.records, chain_id=chain_id, owners=owners)
        return self.payments[chain_id]

    def take_back(self, chain_id: int) -> Callable[[WriteUnit, int], None]:
        """Return what takes back the payments of refunds above a block of a chain."""
        return partial(self.records.take_back, chain_id=chain_id)

    def _wake(self) -> None:
        for each in self.payments.values():
            each.woken.set()
