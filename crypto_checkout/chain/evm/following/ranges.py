"""Ranges of blocks read at once: the logs of given addresses, and fingerprints of their balances at the last block.

Providers limit the blocks of a range, the addresses of a filter and the logs of an answer, and report that in many
ways, so the sizes are learned: they halve when a request is refused, and grow again after a while.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

from crypto_checkout.chain.evm import balances, decoding
from crypto_checkout.chain.evm.decoding import TRANSFER_TOPIC
from crypto_checkout.chain.evm.following import address_texts
from crypto_checkout.chain.evm.following.address_texts import AddressTexts
from crypto_checkout.chain.rpc.answers import Json
from crypto_checkout.chain.rpc.providers import Ask, Call, Refused
from crypto_checkout.core.address import Address
from crypto_checkout.core.collect.calls import COIN
from crypto_checkout.core.collect.contracts import COLLECTED_TOPIC
from crypto_checkout.core.errors import ChainMoved
from crypto_checkout.core.ledger.balance_groups import ExpectedGroup
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.ledger.payment import Transfer
from crypto_checkout.core.ledger.range_reading import RangeReading

MOST_BLOCKS = 512
"""The most blocks in one range, less than a reorg can be deep: the end of the last one is always still known."""

_MOST_ADDRESSES = 960  # with our tokens no more than 1000, which geth takes in one place of a filter
_LEAST_ADDRESSES = 16
_PIECES = 16
_CALLS_TOGETHER = 20
_AGAIN_SECONDS = 120.0
_WRITTEN_AT_ONCE = 2400


@dataclass(slots=True)
class _Size:
    """A learned size, between 1 and `most`; `fixed_until` is when a larger one is tried again."""

    now: int
    most: int
    fixed_until: float = 0.0

    def shrink(self, until: float) -> None:
        self.now, self.fixed_until = max(1, self.now // 2), until

    def grow(self, used: int, now: float) -> None:
        if used >= self.now and now >= self.fixed_until:
            self.now = min(self.most, 2 * self.now)


@dataclass(slots=True)
class _Logs:
    """The transfers of tokens to our addresses, and what these say was collected."""

    transfers: list[Transfer]
    collected: list[Transfer]


class _Addresses:
    """The addresses that a range is read for: those of groups, and others."""

    def __init__(self, groups: Sequence[ExpectedGroup], others: Sequence[Address]) -> None:
        self.groups = groups
        self.texts = [
            *(address_texts.of(group.addresses) for group in groups),
            *(
                AddressTexts(others[place : place + _WRITTEN_AT_ONCE])
                for place in range(0, len(others), _WRITTEN_AT_ONCE)
            ),
        ]

    def __len__(self) -> int:
        return sum(len(each.addresses) for each in self.texts)

    def among(self, found: set[Address | None]) -> set[Address | None]:
        """Return those of some addresses that are among these."""
        return found and found.intersection(chain.from_iterable(each.addresses for each in self.texts))


class Ranges:
    """Reads the ranges of one chain. `clock` is monotonic.

    `is_refused` tells that the last one was refused in every form.
    """

    def __init__(self, tokens: Sequence[Address], clock: Callable[[], float]) -> None:
        self._tokens = list(tokens)
        self._clock = clock
        self._blocks = _Size(64, MOST_BLOCKS)
        self._addresses = _Size(_MOST_ADDRESSES, _MOST_ADDRESSES)
        self.is_refused = False
        self._unfiltered_until = 0.0
        self._apart_until = 0.0

    @property
    def blocks(self) -> int:
        """The recommended size of a range."""
        return min(MOST_BLOCKS, _PIECES * self._blocks.now)

    @property
    def _is_filtered(self) -> bool:
        return self._clock() >= self._unfiltered_until

    async def read(
        self, ask: Ask, start: Header, last: Header, since: int, groups: Sequence[ExpectedGroup],
        others: Sequence[Address],
    ) -> RangeReading:  # fmt: skip
        """Read the blocks after `start` up to `last`, and the logs from block `since` on as far as they cost no call.

        Of `others`, which are in no group, only the logs are read.

        All is asked in one request, so that one node answers: it has to show one of the two blocks after the logs, and
        the fingerprints prove that it has the last one.

        Raises:
            ChainMoved: The last block is another one by now.
            Refused: The provider gives no logs of ranges.

        """
        self.is_refused = False
        first = max(since, last.number - self._blocks.now * -(-(last.number - start.number) // self._blocks.now) + 1)
        first = max(0, min(first, start.number + 1))
        addresses = _Addresses(groups, others)
        await address_texts.write(addresses.texts, with_topics=bool(self._tokens))
        if self._clock() >= self._apart_until and len(groups) <= _CALLS_TOGETHER:
            found = await self._together(ask, start, last, first, addresses)
            if found is not None:
                return found
        size = self._blocks.now
        logs, shown = await self._apart(ask, start, last, first, addresses)
        different = await _mismatches(ask, last, groups) if groups else []
        if size == self._blocks.now:
            self._apart_until = self._clock() + _AGAIN_SECONDS
        return _reading(start, last, logs, shown, [group for group in groups if group not in different])

    async def _together(
        self, ask: Ask, start: Header, last: Header, first: int, addresses: "_Addresses"
    ) -> RangeReading | None:
        """Ask for everything at once; return None if the provider refuses a part of it."""
        logs = [*islice(self._log_calls(first, last.number, addresses), _PIECES + 1)]
        if len(logs) > _PIECES:
            return None
        groups = addresses.groups
        shown = last.number if start.number + 1 == last.number else start.number
        prints = [balances.fingerprint_call(group.addresses, {"blockHash": last.hash}) for group in groups]
        try:
            answers = await ask([*logs, _header_call(shown), *prints])
        except Refused:
            return None
        found = self._decoded(answers[: len(logs)], first, last, addresses)
        actual = [balances.fingerprint(answer) for answer in answers[len(logs) + 1 :]]
        self._grow(last.number - first + 1, len(addresses))
        matching = [group for group, each in zip(groups, actual, strict=True) if each == group.fingerprint]
        return _reading(start, last, found, [decoding.header(answers[len(logs)], shown)], matching)

    async def _apart(
        self, ask: Ask, start: Header, last: Header, first: int, addresses: "_Addresses"
    ) -> tuple[_Logs, list[Header]]:
        """Return the logs, asked for in pieces that the provider takes, and both blocks as it shows them afterwards."""
        found = _Logs([], [])
        while first <= last.number:
            end = min(last.number, first + _PIECES * self._blocks.now - 1)
            headers = [_header_call(start.number), _header_call(last.number)] if end == last.number else []
            try:
                answers = await ask([*self._log_calls(first, end, addresses), *headers])
            except Refused as error:
                self._shrink(error, end - first + 1, len(addresses))
                continue
            logs = answers[: len(answers) - len(headers)]
            decoded = self._decoded(logs, first, replace(last, number=end), addresses)
            found.transfers += decoded.transfers
            found.collected += decoded.collected
            self._grow(end - first + 1, len(addresses))
            first = end + 1
        numbers = (start.number, last.number)
        return found, [decoding.header(each, number) for each, number in zip(answers[-2:], numbers, strict=True)]

    def _log_calls(self, first: int, last: int, addresses: "_Addresses") -> Iterator[Call]:
        """Yield the calls for the logs that concern these addresses, in pieces of the learned sizes.

        One filter asks for the transfers of our tokens to them, and for what they say was collected: the third topic
        is the receiver of the one, and the token of the other. So it finds what tokens burn as well, which is little.
        """
        if not len(addresses):
            return
        for each in self._filters(addresses):
            for number in range(first, last + 1, self._blocks.now):
                end = min(last, number + self._blocks.now - 1)
                yield ("eth_getLogs", Json(f'[{{{each},"fromBlock":"{hex(number)}","toBlock":"{hex(end)}"}}]'))

    def _filters(self, addresses: "_Addresses") -> Iterator[str]:
        """Yield the filters of emitters and topics, as members of a JSON object."""
        tokens = address_texts.of(tuple(self._tokens))
        if not self._is_filtered:
            if self._tokens:
                yield f'"address":[{tokens.strings[:-1]}],"topics":[["{TRANSFER_TOPIC}"]]'
            yield f'"topics":[["{COLLECTED_TOPIC}"]]'
            return
        for strings, topics in address_texts.parts(
            addresses.texts, self._addresses.now, with_topics=bool(self._tokens)
        ):
            events = f'"{TRANSFER_TOPIC}","{COLLECTED_TOPIC}"' if self._tokens else f'"{COLLECTED_TOPIC}"'
            third = f'{topics}{tokens.topics}"{_topic(COIN)}"'
            yield f'"address":[{(tokens.strings + strings)[:-1]}],"topics":[[{events}],null,[{third}]]'

    def _decoded(self, answers: Sequence[Any], first: int, last: Header, addresses: "_Addresses") -> _Logs:
        found = _Logs([], [])
        for header, logs in decoding.by_block(answers, first, last).items():
            found.transfers += decoding.token_transfers(logs, header, self._tokens, skip=lambda _: None)
            found.collected += decoding.collected(logs, header)
        ours = addresses.among({*(each.to for each in found.transfers), *(each.sender for each in found.collected)})
        found.transfers = [each for each in found.transfers if each.to in ours]
        found.collected = [
            each for each in found.collected if each.sender in ours and each.contract in {None, *self._tokens}
        ]
        return found

    def _shrink(self, error: Refused, blocks: int, addresses: int) -> None:
        """Ask for less next time; raise the error if there is no less."""
        until = self._clock() + _AGAIN_SECONDS
        if min(blocks, self._blocks.now) > 1:
            self._blocks.now = min(blocks, self._blocks.now)
            self._blocks.shrink(until)
        elif self._is_filtered and min(addresses, self._addresses.now) > _LEAST_ADDRESSES:
            self._addresses.now = min(addresses, self._addresses.now)
            self._addresses.shrink(until)
        elif self._is_filtered:
            self._unfiltered_until = until
        else:
            self.is_refused = True
            raise error

    def _grow(self, blocks: int, addresses: int) -> None:
        now = self._clock()
        self._blocks.grow(blocks, now)
        self._addresses.grow(addresses, now)


async def _mismatches(ask: Ask, last: Header, groups: Sequence[ExpectedGroup]) -> Sequence[ExpectedGroup]:
    """Return the groups that aren't known to match: where fingerprints are refused, all."""
    try:
        return await balances.mismatches(ask, last, groups)
    except Refused:
        return groups


def _reading(
    start: Header, last: Header, logs: _Logs, shown: Sequence[Header], matching: Sequence[ExpectedGroup]
) -> RangeReading:
    """Raises ChainMoved if a node shows another last block after the logs than before."""
    if any(header.number == last.number and header.hash != last.hash for header in shown):
        raise ChainMoved(f"block {last.number} is another one by now")
    links = [*(header for header in shown if header.number == start.number), last]
    return RangeReading(last, tuple(links), tuple(logs.transfers), matching, tuple(logs.collected))


def _topic(address: Address) -> str:
    return "0x" + address[2:].rjust(64, "0")


def _header_call(number: int) -> Call:
    return ("eth_getBlockByNumber", [hex(number), False])
