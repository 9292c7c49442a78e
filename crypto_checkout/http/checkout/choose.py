"""The payer's choice of network and coin, for sessions with several assets. It works without JavaScript.

The session's page shows the choice until it is made; afterwards it has a page of its own, with a warning. A cookie
keeps the last choice of this browser: the chain and the symbol, and nothing of the payer or the session.
"""

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from crypto_checkout.core import errors, moments
from crypto_checkout.core.assets import Choice
from crypto_checkout.core.checkout.network_costs import NetworkCost
from crypto_checkout.core.checkout.session import Status
from crypto_checkout.core.errors import CheckoutError, UnsupportedAsset
from crypto_checkout.core.money import format_fiat
from crypto_checkout.core.public.types import FiatResource, SessionResource
from crypto_checkout.http import body_limit, origins
from crypto_checkout.http.checkout.renderer import CheckoutRenderer
from crypto_checkout.http.checkout.translations import Translations
from crypto_checkout.services.checkout.asset_choice import ChoiceOutcome
from crypto_checkout.services.payer import Payers

from . import refusals, visitors
from .view import web_url

PATH = "/choose"

_LAST_CHOICE = "last-choice"
_A_YEAR_SECONDS = 366 * 86_400
_A_MINUTE_SECONDS = 60

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
    """An asset to choose, with its value in the form; `is_last` where this browser's payer chose it last time.

    `fee` is about what its network takes, with `fee_is_less` more than that; None if not known. `minutes` are those
    until a payment is complete, 0 for less than one, None if not known.
    """

    value: str
    asset: str
    chain_name: str
    chain_id: int
    is_current: bool
    is_last: bool
    fee: FiatResource | None
    fee_is_less: bool
    minutes: int | None


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
        self._is_https = public_url.startswith("https:")
        # As in `http.checkout.visits`: no other host of the same domain can plant one.
        self._cookie = f"__Host-{_LAST_CHOICE}" if self._is_https else _LAST_CHOICE

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
        options = await self._options(session, current, self._last_choice(request))
        if not options:
            raise UnsupportedAsset(f"Nothing that session {session['id']} takes is configured any more.")
        return self._renderer.render(
            "choose.html",
            words := visitors.translations_for(request),
            path=f"{_page(session['id'])}{PATH if session['assetChosen'] else ''}",
            has_form=True,
            status=status,
            session=session,
            link=await self._payers.link_of(session),
            options=options,
            current=next((option for option in options if option.is_current), None),
            seen="" if current is None else _value(current),
            refused="" if refused is None else self._name(words, refused),
            cancel_url=web_url(session["cancelUrl"], session["id"]),
        )

    async def _options(self, session: SessionResource, current: Choice | None, last: Choice | None) -> list[Option]:
        """Return the options in the shop's order, but what was chosen last time comes first."""
        choices = await self._payers.asset_choices.options(session["id"])
        costs = self._payers.network_costs(session, choices)
        options = [
            Option(
                _value(choice),
                choice.symbol,
                self._chain_name(choice.chain_id),
                choice.chain_id,
                is_current=choice == current,
                is_last=choice == last,
                fee=_fiat(costs[choice]),
                fee_is_less=_is_less(costs[choice]),
                minutes=whole_minutes(costs[choice]),
            )
            for choice in choices
        ]
        return sorted(options, key=lambda option: not option.is_last)

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
        form = await body_limit.read_form(request)
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
        response = _back(session["id"])
        if outcome is ChoiceOutcome.CHOSEN:
            response.set_cookie(
                self._cookie,
                _value(choice),
                max_age=_A_YEAR_SECONDS,
                secure=self._is_https,
                httponly=True,
                samesite="lax",
            )
        return response

    def _last_choice(self, request: Request) -> Choice | None:
        return _choice(request.cookies.get(self._cookie, ""))

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


def whole_minutes(cost: NetworkCost) -> int | None:
    """Return whole minutes, rounded up; 0 for less than one."""
    if cost.seconds is None:
        return None
    return 0 if cost.seconds < _A_MINUTE_SECONDS else math.ceil(cost.seconds / _A_MINUTE_SECONDS)


def _back(session_id: str) -> Response:
    return RedirectResponse(_page(session_id), 303, {"Cache-Control": "no-store"})


def _page(session_id: str) -> str:
    return f"/checkout/{session_id}"


def _current_choice(session: SessionResource) -> Choice | None:
    return Choice(session["chainId"], session["asset"]) if session["assetChosen"] else None


def _fiat(cost: NetworkCost) -> FiatResource | None:
    if cost.fee is None:
        return None
    fiat = cost.fee.fiat
    return {"amount": format_fiat(fiat.amount, fiat.currency), "currency": fiat.currency}


def _is_less(cost: NetworkCost) -> bool:
    return cost.fee is not None and cost.fee.is_less


def _value(choice: Choice) -> str:
    return f"{choice.chain_id}:{choice.symbol}"


def _choice(text: str) -> Choice | None:
    """Parse a form's value; None for anything else."""
    chain, colon, symbol = text.partition(":")
    is_number = chain.isascii() and chain.isdigit() and len(chain) <= 16  # noqa: PLR2004 - digits of 2^53
    return Choice(int(chain), symbol) if colon and is_number and symbol else None
