"""A digest of rows that is the same on both engines, whatever the order in which they come.

It is the sum of the SHA-256 of each row, so that it can be continued, and told for a part of a table. A row is what
Python shows of its values: texts, integers, bytes or None, in the order of the columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

_MODULUS = 1 << 256
_NUL = "\\x00"


@dataclass(slots=True)
class RowDigest:
    """The number of rows, and the sum of their hashes."""

    rows: int = 0
    total: int = 0

    def add(self, rows: Sequence[tuple[Any, ...]]) -> Sequence[tuple[Any, ...]]:
        """Add rows, and return them as both engines can hold them: the character NUL is U+FFFD."""
        fitting, total = list(rows), 0
        for place, row in enumerate(rows):
            shown = repr(row)
            if _NUL in shown:
                fitting[place] = tuple(map(_fitting, row))
                shown = repr(fitting[place])
            total += int.from_bytes(sha256(shown.encode()).digest())
        self.rows += len(fitting)
        self.total = (self.total + total) % _MODULUS
        return fitting

    @property
    def text(self) -> str:
        """The sum, in hexadecimal."""
        return f"{self.total:064x}"


def _fitting(value: Any) -> Any:
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value
