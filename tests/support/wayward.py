"""The sandbox chain behind providers that fail, lag and lie, and that changes while it is read."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

from crypto_checkout.chain.sandbox.chain import SandboxChain, _collected
from crypto_checkout.chain.sandbox.view import SandboxView
from crypto_checkout.core.address import Address
from crypto_checkout.core.diagnosis.explain_transaction import ObservedTransaction
from crypto_checkout.core.errors import ChainMoved, ProviderFailed, StateUnavailable
from crypto_checkout.core.ledger.balance_groups import ExpectedGroup, fingerprint
from crypto_checkout.core.ledger.follow import Block, Head, Header
from crypto_checkout.core.ledger.payment import Transfer, TransferKind
from crypto_checkout.core.ledger.range_reading import RangeReading
from crypto_checkout.core.sandbox import SandboxTransaction

T = TypeVar("T")

FAKE = Address("0x" + "fa" * 20)
OWNER = Address("0x" + "0b" * 20)
"""The merchant's own account, which pays refunds."""

FAULTS = {
    "head": ("fail", "kill", "lag", "ahead", "ahead", "ahead", "reorg", "mine"),
    "headers": ("fail", "kill", "reorg", "same height"),
    "blocks": ("fail", "kill", "lie", "reorg", "same height", "mine"),
    "read_range": ("fail", "kill", "reorg", "same height", "mine", "leave out", "leave out", "reorg halfway"),
    "nonces": ("fail", "kill", "old", "reorg"),
    "collected": ("fail", "kill", "reorg", "same height"),
    "succeeded": ("fail", "kill", "moved", "reorg"),
    "mismatches": ("fail", "kill", "old", "reorg", "same height"),
    "balances": ("fail", "kill", "old", "moved", "reorg", "same height"),
    "agreed_balances": ("fail", "kill", "old", "moved", "reorg", "same height"),
    "internal_transfers": ("fail", "kill", "moved", "reorg"),
    "transaction": ("fail", "kill", "reorg", "same height", "mine", "turn before", "turn after"),
    "tokens_sent": ("fail", "kill", "reorg", "same height", "turn before", "turn after"),
    "refund blocks": ("fail", "reorg", "turn before", "turn after"),
    "owner's nonces": ("fail", "kill", "reorg", "turn before", "turn after"),
}
"""What can go wrong with each question, and happen before it is answered."""


class Killed(Exception):
    """The process ends here, whatever it was doing."""


