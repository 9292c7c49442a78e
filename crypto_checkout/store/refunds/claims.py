"""The claims of payers to refunds, and the codes that were mailed to prove them."""

from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.address import Address
from crypto_checkout.core.refunds.claims import Claim
from crypto_checkout.core.refunds.refund import DestinationProof
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.table import Table

_CLAIMS = Table("refund_claims", Claim)
_INSERT = f"{_CLAIMS.insert} ON CONFLICT (refund_id, destination, proof) DO NOTHING"


@dataclass(frozen=True, slots=True)
class MailedCode:
    """A code that was mailed, as its SHA-256; `tries` is the number of wrong ones since."""

    seq: int
    code_sha256: str
    tries: int


def insert(unit: WriteUnit, claim: Claim) -> bool:
    """Store a claim; return False, having stored nothing, for one that was made before."""
    return unit.run(_INSERT, _CLAIMS.values(claim)) > 0


def of_refund(unit: ReadUnit, refund_id: str) -> list[Claim]:
    """Return the claims to a refund, oldest first."""
    return _CLAIMS.all(unit, "WHERE refund_id = :refund_id ORDER BY seq", {"refund_id": refund_id})


def count(unit: ReadUnit, session_id: str, proof: DestinationProof) -> int:
    """Return the number of claims of a session with a kind of proof."""
    row = unit.one(
        "SELECT COUNT(*) AS found FROM refund_claims WHERE session_id = :session_id AND proof = :proof",
        {"session_id": session_id, "proof": proof},
    )
    assert row is not None, "COUNT always returns a row"
    return int(row["found"])


def insert_code(unit: WriteUnit, refund_id: str, session_id: str, destination: Address, code_sha256: str) -> None:
    """Store a code that is to be mailed."""
    unit.run(
        """
        INSERT INTO refund_codes (refund_id, session_id, destination, code_sha256, sent_at)
        VALUES (:refund_id, :session_id, :destination, :code_sha256, :sent_at)
        """,
        {
            "refund_id": refund_id,
            "session_id": session_id,
            "destination": destination,
            "code_sha256": code_sha256,
            "sent_at": unit.now_text,
        },
    )


def count_codes(unit: ReadUnit, session_id: str, since: datetime) -> int:
    """Return the number of codes mailed for a session since a moment."""
    row = unit.one(
        "SELECT COUNT(*) AS found FROM refund_codes WHERE session_id = :session_id AND sent_at > :since",
        {"session_id": session_id, "since": moments.to_text(since)},
    )
    assert row is not None, "COUNT always returns a row"
    return int(row["found"])


def newest_code(
    unit: ReadUnit, session_id: str, refund_id: str, destination: Address, since: datetime
) -> MailedCode | None:
    """Return the last code mailed for a refund to an address since a moment; None without one."""
    row = unit.one(
        """
        SELECT seq, code_sha256, tries FROM refund_codes
        WHERE session_id = :session_id AND sent_at > :since AND refund_id = :refund_id AND destination = :destination
        ORDER BY sent_at DESC, seq DESC
        LIMIT 1
        """,
        {
            "session_id": session_id,
            "refund_id": refund_id,
            "destination": destination,
            "since": moments.to_text(since),
        },
    )
    return None if row is None else MailedCode(row["seq"], row["code_sha256"], row["tries"])


def note_wrong_code(unit: WriteUnit, seq: int) -> None:
    """Count a wrong try of a code."""
    unit.run("UPDATE refund_codes SET tries = tries + 1 WHERE seq = :seq", {"seq": seq})


def use_up(unit: WriteUnit, seq: int) -> None:
    """Make a code of no further use."""
    unit.run("UPDATE refund_codes SET code_sha256 = '' WHERE seq = :seq", {"seq": seq})
