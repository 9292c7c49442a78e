"""Lists of addresses as the calls for thousands of them need them, written once for each list.

The same addresses are asked for at every block; only a few come and go between two. Each text has the same width for
each address, so that a part of it can be cut out.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from crypto_checkout.core.address import Address

_MOST_LISTS = 256
_ADDRESS_WIDTH = len('"0x",') + 40
_TOPIC_WIDTH = len('"0x",') + 64


@dataclass(frozen=True, eq=False)
class AddressTexts:
    """The texts of a list of addresses."""

    addresses: Sequence[Address]

    @property
    def is_written(self) -> bool:
        """False before the first use of `strings`."""
        return "strings" in self.__dict__

    @cached_property
    def digits(self) -> str:
        """All digits, 40 for each address."""
        return "".join([each[2:] for each in self.addresses])

    @cached_property
    def strings(self) -> str:
        """JSON strings, each with a comma behind it."""
        return "".join([f'"{each}",' for each in self.addresses])

    @cached_property
    def topics(self) -> str:
        """JSON strings of 32 bytes, as a log has addresses among its topics, each with a comma behind it."""
        return "".join([f'"0x000000000000000000000000{each[2:]}",' for each in self.addresses])


@lru_cache(maxsize=_MOST_LISTS)
def of(addresses: tuple[Address, ...]) -> AddressTexts:
    """Return the texts of a list of addresses."""
    return AddressTexts(addresses)


async def write(lists: Sequence[AddressTexts], *, with_topics: bool) -> None:
    """Write what isn't written yet, one list at a time: all at once would keep others waiting."""
    for each in lists:
        if not each.is_written:
            _ = each.strings, with_topics and each.topics
            await asyncio.sleep(0)


def parts(lists: Sequence[AddressTexts], size: int, *, with_topics: bool) -> Iterator[tuple[str, str]]:
    """Cut several lists, taken as one, into parts of so many addresses; yield the `strings` and `topics` of each."""
    strings = "".join([each.strings for each in lists])
    topics = "".join([each.topics for each in lists]) if with_topics else ""
    for place in range(0, len(strings) // _ADDRESS_WIDTH, size):
        yield (
            strings[place * _ADDRESS_WIDTH : (place + size) * _ADDRESS_WIDTH],
            topics[place * _TOPIC_WIDTH : (place + size) * _TOPIC_WIDTH],
        )
