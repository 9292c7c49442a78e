"""The page on which a payer says where a refund shall go, and proves it. Only signing needs JavaScript."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from crypto_checkout.core.address import checksum
from crypto_checkout.core.public import render
from crypto_checkout.core.public.types import AmountResource
from crypto_checkout.core.refunds.refund import DestinationProof, RefundStatus
from crypto_checkout.http import body_limit, origins
from crypto_checkout.http.checkout.renderer import CheckoutRenderer
from crypto_checkout.services.refunds.claims import Claimable, ClaimRefused, Claims, MailedTo

from . import refusals, visitors
from .arrivals import RefundOffer

PATH = "/refund"

_PROBLEMS: Mapping[str, str] = {
    "malformed": "refund_bad_address",
    "reserved": "refund_lost_address",
    "token": "refund_lost_address",
    "ours": "refund_lost_address",
    "bad_account": "refund_bad_account",
    "bad_signature": "refund_bad_account",
    "bad_code": "refund_bad_code",
    "too_many": "refund_too_many",
    "too_many_codes": "refund_too_many",
    "mail_failed": "refund_mail_failed",
    "gone": "refund_gone",
}
"""The sentence for each cause for which a claim is refused."""


@dataclass(frozen=True, slots=True)
class GivenAddress:
    """An address that was given for a refund, and whether it is proven."""

    address: str
    is_proven: bool


@dataclass(frozen=True, slots=True)
class RefundItem:
    """A refund on the page; `state` is `ask`, `given`, `approved`, or `paid`."""

    key: str
    state: str
    amount: AmountResource
    chain_id: int
    chain_name: str
    reason: str | None
    destination: str | None
    given: tuple[GivenAddress, ...]
    message: str
    accounts: tuple[str, ...]


class RefundPages:
    """Handlers of refunds; `chain_name` and `public_url` are those of the other pages."""

    def __init__(
        self, renderer: CheckoutRenderer, claims: Claims, chain_name: Callable[[int], str], public_url: str
    ) -> None:
        self._renderer = renderer
        self._claims = claims
        self._chain_name = chain_name
        self._public_url = public_url

    async def offer(self, session_id: str) -> RefundOffer:
        """Return what a session's page says of refunds."""
        items = (await self._claims.page(session_id)).items
        paid = [each for each in items if _state(each) == "paid"]
        return RefundOffer(
            can_ask=any(each.refund is None for each in items),
            is_under_way=any(each.refund is not None for each in items),
            refunded=tuple(render.amount(each.asset, each.units) for each in paid),
        )

    async def page(self, request: Request) -> Response:
        """Show what can be claimed, and what was."""
        return await self._show(request)

    async def act(self, request: Request) -> Response:
        """Take an address, a signature, or a code; mail a code."""
        session_id, words = request.path_params["id"], visitors.translations_for(request)
        if origins.is_cross_site(request.headers, self._public_url):
            return refusals.render(self._renderer, words, refusals.CROSS_SITE, f"/checkout/{session_id}{PATH}")
        form = await body_limit.read_form(request)
        key, address = form.get("item", ""), form.get("address", "")
        work: Mapping[str, Callable[[], Awaitable[object]]] = {
            "give": lambda: self._claims.give(
                session_id,
                key,
                address,
                account=form.get("account", ""),
                signature=form.get("signature", ""),
                language=words.code,
            ),
            "mail": lambda: self._claims.send_code(session_id, key, address, words.code),
            "code": lambda: self._claims.confirm_code(session_id, key, address, form.get("code", "")),
        }
        action = form.get("action", "give")
        try:
            done = await work.get(action, work["give"])()
        except ClaimRefused as error:
            return await self._show(request, status=400, problem=error.cause, form=form)
        if isinstance(done, MailedTo):
            return await self._show(request, mailed=done)
        return RedirectResponse(f"/checkout/{session_id}{PATH}", 303, {"Cache-Control": "no-store"})

    async def _show(
        self,
        request: Request,
        *,
        status: int = 200,
        problem: str | None = None,
        mailed: MailedTo | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Response:
        page = await self._claims.page(request.path_params["id"])
        sent = form or {}
        asked = {"item": mailed.refund_id, "address": checksum(mailed.destination)} if mailed else sent
        return self._renderer.render(
            "refund.html",
            visitors.translations_for(request),
            path=f"/checkout/{page.session.id}{PATH}",
            has_form=True,
            status=status,
            session_id=page.session.id,
            livemode=page.session.livemode,
            items=[self._item(each) for each in page.items],
            can_mail=page.can_mail,
            problem=None if problem is None else _PROBLEMS[problem],
            asked=asked if mailed or sent.get("action") == "code" else None,
            refused=sent if problem == "too_many" else None,
            sent=sent,
        )

    def _item(self, item: Claimable) -> RefundItem:
        refund = item.refund
        destination = None if refund is None or refund.destination is None else checksum(refund.destination)
        return RefundItem(
            key=item.key,
            state=_state(item),
            amount=render.amount(item.asset, item.units),
            chain_id=item.asset.chain_id,
            chain_name=self._chain_name(item.asset.chain_id),
            reason=None if refund is None else refund.reason,
            destination=destination,
            given=tuple(
                GivenAddress(checksum(each.destination), each.proof is not DestinationProof.NONE)
                for each in item.claims
            ),
            message=item.message,
            accounts=tuple(checksum(each) for each in item.accounts),
        )


def _state(item: Claimable) -> str:
    if item.refund is None or item.refund.status is RefundStatus.AWAITING_ADDRESS:
        return "ask"
    if item.refund.status is RefundStatus.AWAITING_APPROVAL:
        return "given"
    return "paid" if item.refund.status is RefundStatus.PAID else "approved"
