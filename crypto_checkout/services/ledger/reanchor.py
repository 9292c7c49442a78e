"""Reanchor a stopped chain: go on from its present head, after the owner has seen what will be taken back.

A chain stops when none of the remembered blocks is on it any more: a test network began anew, or the providers were on
a wrong fork. The rule is that of every reorganisation, however deep: blocks and payments that the node still has stay,
payments in blocks that it no longer has are taken back and their sessions judged again. Open sessions stay open. What
their addresses should hold stays known, so native coins that came in skipped blocks are found by their balances.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from crypto_checkout.core.errors import ChainNotStopped
from crypto_checkout.core.ledger.follow import Head, Header
from crypto_checkout.core.money import CoinUnits
from crypto_checkout.core.owner.audit import Action, Actor
from crypto_checkout.log import get_logger
from crypto_checkout.services.ledger.ancestor import HeaderReader, newest_of_one_chain, newest_shared
from crypto_checkout.services.ledger.judge import Judge
from crypto_checkout.services.ledger.watched_addresses import WATCHED_AFTER_GRACE
from crypto_checkout.services.owner import audit
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import balances, credits, cursors, late_pages, outflows, payments, unmatched
from crypto_checkout.store.ledger.balances import Balance
from crypto_checkout.store.ledger.cursors import Cursor
from crypto_checkout.store.ledger.payments import Orphans

log = get_logger("watcher")

_REMEMBERED_BLOCKS = 64


class AnchorReader(HeaderReader, Protocol):
    """A chain that can be reanchored; `chain.evm.chain` implements it."""

    async def head(self) -> Head:
        """Return the newest block number, and the newest final one."""

    async def confirm_block(self, header: Header) -> None:
        """Return once enough providers have shown this block. Raises ProviderFailed."""


@dataclass(frozen=True, slots=True)
class ReanchorPlan:
    """The effects of reanchoring a chain.

    `shared` is the newest known block that is still on the chain, None if none is; the payments above it, `orphans`,
    are taken back. `headers` end with the block after which the watcher goes on. `open_sessions` are kept.
    """

    chain_id: int
    before: Cursor
    headers: tuple[Header, ...]
    final_number: int | None
    shared: int | None
    forgotten_blocks: int
    orphans: Orphans
    open_sessions: int

    @property
    def anchor(self) -> Header:
        """The block after which the watcher goes on."""
        return self.headers[-1]


class Reanchoring:
    """Reanchors one chain."""

    def __init__(self, db: Database, chain: AnchorReader, judge: Judge, chain_id: int) -> None:
        self._db = db
        self._chain = chain
        self._judge = judge
        self._chain_id = chain_id

    async def plan(self, first_block: int | None = None) -> ReanchorPlan:
        """Find out what reanchoring would do; `first_block` is the first to be processed, None for the next one.

        Raises ChainNotStopped where it would be wrong, and ProviderFailed.
        """
        before, kept = await self._db.read(self._known)
        if before is None:
            raise ChainNotStopped("No block of this chain was processed yet: there is nothing to reanchor.")
        head = await self._chain.head()
        if await newest_shared(self._chain, kept, head.number) is not None:
            raise ChainNotStopped(
                "This chain is not stopped: its node still has one of the last processed blocks. Nothing is to be done."
            )
        (newest,) = await self._chain.headers([head.number])
        if newest.time <= before.time:
            raise ChainNotStopped(
                f"The node's newest block, {newest.number}, is from {newest.time:%Y-%m-%d %H:%M:%S} UTC, before the "
                "last processed one: it is still synchronising. Wait for it, or name another node in rpc_urls."
            )
        await self._chain.confirm_block(newest)
        known = await self._db.read(lambda unit: payments.canonical_blocks(unit, self._chain_id))
        shared = await newest_of_one_chain(self._chain, known, head.number)
        number = _anchor_number(first_block, head, shared)
        headers = await self._headers(number)
        orphans = await self._db.read(lambda unit: payments.orphans(unit, self._chain_id, _above(shared)))
        count = await self._db.read(lambda unit: payments.count_pending(unit, self._chain_id))
        return ReanchorPlan(
            self._chain_id, before, tuple(headers), head.final_number, shared, len(kept), orphans, count
        )

    async def carry_out(self, plan: ReanchorPlan, actor: Actor) -> int:
        """Carry out a plan in one unit; return the number of sessions judged again. Raises ChainNotStopped."""
        touched = await self._db.write(partial(self._move, plan=plan, actor=actor))
        log.warning("the chain was reanchored", chain=plan.chain_id, block=plan.anchor.number, sessions=touched)
        return touched

    def _move(self, unit: WriteUnit, plan: ReanchorPlan, actor: Actor) -> int:
        now = cursors.cursor(unit, plan.chain_id)
        if now is None or now.hash != plan.before.hash:
            raise ChainNotStopped("The chain has moved on meanwhile: it is not stopped any more. Nothing was changed.")
        anchor, above = plan.anchor, _above(plan.shared)
        to = Cursor(anchor.number, anchor.hash, anchor.time, plan.final_number, plan.before.compared_time)
        balances.take_back(unit, plan.chain_id, above, anchor.number)
        outflows.orphan_above(unit, plan.chain_id, above)
        unmatched.orphan_above(unit, plan.chain_id, above)
        late_pages.take_back(unit, plan.chain_id, anchor.number)
        cursors.forget_all(unit, plan.chain_id)
        cursors.remember(unit, plan.chain_id, plan.headers)
        cursors.move(unit, plan.chain_id, to)
        touched = self._judge.roll_back(unit, above, to.tip)
        self._begin_unread(unit, plan)
        detail = f"from block {plan.before.number} to {anchor.number}; payments taken back: {plan.orphans.payments}"
        audit.record(unit, actor, Action.CHAIN_REANCHORED, livemode=True, subject=str(plan.chain_id), detail=detail)
        return touched

    def _begin_unread(self, unit: WriteUnit, plan: ReanchorPlan) -> None:
        """Let addresses that were never compared begin with the ledger's own sum.

        Their sessions were made since the last processed block. A first reading at the anchor would take what was paid
        in the skipped blocks for money that had always been there.
        """
        since = plan.before.time - WATCHED_AFTER_GRACE
        watched = balances.watched(unit, plan.chain_id, livemode=True, since=since)
        unread = [each.address for each in watched if each.units is None]
        left = outflows.coins(unit, plan.chain_id, unread)
        begun = [
            Balance(address, plan.anchor.number, CoinUnits(max(0, units - left[address])))
            for address, units in credits.coins(unit, plan.chain_id, unread).items()
        ]
        balances.save(unit, plan.chain_id, begun)

    def _known(self, unit: ReadUnit) -> tuple[Cursor | None, dict[int, str]]:
        return cursors.cursor(unit, self._chain_id), cursors.remembered(unit, self._chain_id)

    async def _headers(self, number: int) -> Sequence[Header]:
        """Return the block to go on after and some before it, so that a small reorganisation can be followed."""
        return await self._chain.headers(range(max(0, number - _REMEMBERED_BLOCKS + 1), number + 1))


def _above(shared: int | None) -> int:
    return -1 if shared is None else shared


def _anchor_number(first_block: int | None, head: Head, shared: int | None) -> int:
    if first_block is None:
        return head.number
    if first_block <= _above(shared) or first_block > head.number + 1 or first_block < 1:
        lowest = max(1, _above(shared) + 1)
        raise ChainNotStopped(f"--from takes a block from {lowest} to {head.number + 1}, the chain's next one.")
    return first_block - 1
