"""Dust: transfers worth so little that they are recorded as one sum a block, and announced to nobody.

A contract can send the smallest unit thousands of times in a transaction. The sums include all of it, but each transfer
would also be a row, a line on a page and part of every event.
"""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from hashlib import blake2b
from math import ceil

from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.ledger.payment import Transfer

SHARE_OF_PRICE = 10
"""Dust is worth less than the price divided by this."""

_FINGERPRINT_BYTES = 8


def dust_below(session: Session, floor: Decimal) -> int:
    """Return the units below which a transfer to a session is dust.

    It is worth less than `floor` in the session's currency and at its rate, and less than a tenth of the price: a
    payment of a small price is no dust.
    """
    return min(units_worth(session, floor), session.terms.amount_units // SHARE_OF_PRICE)


def units_worth(session: Session, fiat: Decimal) -> int:
    """Return the smallest number of units that are worth an amount, at a session's rate and in its currency."""
    return ceil(Fraction(fiat) * session.terms.amount_units / Fraction(session.fiat.amount))


def is_dust(transfer: Transfer, below: int) -> bool:
    """Tell whether a transfer is dust; one without a known transaction never is, since a later block may name it."""
    return transfer.units < below and transfer.tx_hash is not None and transfer.provisional_balance is None


def fingerprint(transfer: Transfer) -> str:
    """Return what identifies a transfer within its block, as hexadecimal digits, always as many."""
    parts = (transfer.tx_hash, transfer.kind, transfer.log_index, transfer.sender, transfer.units)
    return blake2b(repr(tuple(map(str, parts))).encode(), digest_size=_FINGERPRINT_BYTES).hexdigest()


def split_fingerprints(text: str) -> frozenset[str]:
    """Return the fingerprints in a text that joins them without anything between."""
    size = 2 * _FINGERPRINT_BYTES
    return frozenset(text[start : start + size] for start in range(0, len(text), size))


def without_repeats(transfers: Sequence[Transfer]) -> dict[str, Transfer]:
    """Return transfers by their fingerprints, each once."""
    return {fingerprint(each): each for each in transfers}
