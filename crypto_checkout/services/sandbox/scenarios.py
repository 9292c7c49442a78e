"""The scenarios of test mode: the possible outcomes of a session, each as the steps that lead to it.

A scenario touches its own session only. Its blocks take no time, so that no other session expires: where its own must
expire, the expiry is brought forward. Its reorgs replace only blocks that it has mined itself.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from crypto_checkout.chain.sandbox.chain import ASSETS
from crypto_checkout.chain.sandbox.draft import Draft
from crypto_checkout.core.address import Address
from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.ledger.payment import TransferKind
from crypto_checkout.core.sandbox import Scenario
from crypto_checkout.store.checkout import sessions
from crypto_checkout.store.database import WriteUnit

Stored = Callable[[WriteUnit], None] | None
"""A write in the same unit as a change of the chain; None for no write."""

Change = Callable[[Callable[[Draft], Stored]], Awaitable[None]]
"""Changes the chain and processes the new blocks."""

# Blocks within one second share their time, and late means strictly later.
_A_MOMENT = timedelta(milliseconds=1)
_GRACE = timedelta(minutes=1)


async def play(scenario: Scenario, session: Session, new_hash: Callable[[], str], change: Change) -> None:
    """Drive a pending session without payments through a scenario.

    `new_hash` makes the hashes of its transactions; `change` skips steps that were taken before a kill.
    """
    await _PLAYS[scenario](_Stage(session, new_hash, change))


@dataclass(frozen=True, slots=True)
class _Transaction:
    """A transaction with one or more transfers to the session."""

    tx_hash: str
    parts: tuple[int, ...]
    kind: TransferKind
    contract: Address | None


@dataclass(frozen=True, slots=True)
class _Stage:
    """A session and the steps of scenarios; each is processed before the next."""

    session: Session
    new_hash: Callable[[], str]
    change: Change

    @property
    def price(self) -> int:
        """The amount of the session, in the smallest units."""
        return self.session.terms.amount_units

    @property
    def short(self) -> int:
        """An amount below the tolerated minimum."""
        return max(1, min(self.price // 2, self.session.terms.minimum_units - 1))

    async def pay(self, *parts: int, kind: TransferKind | None = None, contract: Address | None = None) -> _Transaction:
        """Pay with one transaction of one or more transfers, in a new block."""
        asset = self.session.asset
        moved = kind or (TransferKind.NATIVE if asset.is_native else TransferKind.TOKEN)
        token = contract or (asset.contract if kind is None else None)
        transaction = _Transaction(self.new_hash(), parts, moved, token)
        await self.send(transaction)
        return transaction

    async def send(self, transaction: _Transaction) -> None:
        """Put a transaction into a new block; one that was taken back can be sent again."""

        def put_in(draft: Draft) -> None:
            draft.mine_at_once(1)
            for part in transaction.parts:
                draft.transfer(self.session.address, part, transaction.kind, transaction.contract, transaction.tx_hash)

        await self.change(put_in)

    async def confirm(self) -> None:
        """Mine until the payment is deep enough."""
        await self.change(lambda draft: draft.mine_at_once(self.session.terms.required_confirmations))

    async def run_out(self, *, grace: bool = False) -> None:
        """End the time to pay now, and the grace period too with `grace`."""

        def expire(draft: Draft) -> Stored:
            draft.mine_at_once(1)
            over = draft.time - _A_MOMENT

            def bring_forward(unit: WriteUnit) -> None:
                session = sessions.get(unit, self.session.id)
                assert session is not None, "sessions are never deleted"
                expires_at = min(over, session.terms.expires_at)
                grace_until = expires_at if grace else max(session.terms.grace_until, over + _GRACE)
                terms = replace(session.terms, expires_at=expires_at, grace_until=grace_until)
                sessions.store_decision(unit, replace(session, terms=terms, updated_at=unit.now))

            return bring_forward

        await self.change(expire)

    async def take_back(self) -> None:
        """Replace the blocks since the payment with a longer branch without it."""

        def reorganise(draft: Draft) -> None:
            draft.take_back(self.session.address, secrets.token_hex(8))
            draft.mine_at_once(1)

        await self.change(reorganise)


async def _exact(stage: _Stage) -> None:
    await stage.pay(stage.price)
    await stage.confirm()


async def _underpaid(stage: _Stage) -> None:
    await stage.pay(stage.short)
    await stage.confirm()


async def _overpaid(stage: _Stage) -> None:
    await stage.pay(max(2 * stage.price, stage.session.terms.maximum_units + 1))
    await stage.confirm()


async def _late(stage: _Stage) -> None:
    await stage.run_out()
    await _exact(stage)


async def _after_grace(stage: _Stage) -> None:
    await stage.run_out(grace=True)
    await _exact(stage)


async def _top_up(stage: _Stage) -> None:
    await _underpaid(stage)
    await stage.pay(max(1, stage.price - stage.short))
    await stage.confirm()


async def _reorged(stage: _Stage) -> None:
    paid = await stage.pay(stage.price)
    await stage.take_back()
    await stage.send(paid)
    await stage.confirm()


async def _reorged_after_paid(stage: _Stage) -> None:
    await stage.pay(stage.price)
    await stage.confirm()
    await stage.take_back()


async def _internal(stage: _Stage) -> None:
    await stage.pay(stage.price, kind=TransferKind.INTERNAL)
    await stage.confirm()


async def _wrong_token(stage: _Stage) -> None:
    wrong = next(asset for asset in ASSETS if asset.contract != stage.session.asset.contract)
    kind = TransferKind.NATIVE if wrong.is_native else TransferKind.TOKEN
    await stage.pay(10**wrong.decimals, kind=kind, contract=wrong.contract)
    await stage.confirm()
    await stage.run_out()


async def _two_in_one_tx(stage: _Stage) -> None:
    half = max(1, stage.price // 2)
    kind = TransferKind.INTERNAL if stage.session.asset.is_native else None
    await stage.pay(half, max(1, stage.price - half), kind=kind)
    await stage.confirm()


_PLAYS: Mapping[Scenario, Callable[[_Stage], Awaitable[None]]] = {
    Scenario.EXACT: _exact,
    Scenario.UNDERPAID: _underpaid,
    Scenario.OVERPAID: _overpaid,
    Scenario.LATE: _late,
    Scenario.AFTER_GRACE: _after_grace,
    Scenario.TOP_UP: _top_up,
    Scenario.REORGED: _reorged,
    Scenario.REORGED_AFTER_PAID: _reorged_after_paid,
    Scenario.INTERNAL: _internal,
    Scenario.WRONG_TOKEN: _wrong_token,
    Scenario.TWO_IN_ONE_TX: _two_in_one_tx,
}
