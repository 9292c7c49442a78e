"""A payer's claim: an address for a refund, with the proof that it is the payer's. Several may contradict each other.

Claims are stored side by side; `best` is the one that a refund shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.checkout.session import Session, Status
from crypto_checkout.core.ledger.dust import SHARE_OF_PRICE
from crypto_checkout.core.money import format_units
from crypto_checkout.core.refunds.refund import DestinationProof

MOST_CLAIMS = 5
"""The most claims of a session with each kind of proof: a stranger who knows the link can't use up the payer's."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim as stored; `signer` is the account whose signature proves it, None without one."""

    id: str
    refund_id: str
    session_id: str
    destination: Address
    proof: DestinationProof
    signer: Address | None
    created_at: datetime


def message(session_id: str, asset: Asset, units: int, destination: str, public_url: str) -> str:
    """Return the text that the paying account signs (EIP-191), the same whoever asks.

    It names all that matters, so a signature is of no use for another payment, amount, chain, shop or address.
    """
    return (
        f"Refund of {format_units(units, asset.decimals)} {asset.symbol} on chain {asset.chain_id}\n"
        f"for payment {session_id}\n"
        f"at {public_url}\n"
        f"to {destination.lower()}\n\n"
        "Signing costs nothing and moves no money."
    )


def best(claims: Sequence[Claim]) -> Claim | None:
    """Return the claim with the strongest proof; None without any.

    Of several with the same proof the last one counts where each proves the same person: who signs, or reads the
    customer's mail, may correct the address. Of claims that prove nothing the first one does.
    """
    if not claims:
        return None
    rank = max(each.proof.rank for each in claims)
    strongest = [each for each in claims if each.proof.rank == rank]
    return strongest[0] if strongest[0].proof is DestinationProof.NONE else strongest[-1]


def claimable_units(session: Session, confirmed_units: int, now: datetime) -> int:
    """Return the amount in the session's own asset that its payer may ask back, refunds not subtracted.

    That is what is too much, what isn't enough once the time is over, and what came too late to count. What the
    merchant has accepted is the merchant's; dust is not worth a request.
    """
    if session.accepted_units is not None:
        return 0
    match session.status:
        case Status.OVERPAID:
            units = confirmed_units - session.terms.amount_units
        case Status.UNDERPAID if now <= session.terms.expires_at:
            units = 0  # the rest may still come
        case Status.UNDERPAID | Status.EXPIRED | Status.FAILED:
            units = confirmed_units
        case Status.PAID | Status.PAID_LATE:
            units = min(session.sums.late_units, confirmed_units)
        case _:
            units = 0
    return units if units * SHARE_OF_PRICE >= session.terms.amount_units else 0
