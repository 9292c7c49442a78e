"""The payer's choice of network and coin, for sessions with several assets. It works without JavaScript.

The session's page shows the choice until it is made; afterwards it has a page of its own, with a warning.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from crypto_checkout.core import errors, moments
from crypto_checkout.core.assets import Choice
from crypto_checkout.core.checkout.session import Status
from crypto_checkout.core.errors import CheckoutError, UnsupportedAsset
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.http import body_limit, origins
from crypto_checkout.http.checkout.renderer import CheckoutRenderer
from crypto_checkout.http.checkout.translations import Translations
from crypto_checkout.services.checkout.asset_choice import ChoiceOutcome
from crypto_checkout.services.payer import Payers

from . import refusals, visitors
from .view import web_url

PATH = "/choose"

_UNAVAILABLE: Mapping[str, int] = {
    errors.PriceUnavailable.code: 503,
    errors.WalletNotConfigured.code: 503,
    errors.AmountTooSmall.code: 400,
    errors.UnsupportedChain.code: 400,
    errors.UnsupportedAsset.code: 400,
}
"""Errors that rule out one choice but not the others, with the status of the page that says so."""


@dataclass(frozen=True, slots=True)
class Option:
    """An asset to choose, with its value in the form."""

    value: str
    asset: str
    chain_name: str
    chain_id: int
    is_current: bool


class ChoicePages:
    """Handlers of the choice; `chain_name`, `clock`, `public_url` and `ways_out` are those of the other pages."""

    def __init__(
        self,
        renderer: CheckoutRenderer,
        payers: Payers,
        chain_name: Callable[[int], str],
        clock: Callable[[bool], datetime],
        public_url: str,
        ways_out: Callable[[str], Awaitable[refusals.Ways]],
    ) -> None:
        self._renderer = renderer
        self._payers = payers
        self._chain_name = chain_name
        self._clock = clock
        self._public_url = public_url
        self._ways_out = ways_out

    def is_due(self, session: SessionResource) -> bool:
        """Tell whether the payer has to choose before the session can be shown."""
        is_open = session["status"] == Status.PENDING.value and self._clock(session["livemode"]) < moments.from_text(
            session["expiresAt"]
        )
        return is_open and not session["assetChosen"]

    async def ask(
        self, request: Request, session: SessionResource, *, status: int = 200, refused: Choice | None = None
    ) -> Response:
        """Show the options, unless the choice is closed; `refused` is one that is unavailable at the moment."""
        obstacle = await self._payers.asset_choices.obstacle(session["id"])
        if obstacle is not None:
            return await self._refuse(request, obstacle, session)
        current = _current_choice(session)
        options = [
            Option(_value(choice), choice.symbol, self._chain_name(choice.chain_id), choice.chain_id, choice == current)
            for choice in await self._payers.asset_choices.options(session["id"])
        ]
        if not options:
            raise UnsupportedAsset(f"Nothing that session {session['id']} takes is configured any more.")
        response = self._renderer.render(
            "choose.html",
            words := visitors.translations_for(request),
            path=f"{_page(session['id'])}{PATH if session['assetChosen'] else ''}",
            status=status,
            session=session,
            link=await self._payers.link_of(session),
            options=options,
            current=next((option for option in options if option.is_current), None),
            seen="" if current is None else _value(current),
            refused="" if refused is None else self._name(words, refused),
            cancel_url=web_url(session["cancelUrl"], session["id"]),
        )
        # With no-referrer, browsers send `Origin: null` with the page's own form; see `http.checkout.pages`.
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    async def page(self, request: Request) -> Response:
        """Show the choice again, to change it."""
        session = await self._session(request)
        if len(session["assets"]) < 2:  # noqa: PLR2004 - nothing to choose
            return _back(session["id"])
        return await self.ask(request, session)

    async def choose(self, request: Request) -> Response:
        """Store a choice, and show the session."""
        session = await self._session(request)
        if origins.is_cross_site(request.headers, self._public_url):
            return refusals.render(
                self._renderer, visitors.translations_for(request), refusals.CROSS_SITE, _page(session["id"])
            )
        form = await _form(request)
        choice = _choice(form.get("choice", ""))
        if choice is None:
            return await self.ask(request, session)
        try:
            outcome = await self._payers.asset_choices.choose(session["id"], choice, _choice(form.get("seen", "")))
        except CheckoutError as error:
            if error.code not in _UNAVAILABLE:
                raise
            return await self.ask(request, session, status=_UNAVAILABLE[error.code], refused=choice)
        if outcome is ChoiceOutcome.LOCKED:
            return await self._refuse(request, outcome, await self._session(request))
        return _back(session["id"])

    async def _session(self, request: Request) -> SessionResource:
        return (await self._payers.view(request.path_params["id"])).session

    def _name(self, words: Translations, choice: Choice) -> str:
        return words.text("choose_option", asset=choice.symbol[:20], network=self._chain_name(choice.chain_id))

    async def _refuse(self, request: Request, obstacle: ChoiceOutcome, session: SessionResource) -> Response:
        if obstacle is not ChoiceOutcome.LOCKED:
            return _back(session["id"])
        words, page = visitors.translations_for(request), _page(session["id"])
        if session["assetChosen"]:
            return refusals.render(self._renderer, words, refusals.LOCKED, page)
        ways = await self._ways_out(session["id"])
        return refusals.render(self._renderer, words, refusals.LOCKED_UNCHOSEN, page, ways)


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await body_limit.read(request)).decode("utf-8", "replace")))


def _back(session_id: str) -> Response:
    return RedirectResponse(_page(session_id), 303, {"Cache-Control": "no-store"})


def _page(session_id: str) -> str:
    return f"/checkout/{session_id}"


def _current_choice(session: SessionResource) -> Choice | None:
    return Choice(session["chainId"], session["asset"]) if session["assetChosen"] else None


def _value(choice: Choice) -> str:
    return f"{choice.chain_id}:{choice.symbol}"


def _choice(text: str) -> Choice | None:
    """Parse a form's value; None for anything else."""
    chain, colon, symbol = text.partition(":")
    is_number = chain.isascii() and chain.isdigit() and len(chain) <= 16  # noqa: PLR2004 - digits of 2^53
    return Choice(int(chain), symbol) if colon and is_number and symbol else None
