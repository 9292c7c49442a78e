"""The one-time links for the first password: of each only a digest, and until when it is good."""

from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.store.database import ReadUnit, WriteUnit


def add(unit: WriteUnit, sha256: str, good_until: datetime) -> None:
    """Store a link, and delete those that are over."""
    unit.run("DELETE FROM set_up_links WHERE good_until <= :now", {"now": unit.now_text})
    unit.run(
        "INSERT INTO set_up_links (sha256, good_until) VALUES (:sha256, :good_until)",
        {"sha256": sha256, "good_until": moments.to_text(good_until)},
    )


def is_good(unit: ReadUnit, sha256: str) -> bool:
    """Tell whether there is a link with this digest, within its time."""
    parameters = {"sha256": sha256, "now": unit.now_text}
    return unit.one("SELECT 1 FROM set_up_links WHERE sha256 = :sha256 AND good_until > :now", parameters) is not None


def delete_all(unit: WriteUnit) -> None:
    """Delete all links."""
    unit.run("DELETE FROM set_up_links")
