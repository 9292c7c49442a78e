"""The progress of the set-up, read from the existing rows and never stored."""

from dataclasses import dataclass

from crypto_checkout.core.checkout.session import Status
from crypto_checkout.core.owner.audit import Action
from crypto_checkout.store import paging
from crypto_checkout.store.checkout import links, sessions
from crypto_checkout.store.database import ReadUnit
from crypto_checkout.store.owner import api_keys, audit
from crypto_checkout.store.webhooks import endpoints


@dataclass(frozen=True, slots=True)
class Progress:
    """The parts of a mode's set-up that exist; `paid_session_id` names the newest paid session."""

    has_key: bool
    has_link: bool
    has_endpoint: bool
    paid_session_id: str | None


def progress(unit: ReadUnit, livemode: bool) -> Progress:
    """Return the progress of a mode."""
    paid = sessions.listed(unit, livemode, sessions.SessionFilter(status=Status.PAID), paging.Window(1)).items
    return Progress(
        has_key=any(key.livemode == livemode and key.revoked_at is None for key in api_keys.all_keys(unit)),
        has_link=bool(links.listed(unit, livemode, None, paging.Window(1)).items),
        has_endpoint=endpoints.count(unit, livemode) > 0,
        paid_session_id=paid[0].id if paid else None,
    )


def is_wallet_compared(unit: ReadUnit, wallet_id: str) -> bool:
    """Tell whether the owner has confirmed that a wallet's first addresses are those of their wallet program."""
    return audit.has(unit, Action.WALLET_COMPARED, wallet_id)
