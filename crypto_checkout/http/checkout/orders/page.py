"""The page of a link that takes orders: a form, and the session that it makes. It works without JavaScript.

Opening the page makes no session and reserves nothing; that takes a POST of the page's own form.
"""

import secrets
from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from urllib.parse import quote

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from crypto_checkout.core.checkout.link import Link
from crypto_checkout.core.errors import AmountTooLarge, AmountTooSmall, InvalidBody, LinkInactive, LinkSoldOut
from crypto_checkout.core.money import Fiat
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.http import body_limit
from crypto_checkout.http.checkout import visitors, visits
from crypto_checkout.http.checkout.renderer import CheckoutRenderer
from crypto_checkout.http.checkout.translations import LANGUAGES
from crypto_checkout.http.checkout.view import web_url
from crypto_checkout.http.rate_limit import LinkLimit, client_name
from crypto_checkout.services.payer import Payers

from . import form, typed
from .presses import MOST_UNPAID, Presses

_FORM = "form"
_LONGEST_TOKEN = 40


class OrderPages:
    """Shows and takes orders; `limit` is that of all visits to links."""

    def __init__(self, renderer: CheckoutRenderer, payers: Payers, limit: LinkLimit, *, is_https: bool) -> None:
        self._processes = limit.processes
        self._renderer = renderer
        self._payers = payers
        self._limit = limit
        self._is_https = is_https
        self._presses = Presses()

    async def show(self, request: Request, link: Link) -> Response:
        """Show the form, filled in by the page's address or by the order that this browser made before."""
        if not link.active:
            raise LinkInactive("the link is switched off")
        fields, problem = form.asked_for(link, request.query_params, visitors.translations_for(request))
        return await self._render(request, link, fields, problem)

    async def order(self, request: Request, link: Link) -> SessionResource | Response:
        """Make the session that was ordered, or show the form with what is wrong. Raises as `Payers.visit_link` does.

        A form that was sent before leads to its session.
        """
        words = visitors.translations_for(request)
        fields = await body_limit.read_form(request)
        if not link.active:
            raise LinkInactive("the link is switched off")
        try:
            order = form.read(link, fields, words)
        except form.OrderRefusedError as error:
            return await self._render(request, link, fields, error.problem, status=400)
        token = fields.get(_FORM, "")[:_LONGEST_TOKEN]
        sent = f"{link.id} {token or secrets.token_hex()} {order}"
        async with self._presses.of(sent):
            try:
                session = await self._make(request, link, order, sent)
            except LinkSoldOut as error:
                problem = words("order_few", count=error.left) if error.left else None
                return await self._render(request, link, fields, problem, status=409)
            except (AmountTooSmall, AmountTooLarge, InvalidBody):  # for the coin, or the link was changed just now
                return await self._render(request, link, fields, words("order_unpayable"), status=400)
            except _TooManyUnpaidError:
                return await self._render(request, link, fields, words("order_unpaid"), status=429)
        return session

    async def _make(self, request: Request, link: Link, order: form.Order, sent: str) -> SessionResource:
        """Return the session that this form made, or this browser has for the same order, or make one."""
        before = await self._payers.ordered_by(sent)
        known = before or visits.recall(request, link.slug, is_secure=self._is_https)
        ongoing = await self._payers.ongoing(link, known)
        if ongoing is not None and _order_of(ongoing) == order:
            return ongoing
        make = partial(self._make_another, request, link, order, sent, before)
        if link.quantity is None or link.quantity.stock is None:
            return await make()
        reserved = self._presses.reservations(link.id, client_name(request.scope["client_address"]))
        async with reserved.lock:  # forms that are sent at the same time are counted one after another
            reserved.unpaid = await self._payers.unpaid(reserved.unpaid)
            if len(reserved.unpaid) >= max(1, MOST_UNPAID // self._processes()):
                raise _TooManyUnpaidError
            session = await make()
            reserved.unpaid.append(session["id"])
        return session

    async def _make_another(
        self, request: Request, link: Link, order: form.Order, sent: str, before: str | None
    ) -> SessionResource:
        self._limit.insist(request.scope["client_address"], link.id)
        return await self._payers.order(link, order.fiat, order.quantity, sent, before)

    async def _render(
        self,
        request: Request,
        link: Link,
        fields: Mapping[str, str],
        problem: Markup | None = None,
        *,
        status: int = 200,
    ) -> Response:
        words = visitors.translations_for(request)
        ongoing = await self._payers.ongoing(link, visits.recall(request, link.slug, is_secure=self._is_https))
        shown = form.shown(
            link,
            await self._payers.sales(link),
            words,
            fields,
            problem,
            None if ongoing is None or fields else _order_of(ongoing),
        )
        chosen = request.query_params.get(visitors.LANGUAGE, "")
        query = {visitors.LANGUAGE: chosen} if chosen in LANGUAGES else {}
        # As the address has them, and not as this language writes them: the links to other languages are addresses.
        # Cut as the fields are, since a page with its links is kept in memory.
        asked = {name: request.query_params.get(name, "")[: typed.LONGEST] for name in (form.AMOUNT, form.QUANTITY)}
        kept = {name: given for name, given in asked.items() if given}
        return self._renderer.render(
            "order.html",
            words,
            path=quote(request.scope["path"]),
            has_form=True,
            query={**query, **kept},
            status=status,
            link=link,
            form=shown,
            action=query,
            token=secrets.token_hex(16),
            ongoing=ongoing,
            cancel_url=way_back(link),
        )


class _TooManyUnpaidError(Exception):
    """One client reserves pieces of a link by too many unpaid sessions."""


def way_back(link: Link) -> str | None:
    """Return where a link's payers go who don't pay; None if that isn't http or https, or wants a session's id."""
    url = link.cancel_url
    return url if url is not None and web_url(url, "") == url else None


def _order_of(session: SessionResource) -> form.Order:
    """Return the order that a session was made for."""
    if session["quantity"] is not None:
        return form.Order(quantity=session["quantity"])
    return form.Order(fiat=Fiat(Decimal(session["fiat"]["amount"]), session["fiat"]["currency"]))
