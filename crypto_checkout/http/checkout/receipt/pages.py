"""The page of a receipt, for the screen and for print, its signed form, and the public keys."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from crypto_checkout.core import moments
from crypto_checkout.core.errors import ResourceNotFound
from crypto_checkout.core.public import render
from crypto_checkout.core.public.types import AmountResource, PaymentResource
from crypto_checkout.core.receipts.receipt import item
from crypto_checkout.http import etags, explorers
from crypto_checkout.http.checkout import visitors
from crypto_checkout.http.checkout.renderer import CheckoutRenderer
from crypto_checkout.http.checkout.view import PayerChain, shown_rate
from crypto_checkout.services.receipts.payer import PayerReceipts

PATH = "/receipt"
SIGNED_PATH = "/receipt.jws"
KEYS_PATH = "/.well-known/jwks.json"

_SIGNED_HEADERS = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex", "X-Content-Type-Options": "nosniff"}
_KEYS_HEADERS = [
    (b"cache-control", b"public, max-age=300"),
    # The keys are public, and other sites' pages may verify receipts.
    (b"access-control-allow-origin", b"*"),
    (b"x-content-type-options", b"nosniff"),
]


@dataclass(frozen=True, slots=True)
class ReceiptTransfer:
    """A transfer on the receipt; `url` leads to an explorer, None without one."""

    payment: PaymentResource
    url: str | None


@dataclass(frozen=True, slots=True)
class ReceiptRefund:
    """A refund on the receipt."""

    amount: AmountResource
    chain_name: str
    tx_hash: str | None
    url: str | None


class ReceiptPages:
    """Handlers of receipts; `chain` describes a chain by its number."""

    def __init__(self, renderer: CheckoutRenderer, receipts: PayerReceipts, chain: Callable[[int], PayerChain]) -> None:
        self._renderer = renderer
        self._receipts = receipts
        self._chain = chain

    async def page(self, request: Request) -> Response:
        """Show a receipt; lead to the payment's page where there is none."""
        session_id = request.path_params["id"]
        try:
            shown = await self._receipts.of(session_id)
        except ResourceNotFound:
            return RedirectResponse(f"/checkout/{session_id}", 303, {"Cache-Control": "no-store"})
        session = shown.session
        chain = self._chain(session["chainId"])
        response = self._renderer.render(
            "receipt.html",
            visitors.translations_for(request),
            path=f"/checkout/{session['id']}{PATH}",
            receipt=shown.receipt,
            item=item(shown.receipt.title, session["quantity"]),
            session=session,
            received=shown.received,
            is_valid=shown.is_valid,
            issued_at=moments.to_text(shown.receipt.issued_at),
            chain=chain,
            rate=shown_rate(session),
            transfers=[
                ReceiptTransfer(each, explorers.transaction_url(chain.explorer_url, each["txHash"]))
                for each in session["payments"]
                if each["counted"]
            ],
            refunds=[
                ReceiptRefund(
                    each["amount"],
                    self._chain(each["chainId"]).name,
                    each["txHash"],
                    explorers.transaction_url(self._chain(each["chainId"]).explorer_url, each["txHash"]),
                )
                for each in shown.refunds
            ],
        )
        response.headers["X-Robots-Tag"] = "noindex"
        return response

    async def signed(self, request: Request) -> Response:
        """Send the signed form of a receipt, to be kept as a file."""
        session_id = request.path_params["id"]
        text = await self._receipts.signed(session_id)
        name = {"Content-Disposition": f'attachment; filename="receipt-{session_id}.jws"'}
        return Response(f"{text}\n", headers={**_SIGNED_HEADERS, **name}, media_type="application/jose")

    async def keys(self, request: Request) -> Response:
        """Send the public keys (RFC 7517)."""
        body = render.json_bytes(await self._receipts.public_keys())
        return etags.answer(request, body, _KEYS_HEADERS, media_type=b"application/jwk-set+json")
