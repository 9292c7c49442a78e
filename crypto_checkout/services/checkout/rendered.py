"""Sessions as the API shows them, rendered once for each of their states."""

from crypto_checkout.core.checkout.session import Session
from crypto_checkout.core.ledger.assess import Tip
from crypto_checkout.core.ledger.payment import ShownPayments
from crypto_checkout.core.public import render
from crypto_checkout.core.public.types import SessionResource

_MOST_KEPT = 2_000
_FEW_PAYMENTS = 8
_SMALL_BYTES = 6 * 1024


class RenderedSession:
    """A session's resource, which is shared and never changed, and its JSON."""

    __slots__ = ("body", "resource")

    def __init__(self, resource: SessionResource) -> None:
        self.resource = resource
        self.body = render.json_bytes(resource)

    @property
    def is_small(self) -> bool:
        """True if it may be kept in memory: a hundred payments, or long metadata, take as much as fifty others."""
        return len(self.body) <= _SMALL_BYTES and len(self.resource["payments"]) <= _FEW_PAYMENTS


class SessionRenderer:
    """Renders sessions, and keeps what it rendered last of each: a session that is the same looks the same."""

    def __init__(self, public_url: str) -> None:
        self._public_url = public_url
        self._known: dict[str, tuple[tuple[Session, ShownPayments, Tip | None], RenderedSession]] = {}

    def render(self, session: Session, shown: ShownPayments, tip: Tip | None) -> RenderedSession:
        """Render a session with its payments as of a chain's tip, which shows in the payments only."""
        state = (session, shown, tip if shown.newest else None)
        known = self._known.get(session.id)
        if known is not None and known[0] == state:
            return known[1]
        rendered = RenderedSession(render.session(session, shown, tip, self._public_url))
        if rendered.is_small:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            self._known[session.id] = (state, rendered)
        return rendered
