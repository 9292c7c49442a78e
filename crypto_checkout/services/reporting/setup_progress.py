"""The progress of the setup: read from facts, and recorded, so that a step that was done once stays done."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from crypto_checkout.core.owner.audit import Action
from crypto_checkout.core.owner.setup import SetupProgress, SetupStep
from crypto_checkout.store.checkout import links, totals
from crypto_checkout.store.data_folder import last_backup
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.owner import account, audit
from crypto_checkout.store.owner import setup as store


@dataclass(frozen=True, slots=True)
class SetupFacts:
    """The facts that the configuration tells; `wallet_id` is that of the extended public key, None without one."""

    has_name: bool
    has_cold_address: bool
    wallet_id: str | None
    has_chain: bool


class Setup:
    """The setup of the shop; `folder` is that of the database.

    What no table shows is recorded by the page that does it: prices that were tried, alerts that went out, a copy that
    was downloaded.
    """

    def __init__(self, db: Database, facts: SetupFacts, folder: Path) -> None:
        self._db = db
        self._facts = facts
        self._folder = folder

    async def progress(self, *, even_if_dismissed: bool = True) -> SetupProgress:
        """Return the progress, after recording the steps that are newly done.

        It is one statement once all are done, and with `even_if_dismissed` off, once the rest is dismissed.
        """
        found = await self._db.read(store.progress)
        if found.is_complete or (found.is_dismissed and not even_if_dismissed):
            return found
        has_backup = SetupStep.BACKUP in found.done
        if not has_backup:
            has_backup = await asyncio.to_thread(last_backup.read, self._folder) is not None
        new = await self._db.read(lambda unit: self._new(unit, found, has_backup=has_backup))
        return await self._db.write(partial(_record, steps=new)) if new else found

    def mark(self, step: SetupStep) -> Callable[[WriteUnit], None]:
        """Return the unit that records a step as done."""
        return partial(store.mark_done, steps=[step])

    def set_dismissed(self, *, dismissed: bool) -> Callable[[WriteUnit], None]:
        """Return the unit that dismisses the rest of the setup, or resumes it."""
        return partial(store.set_dismissed, dismissed=dismissed)

    def _new(self, unit: ReadUnit, found: SetupProgress, *, has_backup: bool) -> list[SetupStep]:
        facts = {SetupStep.BACKUP: lambda: has_backup, **dict(self._checks(unit))}
        return [step for step in SetupStep if step not in found.done and step in facts and facts[step]()]

    def _checks(self, unit: ReadUnit) -> Iterator[tuple[SetupStep, Callable[[], bool]]]:
        facts = self._facts
        yield SetupStep.TRY, lambda: totals.has_sessions(unit, livemode=False, paid=True)
        yield SetupStep.SHOP, lambda: facts.has_name
        yield SetupStep.WALLET, lambda: facts.has_cold_address or is_wallet_compared(unit, facts.wallet_id)
        yield SetupStep.CHAIN, lambda: facts.has_chain
        yield SetupStep.PRICE, lambda: totals.has_sessions(unit, livemode=True, paid=False)
        yield SetupStep.LINK, lambda: links.has_any(unit)
        yield SetupStep.REAL_PAYMENT, lambda: totals.has_sessions(unit, livemode=True, paid=True)
        yield SetupStep.SECOND_FACTOR, lambda: _has_second_factor(unit)


def is_wallet_compared(unit: ReadUnit, wallet_id: str | None) -> bool:
    """Tell whether the owner has confirmed that a wallet's first addresses are those of their wallet program."""
    return wallet_id is not None and audit.has(unit, Action.WALLET_COMPARED, wallet_id)


def _has_second_factor(unit: ReadUnit) -> bool:
    admin = account.get(unit)
    return admin is not None and admin.totp_secret is not None


def _record(unit: WriteUnit, steps: list[SetupStep]) -> SetupProgress:
    store.mark_done(unit, steps)
    return store.progress(unit)
