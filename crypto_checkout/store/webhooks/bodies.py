"""Pack the bodies of events into an eighth to a third of their bytes, and unpack them to what they were.

Packed bytes are a zlib stream (RFC 1950) with a preset dictionary: text that bodies have in common, which zlib refers
back to from the first byte on. The stream names its dictionary by the dictionary's checksum and ends with one of the
body, so any zlib can unpack it, and a damaged one doesn't pass for another body.

The dictionaries are the files `bodies_N.txt`, made of the bodies of one event of each kind, the commonest last. A file
that was published never changes and stays for good: databases hold what was packed with it. Once bodies have changed so
much that they pack badly, make the next file of today's and append its number below: new bodies are packed with the
last one.
"""

import zlib
from collections.abc import Mapping
from functools import cache
from importlib import resources

from crypto_checkout.core.errors import DatabaseDamaged
from crypto_checkout.store.units import Row

DICTIONARIES = (1,)
"""The numbers of the dictionaries, oldest first."""

_LEVEL = 6
_LONGEST_BODY = 16 * 1024 * 1024
"""Of a body in bytes, many times what any event has: a few packed kilobytes could unfold to gigabytes."""
_CHECKSUM = slice(2, 6)
"""The place of the dictionary's checksum in a stream (RFC 1950, section 2.2)."""


def pack(body: str) -> bytes:
    """Pack a body."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS, zdict=dictionary(DICTIONARIES[-1]))
    return packer.compress(body.encode()) + packer.flush()


def unpack(packed: bytes) -> str:
    """Return the body that was packed.

    Raises:
        DatabaseDamaged: These bytes are no whole stream of `pack`, or name a dictionary that this version lacks.

    """
    known = _by_checksum().get(packed[_CHECKSUM])
    if known is None:
        raise DatabaseDamaged("the body of an event can't be unpacked: it names no dictionary of this version")
    unpacker = zlib.decompressobj(zdict=known)
    try:
        body = unpacker.decompress(packed, _LONGEST_BODY)
        is_whole = unpacker.eof and not unpacker.unused_data
        text = body.decode()
    except (zlib.error, UnicodeDecodeError) as error:
        raise DatabaseDamaged(f"the body of an event can't be unpacked: {error}") from error
    if not is_whole:
        raise DatabaseDamaged("the body of an event can't be unpacked: its end is missing")
    return text


def read(row: Row) -> str:
    """Return the body of an event from its columns `body` and `packed`."""
    return str(row["body"]) if row["packed"] is None else unpack(row["packed"])


@cache
def dictionary(number: int) -> bytes:
    """Return a dictionary."""
    return resources.files(__package__).joinpath(f"bodies_{number}.txt").read_bytes()


@cache
def _by_checksum() -> Mapping[bytes, bytes]:
    texts = [dictionary(number) for number in DICTIONARIES]
    return {zlib.adler32(text).to_bytes(4, "big"): text for text in texts}
