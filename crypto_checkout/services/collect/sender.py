"""Send a signed plan, from the first transaction to the last; killed anywhere and started again, it goes on.

Nothing is remembered between runs: the chain knows which transactions are in blocks, and each can be there only once.
Money moved is read from receipts and logs, never from the plan.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.collect import calls
from crypto_checkout.core.collect import plan as plans
from crypto_checkout.core.collect.chain_state import CurrentFees, NotAccepted, SentReceipt
from crypto_checkout.core.collect.plan import Item, Transaction, Way
from crypto_checkout.core.collect.plan_file import SignedPlan, SignedTransaction
from crypto_checkout.core.moments import Clock

OLDEST = timedelta(days=7)
"""The age at which a plan is no longer sent: fees and balances have moved on."""

_AT_ONCE = 16  # nodes keep no more executable transactions of one account
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 12.0
_FEE_PAUSE_SECONDS = 30.0
_LOST_AFTER = 3  # looks at a nonce that is taken and a receipt that isn't there


class ChainToSend(Protocol):
    """The nodes that transactions are sent to; see `chain.evm.collect.sending.Sending`."""

    async def block_time(self, block_hash: str) -> datetime | None:
        """Return the time of a block, None if it isn't on the chain."""

    async def fees(self) -> CurrentFees:
        """Return the current fees."""

    async def nonces(self, addresses: Sequence[Address]) -> dict[Address, int]:
        """Return transaction counts."""

    async def balance(self, address: Address) -> int:
        """Return the coin of an account."""

    async def receipts(self, hashes: Sequence[str]) -> dict[str, SentReceipt]:
        """Return the receipts of the transactions in blocks."""

    async def would_move(self, transaction: Transaction, signed: SignedTransaction) -> int:
        """Return how many items a transaction would move now."""

    async def broadcast(self, signed: SignedTransaction) -> None:
        """Give a transaction to the nodes. Raises NotAccepted."""


class CannotSend(Exception):
    """Nothing more is sent; the message says why and what to do."""


@dataclass(slots=True)
class SentPlan:
    """The outcome of a plan: the receipts of its transactions by hash, and the items moved and not moved.

    Accounts are stuck where one transaction can't be sent, because those after it would wait for it for ever.
    """

    receipts: dict[str, SentReceipt] = field(default_factory=dict)
    stuck: set[Address] = field(default_factory=set)
    moved: list[Item] = field(default_factory=list)
    not_moved: list[Item] = field(default_factory=list)

    @property
    def fee(self) -> int:
        """The fees paid, in wei."""
        return sum(each.fee for each in self.receipts.values())


@dataclass(frozen=True, slots=True)
class _Pair:
    """A transaction with its signed form."""

    transaction: Transaction
    signed: SignedTransaction

    @property
    def hash(self) -> str:
        return self.signed.hash


