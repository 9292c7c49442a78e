"""Find the newest block that the ledger and a node share; without one the chain is stopped."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from crypto_checkout.core.ledger.follow import Head, Header, common_ancestor
from crypto_checkout.store.ledger.cursors import KEPT_BLOCKS, Cursor

_HEADERS_AT_ONCE = 64


class TooDeepReorg(Exception):
    """The chain shares no remembered block with the ledger: going on could count money twice, or never."""


class HeaderReader(Protocol):
    """A chain whose headers can be read; `chain.evm.chain` and `chain.sandbox.chain` implement it."""

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        """Return the headers at these heights."""


async def newest_shared(chain: HeaderReader, kept: Mapping[int, str], head_number: int) -> int | None:
    """Return the newest of these blocks that is still on the chain, None if none is. The newest are asked for first."""
    numbers = sorted((number for number in kept if number <= head_number), reverse=True)
    for start in range(0, len(numbers), _HEADERS_AT_ONCE):
        headers = await chain.headers(numbers[start : start + _HEADERS_AT_ONCE])
        shared = common_ancestor(kept, {header.number: header.hash for header in headers})
        if shared is not None:
            return shared
    return None


async def newest_of_one_chain(chain: HeaderReader, kept: Mapping[int, str], head_number: int) -> int | None:
    """Return the same as `newest_shared`, by bisection: on one chain, all blocks before a shared one are shared."""
    numbers = sorted(number for number in kept if number <= head_number)
    low, high = 0, len(numbers)
    while low < high:
        middle = (low + high) // 2
        (header,) = await chain.headers([numbers[middle]])
        if header.hash == kept[numbers[middle]]:
            low = middle + 1
        else:
            high = middle
    return numbers[low - 1] if low else None


async def rollback_target(chain: HeaderReader, chain_id: int, kept: Mapping[int, str], head: Head) -> int:
    """Return the newest remembered block that is still on the chain. Raises TooDeepReorg if none is."""
    shared = await newest_shared(chain, kept, head.number)
    if shared is None:
        raise TooDeepReorg(
            f"None of the last {len(kept)} processed blocks is on the chain any more. Nothing was changed. Make sure "
            "that rpc_urls lead to the right chain and to a synchronised node. If they do, the chain began anew: "
            f"`crypto-checkout chains reanchor {chain_id}` goes on from its present head."
        )
    return shared


async def check_lower_head(
    chain: HeaderReader, chain_id: int, kept: Mapping[int, str], cursor: Cursor, head: Head
) -> None:
    """Raise TooDeepReorg if a node with fewer blocks than were processed shows another chain, or may do so.

    A chain that began anew has a low head whose time is later than that of the last processed block. A node that lags,
    even on a fork, shares a remembered block with the ledger, unless it is too far behind to tell.
    """
    (header,) = await chain.headers([head.number])
    if kept.get(head.number) == header.hash:
        return
    is_far_behind = cursor.number - head.number > KEPT_BLOCKS
    if head.number in kept or header.time > cursor.time or is_far_behind:
        await rollback_target(chain, chain_id, kept, head)
