"""The addresses of preview pictures: of a payment link, and of a session."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from crypto_checkout.core.checkout.link import Link
from crypto_checkout.core.errors import LinkInactive, ResourceNotFound
from crypto_checkout.core.public.types import FiatResource
from crypto_checkout.http import etags
from crypto_checkout.services.payer import Payers

from . import visitors
from .branding.shop import Branding
from .preview import picture

PATH = "/preview.png"

_HEADERS = ((b"cache-control", b"public, max-age=600"), (b"x-content-type-options", b"nosniff"))


class PreviewPages:
    """Handlers of the pictures, with the shop's name, logo and color."""

    def __init__(self, payers: Payers, branding: Branding) -> None:
        self._payers = payers
        self._shop_name, self._color, self._logo = branding.name, branding.color, branding.logo

    async def of_link(self, request: Request) -> Response:
        """Draw a link's picture."""
        link = await self._payers.link(request.path_params["slug"])
        if link is None:
            raise ResourceNotFound("There is no such payment link.")
        if not link.active:
            raise LinkInactive("the link is switched off")
        return await self._answer(request, link.title, price_of(link), livemode=link.livemode)

    async def of_session(self, request: Request) -> Response:
        """Draw a session's picture."""
        session = (await self._payers.view(request.path_params["id"])).session
        link = await self._payers.link_of(session)
        title = "" if link is None else link.title
        return await self._answer(request, title, session["fiat"], livemode=session["livemode"])

    async def _answer(self, request: Request, title: str, price: FiatResource | None, *, livemode: bool) -> Response:
        words = visitors.translations_for(request)
        amount = words("any_amount") if price is None else words.money(price)
        wanted = picture.Preview(self._shop_name, title, amount, is_test=not livemode, color=self._color)
        version = picture.logo_version(self._logo)
        drawn = await run_in_threadpool(picture.draw, wanted, self._logo, version)
        return etags.answer(request, drawn, _HEADERS, media_type=b"image/png")


def price_of(link: Link) -> FiatResource | None:
    """Return a link's price as the API writes it; None if the payer names the amount."""
    price = link.price
    return None if price.amount is None else {"amount": price.text(price.amount), "currency": price.currency}