class PlanSender:
    """Sends signed plans. `report` is called with a sentence for people now and then."""

    def __init__(
        self,
        chain: ChainToSend,
        clock: Clock,
        report: Callable[[str], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._chain = chain
        self._clock = clock
        self._report = report
        self._sleep = sleep

    async def send(self, signed: SignedPlan) -> SentPlan:
        """Send what isn't in a block yet, and wait for all of it.

        Raises:
            CannotSend: The plan is too old or of another chain, its fuel account lacks coin, or a batch would move
                less than planned. What was sent stays sent.
            ProviderFailed: The chain can't be reached.
        """
        plan = signed.plan
        pairs = [_Pair(*each) for each in zip(plans.transactions(plan), signed.transactions, strict=True)]
        sent = SentPlan(await self._chain.receipts([each.hash for each in pairs]))
        if len(sent.receipts) < len(pairs):
            await self._check_age(signed)
            await self._check_fuel(signed, pairs, sent)
        for stage in _stages(plan.way, pairs):
            await self._send_all(signed, [each for each in stage if each.hash not in sent.receipts], sent)
        for each in pairs:
            _sort(each, plan.way, sent)
        return sent

    async def _check_age(self, signed: SignedPlan) -> None:
        block = signed.plan.block
        time = await self._chain.block_time(block.hash)
        if time is None:
            raise CannotSend(
                f"block {block.number} ({block.hash}), at which the plan was made, isn't on this chain: it is another "
                "chain, or was reorganised. Plan anew"
            )
        if self._clock() - time > OLDEST:
            raise CannotSend("the plan is older than 7 days: fees and balances have moved on. Plan anew")

    async def _check_fuel(self, signed: SignedPlan, pairs: Sequence[_Pair], sent: SentPlan) -> None:
        plan = signed.plan
        missing = [each for each in pairs if each.hash not in sent.receipts and each.transaction.index is None]
        needed = sum(each.transaction.cost(plan.fees) + each.transaction.value for each in missing)
        held = await self._chain.balance(plan.fuel.address)
        if held < needed:
            raise CannotSend(
                f"the account that pays for gas, {checksum(plan.fuel.address)}, holds {held} wei, and up to {needed} "
                f"are needed: send it {needed - held} wei more (what isn't used stays there), then run this again"
            )

    async def _send_all(self, signed: SignedPlan, stage: Sequence[_Pair], sent: SentPlan) -> None:
        """Send transactions that don't wait for each other, some at a time, and wait until they are in blocks."""
        for start in range(0, len(stage), _AT_ONCE):
            some = stage[start : start + _AT_ONCE]
            await self._wait_for_fees(signed)
            for each in some:
                await self._send_one(each, sent)
            await self._wait_for([each for each in some if each.transaction.sender not in sent.stuck], sent)

    async def _send_one(self, pair: _Pair, sent: SentPlan) -> None:
        """Send a transaction whose nonce is free, once a dry run showed that it moves what it should."""
        transaction = pair.transaction
        sender = transaction.sender
        if sender in sent.stuck or (await self._chain.nonces([sender]))[sender] > transaction.nonce:
            return
        try:
            if await self._would_move(pair):
                await self._chain.broadcast(pair.signed)
                self._report(f"Sent {pair.hash}.")
                return
            why = "its transfer would fail now"
        except NotAccepted as error:
            why = str(error)
        if transaction.index is None:
            raise CannotSend(f"{pair.hash} can't be sent: {why}")
        sent.stuck.add(sender)
        self._report(f"What index {transaction.index} ({checksum(sender)}) holds can't be moved: {why}.")

    async def _wait_for_fees(self, signed: SignedPlan) -> None:
        fees = signed.plan.fees
        told = False
        while (await self._chain.fees()).base > fees.per_gas:
            if not told:
                self._report("The chain's base fee is above the plan's highest: waiting until it falls.")
                told = True
            await self._check_age(signed)
            await self._sleep(_FEE_PAUSE_SECONDS)

    async def _would_move(self, pair: _Pair) -> bool:
        """Try a batch or a token's transfer; a batch that would move less than planned isn't sent."""
        transaction = pair.transaction
        if not transaction.items or not transaction.data:
            return True
        moved = await self._chain.would_move(transaction, pair.signed)
        if transaction.index is None and moved < len(transaction.items):
            raise CannotSend(
                f"a batch of {len(transaction.items)} amounts would move {moved}: something was collected or frozen "
                "since the plan was made. The batch was not sent; plan anew"
            )
        return moved == len(transaction.items)

    async def _wait_for(self, waiting: Sequence[_Pair], sent: SentPlan) -> None:
        """Wait until each is in a block, or another transaction of its account has taken its nonce."""
        pause = _FIRST_PAUSE_SECONDS
        taken: Counter[str] = Counter()
        while left := [each for each in waiting if each.hash not in sent.receipts and taken[each.hash] < _LOST_AFTER]:
            nonces = await self._chain.nonces(list(dict.fromkeys(each.transaction.sender for each in left)))
            sent.receipts |= await self._chain.receipts([each.hash for each in left])
            for each in left:
                sender = each.transaction.sender
                if each.hash in sent.receipts:
                    continue
                if nonces[sender] > each.transaction.nonce:
                    taken[each.hash] += 1
                elif pause == _LONGEST_PAUSE_SECONDS:
                    await self._chain.broadcast(each.signed)  # nodes drop transactions, and reorgs bring them back
                if taken[each.hash] == _LOST_AFTER:
                    self._report(f"{checksum(sender)} sent another transaction in place of {each.hash}.")
            if any(each.hash not in sent.receipts for each in left):
                await self._sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _stages(way: Way, pairs: Sequence[_Pair]) -> list[list[_Pair]]:
    """Return what is sent together: a deployment before batches, one after the other; funding before transfers."""
    if way is Way.EIP_7702:
        return [[each] for each in pairs]
    return [
        [each for each in pairs if each.transaction.index is None],
        [each for each in pairs if each.transaction.index is not None],
    ]


def _sort(pair: _Pair, way: Way, sent: SentPlan) -> None:
    """Tell the items that a transaction moved from the others, by its receipt."""
    receipt = sent.receipts.get(pair.hash)
    for item in pair.transaction.items:
        token = item.asset.contract or calls.COIN
        is_plain = way is Way.TRANSFERS and item.asset.is_native
        emptied = receipt is not None and receipt.has_succeeded
        moved = emptied and receipt is not None and (is_plain or (item.address, token) in receipt.emptied)
        (sent.moved if moved else sent.not_moved).append(item)