class Wayward(SandboxView):
    """The sandbox chain with providers that fail, and which changes while it is read.

    One fault is `ahead`: while the node shows a block as its newest, it answers for it with the next one's state. If
    that is one with a collection, it hides what came before: that is found in the next turn, and dated later
    (`has_hidden`). Another is that a node behind a load balancer lags, and leaves out the logs of the newest blocks
    (`has_left_out`). While refunds are looked at, the watcher may have a turn (`meanwhile`).
    """

    made: ClassVar[Counter[str]] = Counter()

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.chance = random.Random(0)
        self.faults = 0.0
        self.forgets = False
        self.reads_ranges = False
        self.batch_blocks, self.batches_ahead = 3, 2
        self.has_left_out = False
        self.has_hidden = False
        self.is_ahead_next = False
        self.is_ahead_at: int | None = None
        self.befall: Callable[[str], None] = lambda _: None
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    def happen(self, call: str) -> str:
        """Let something happen before a question is answered."""
        fault = self.chance.choice(FAULTS[call]) if self.chance.random() < self.faults else "none"
        self.made[f"{call}: {fault}"] += 1
        if fault == "fail":
            raise ProviderFailed("timed out half-way")
        if fault == "kill":
            raise Killed
        if fault == "moved":
            raise ChainMoved("another block by now")
        self.befall(fault)
        return fault

    async def amid(self, call: str, answer: Callable[[], Awaitable[T]]) -> T:
        """Let something happen before or after a question of the refunds' loop, which the watcher runs beside."""
        fault = self.happen(call)
        if fault == "turn before":
            await self.let_the_watcher_have_a_turn()
        found = await answer()
        if fault == "turn after":
            await self.let_the_watcher_have_a_turn()
        return found

    async def let_the_watcher_have_a_turn(self) -> None:
        turn, self.meanwhile = self.meanwhile, None
        if turn is not None:
            await turn()
            self.meanwhile = turn

    async def transaction(self, tx_hash: str) -> ObservedTransaction | None:
        """Answer by a provider that may lag, and not know the transaction yet."""
        is_behind = self.chance.random() < self.faults / 10

        async def answer() -> ObservedTransaction | None:
            return None if is_behind else await super(Wayward, self).transaction(tx_hash)

        return await self.amid("transaction", answer)

    async def tokens_sent(
        self, first: int, last: Header, addresses: Sequence[Address], tokens: Sequence[Address] | None = None
    ) -> list[Transfer]:
        async def answer() -> list[Transfer]:
            return await super(Wayward, self).tokens_sent(first, last, addresses, tokens)

        return await self.amid("tokens_sent", answer)

    async def head(self) -> Head:
        fault = "ahead" if self.is_ahead_next else self.happen("head")
        self.is_ahead_next = False
        found = await super().head()
        behind = {"lag": self.chance.randrange(1, 5), "ahead": 1}.get(fault, 0)
        newest = max(0, found.number - behind)
        self.is_ahead_at = newest if fault == "ahead" else None
        return Head(newest, header=self._header(newest))

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        self.happen("headers")
        return await super().headers(numbers)

    async def blocks(self, numbers: Sequence[int]) -> list[Block]:
        if self.meanwhile is not None:  # asked for refunds
            return await self.amid("refund blocks", lambda: SandboxChain.blocks(self, numbers))
        fault = self.happen("blocks")
        found = [
            Block(h, _of(self.transactions_in(h.number), h), collected=_collected(self.transactions_in(h.number), h))
            for h in await super().headers(numbers)
        ]
        if fault == "lie":
            place = self.chance.randrange(len(found))
            header = found[place].header
            false = "0x" + self.chance.randbytes(32).hex()
            lied = self.chance.choice([replace(header, hash=false), replace(header, parent_hash=false)])
            found[place] = replace(found[place], header=lied)
        return found

    async def read_range(
        self, start: Header, last: Header, since: int, groups: Sequence[ExpectedGroup], others: Sequence[Address]
    ) -> RangeReading:
        addresses = {address for group in groups for address in group.addresses}.union(others)
        fault = self.happen("read_range")
        (shown,) = await super().headers([start.number])
        numbers = range(max(0, min(since, start.number + 1)), last.number + 1)
        if numbers[-1] > self.number:
            raise ProviderFailed("block range extends beyond the head")
        if fault == "reorg halfway":
            self.befall("reorg")
        logs = [t for n in numbers for t in _of(self.transactions_in(n), self._header(n)) if t.contract]
        left = [t for n in numbers for t in _collected(self.transactions_in(n), self._header(n))]
        if fault == "leave out":
            first = last.number - self.chance.randrange(4)
            self.has_left_out |= any(each.block_number >= first for each in (*logs, *left))
            logs, left = ([each for each in some if each.block_number < first] for some in (logs, left))
        different = await self.mismatches(last, groups)
        matching = [group for group in groups if group not in different]
        found = [replace(each, block_time=last.time) for each in logs if each.to in addresses]
        collected = [replace(each, block_time=last.time) for each in left if each.sender in addresses]
        return RangeReading(last, (shown, last), tuple(found), matching, tuple(collected))

    async def collected(self, headers: Sequence[Header]) -> list[Transfer]:
        self.happen("collected")
        return await super().collected(headers)

    async def nonces(self, header: Header, addresses: Any) -> dict[Address, int]:
        if addresses == [OWNER]:
            return await self.amid("owner's nonces", lambda: self.sent_by_owner(header))
        fault = self.happen("nonces")
        if fault == "old" and self.forgets:
            raise StateUnavailable("missing trie node")
        return await super().nonces(header, addresses)

    async def sent_by_owner(self, header: Header) -> dict[Address, int]:
        """Return how many transactions the owner's account sent, like that of any account with a key."""
        sent = self._transactions.by_sender.get(OWNER, ())
        own = {each.hash for each in sent if each.kind is not TransferKind.INTERNAL}
        numbers = {each.hash: each.block_number for each in sent}
        return {OWNER: sum(numbers[tx_hash] <= header.number for tx_hash in own)}

    async def succeeded(self, transfers: Sequence[Transfer]) -> list[Transfer]:
        if transfers:
            self.happen("succeeded")
        return list(transfers)

    async def balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        fault = self.happen("balances")
        if fault == "old" and self.forgets:
            raise StateUnavailable("missing trie node")
        return await super().balances(self.state_of(header), addresses)

    async def agreed_balances(self, header: Header, addresses: Sequence[Address]) -> dict[Address, int]:
        fault = self.happen("agreed_balances") if addresses else "none"
        if fault == "old" and self.forgets:
            raise StateUnavailable("missing trie node")
        return await super().agreed_balances(self.state_of(header), addresses)

    async def mismatches(self, header: Header, groups: Sequence[ExpectedGroup]) -> list[ExpectedGroup]:
        # A node that lacks the state, or takes no such calls, has all read one by one.
        fault = self.happen("mismatches")
        asked = self.state_of(header)
        return [
            group
            for group in groups
            if fault == "old"
            or fingerprint([*(await SandboxChain.balances(self, asked, group.addresses)).values()]) != group.fingerprint
        ]

    def state_of(self, header: Header) -> Header:
        """Return the block whose state a question about this one is answered with."""
        is_ahead = header.number == self.is_ahead_at and self._hash(header.number) == header.hash
        if not is_ahead or header.number >= self.number:
            return header
        self.has_hidden |= any(each.sender not in {None, OWNER} for each in self.transactions_in(header.number + 1))
        return self._header(header.number + 1)

    async def internal_transfers(self, header: Header, addresses: Any) -> list[Transfer]:
        self.happen("internal_transfers")
        return await super().internal_transfers(header, addresses)


def _of(transactions: Sequence[SandboxTransaction], header: Header) -> tuple[Transfer, ...]:
    return tuple(
        Transfer(
            each.to, each.sender or FAKE, each.units, each.kind, each.contract, each.hash,
            each.place if each.kind is TransferKind.TOKEN else None, header.number, header.hash, header.time,
        )
        for each in transactions
        if each.kind is not TransferKind.INTERNAL
    )  # fmt: skip
