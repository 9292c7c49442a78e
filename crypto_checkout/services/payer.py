"""The use cases of the payer's pages: view and answer a session, visit a link, pay with test money. An id is enough."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from crypto_checkout.core.assets import Choice
from crypto_checkout.core.checkout.link import Link, LinkSales
from crypto_checkout.core.checkout.network_costs import NetworkCost
from crypto_checkout.core.errors import LinkInactive, ResourceNotFound
from crypto_checkout.core.money import Fiat
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.core.sandbox import Scenario
from crypto_checkout.services.checkout.answers import PayerAnswers
from crypto_checkout.services.checkout.asset_choice import AssetChoices
from crypto_checkout.services.checkout.links import Links
from crypto_checkout.services.checkout.network_costs import NetworkCosts
from crypto_checkout.services.checkout.rendered import RenderedSession
from crypto_checkout.services.checkout.session_reader import Receipts, SessionReader
from crypto_checkout.services.checkout.sessions import SessionRequest, Sessions
from crypto_checkout.services.ledger.health import ChainVisibility
from crypto_checkout.services.sandbox.relay import AnyControls


@dataclass(frozen=True, slots=True)
class PayerView:
    """A session as its payer sees it; `chain_visible` while payments on its chain are being noticed."""

    receipts: Receipts
    chain_visible: bool

    @property
    def rendered(self) -> RenderedSession:
        """The session with its JSON."""
        return self.receipts.rendered

    @property
    def session(self) -> SessionResource:
        """The session's resource."""
        return self.rendered.resource

    @property
    def taken_back(self) -> bool:
        """True where the chain took back all of the session's payments."""
        return bool(self.receipts.taken_back)


class Payers:
    """The sessions and links of both modes, as payers may see them; `sandbox` is None while test mode is off."""

    def __init__(
        self,
        sessions: Sessions,
        reader: SessionReader,
        links: Links,
        sandbox: AnyControls | None,
        asset_choices: AssetChoices,
        answers: PayerAnswers,
        visibility: ChainVisibility,
        network_costs: NetworkCosts,
    ) -> None:
        self.asset_choices = asset_choices
        self.answers = answers
        self._sessions = sessions
        self._reader = reader
        self._links = links
        self._sandbox = sandbox
        self._visibility = visibility
        self._network_costs = network_costs

    async def view(self, session_id: str) -> PayerView:
        """Return a session of either mode. Raises ResourceNotFound."""
        receipts = await self._reader.for_payer(session_id)
        return PayerView(receipts, self.sees(receipts.rendered.resource["chainId"]))

    def sees(self, chain_id: int) -> bool:
        """Tell whether payments on a chain are being noticed now."""
        return self._visibility.sees(chain_id)

    async def link_of(self, session: SessionResource) -> Link | None:
        """Return the link that a session came from, as it is now; None for a session without one, or a deleted link."""
        link_id = session["linkId"]
        return None if link_id is None else await self._links.find(link_id, livemode=session["livemode"])

    async def link(self, slug: str) -> Link | None:
        """Return the link behind a public URL, active or not, without making a session."""
        return await self._links.by_slug(slug)

    async def visit_link(self, link: Link, session_id: str | None, admit: Callable[[str], None]) -> SessionResource:
        """Return this visitor's session while it is open, or make one.

        `admit` is called with the link's id before a session is made, and may raise. Raises as
        `services.checkout.sessions` does.
        """
        if not link.active:
            raise LinkInactive(f"Payment link {link.id} is switched off.")
        ongoing = await self.ongoing(link, session_id)
        if ongoing is not None:
            return ongoing
        admit(link.id)
        return await self._sessions.create(link.livemode, SessionRequest(link_id=link.id))

    async def ongoing(self, link: Link, session_id: str | None) -> SessionResource | None:
        """Return a visitor's session while it can be paid on the link's present terms."""
        return None if session_id is None else await self._sessions.ongoing(session_id, link)

    async def order(
        self, link: Link, fiat: Fiat | None, quantity: int | None, form: str, before: str | None
    ) -> SessionResource:
        """Make a session for the amount, or the number of pieces, that a payer decided on, once for each form.

        `before` is the session that the form made earlier, now over. Raises as `services.checkout.sessions` does.
        """
        request = SessionRequest(link_id=link.id, fiat=fiat, quantity=quantity)
        return await self._sessions.order(link.livemode, request, form, before)

    async def ordered_by(self, form: str) -> str | None:
        """Return the id of the session that a form made."""
        return await self._sessions.form_session(form)

    async def sales(self, link: Link) -> LinkSales:
        """Count the pieces of a link that are sold and reserved."""
        return await self._links.sales(link)

    async def unpaid(self, session_ids: Collection[str]) -> list[str]:
        """Return those of some sessions that nothing was paid for and that can still be paid."""
        return await self._reader.unpaid(session_ids)

    def network_costs(self, session: SessionResource, choices: Sequence[Choice]) -> Mapping[Choice, NetworkCost]:
        """Return about what paying a session by each choice costs, as far as it is known without waiting."""
        fiat = Fiat(Decimal(session["fiat"]["amount"]), session["fiat"]["currency"])
        self._network_costs.want(session["livemode"], choices, fiat.currency)
        return {choice: self._network_costs.of(session["livemode"], choice, fiat) for choice in choices}

    async def pay_in_test_mode(self, session_id: str, scenario: Scenario | None = None) -> None:
        """Pay the missing amount in the sandbox, or play a scenario. Raises as `services.sandbox.controls` does."""
        if self._sandbox is None:
            raise ResourceNotFound("There is no test mode on this server.")
        if scenario is None:
            await self._sandbox.pay(session_id)
        else:
            await self._sandbox.play(session_id, scenario)
