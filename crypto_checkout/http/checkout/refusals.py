"""The pages and status codes of errors, for payers. Never a stack trace, a path, or JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from starlette.responses import Response

from crypto_checkout.core import errors
from crypto_checkout.http.checkout.arrivals import NO_REFUND, Arrivals, RefundOffer
from crypto_checkout.http.checkout.renderer import CheckoutRenderer
from crypto_checkout.http.checkout.translations import Translations


@dataclass(frozen=True, slots=True)
class RefusalPage:
    """A page as keys of the catalogues; `way_on` is the text of a link to the requested page, or empty.

    `asks_shop` shows the ways to the shop, because the payer can't go on alone.
    """

    status: int
    title: str
    note: str
    way_on: str = ""
    asks_shop: bool = False


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways out of a refusal: where the shop is, what came for the session, and its refunds."""

    back_url: str | None = None
    arrivals: Arrivals | None = None
    refund: RefundOffer = NO_REFUND


NO_WAYS = Ways()

CROSS_SITE = RefusalPage(403, "elsewhere", "elsewhere_note", "open_payment")
NOT_A_TEST = RefusalPage(403, "no_test", "no_test_note", "open_payment")

LOCKED = RefusalPage(409, "locked", "locked_note", "open_payment")
LOCKED_UNCHOSEN = RefusalPage(409, "locked_unchosen", "locked_unchosen_note", asks_shop=True)
ANSWERED_ELSEWHERE = RefusalPage(409, "details_elsewhere", "details_elsewhere_note", "open_payment")
ANSWERS_LOCKED = RefusalPage(409, "details_locked", "details_locked_note", "open_payment", asks_shop=True)
LINK_GONE = RefusalPage(404, "link_gone", "link_gone_note", asks_shop=True)

_NOT_FOUND = RefusalPage(404, "not_found", "not_found_note", asks_shop=True)
_UNPAYABLE = RefusalPage(400, "unpayable", "unpayable_note", asks_shop=True)
_INTERNAL = RefusalPage(500, "broken", "now_not_note", "retry", asks_shop=True)
_LATER = RefusalPage(503, "unavailable", "now_not_note", "retry", asks_shop=True)

BY_CODE: Mapping[str, RefusalPage] = MappingProxyType(
    {
        errors.ResourceNotFound.code: _NOT_FOUND,
        errors.RouteNotFound.code: _NOT_FOUND,
        errors.LinkInactive.code: RefusalPage(400, "inactive", "inactive_note", asks_shop=True),
        errors.UnsupportedChain.code: _UNPAYABLE,
        errors.UnsupportedAsset.code: _UNPAYABLE,
        errors.AmountTooSmall.code: _UNPAYABLE,
        errors.AmountTooLarge.code: _UNPAYABLE,
        errors.LinkSoldOut.code: RefusalPage(409, "order_sold_out", "order_sold_out_note", "retry", asks_shop=True),
        errors.SessionNotOpen.code: RefusalPage(409, "closed", "closed_note", "open_payment"),
        errors.BodyTooLarge.code: RefusalPage(413, "broken", "now_not_note", "open_payment"),
        errors.UnsupportedContentType.code: RefusalPage(415, "broken", "now_not_note", "open_payment"),
        errors.PriceUnavailable.code: _LATER,
        errors.WalletNotConfigured.code: _LATER,
    }
)


def render_error(
    renderer: CheckoutRenderer,
    words: Translations,
    error: errors.CheckoutError | errors.RecoverableError,
    path: str,
    back_url: str | None = None,
) -> Response:
    """Render the page for an error; `path` is the target of its link, and `back_url` where the shop is."""
    if isinstance(error, errors.RateLimitExceeded):
        return _rate_limited(renderer, words, error, path)
    if isinstance(error, errors.RecoverableError):
        return render(renderer, words, _LATER, path)
    return render(renderer, words, BY_CODE.get(error.code, _INTERNAL), path, Ways(back_url=back_url))


def render(
    renderer: CheckoutRenderer,
    words: Translations,
    refusal: RefusalPage,
    path: str,
    ways: Ways = NO_WAYS,
    **values: object,
) -> Response:
    """Render a refusal; `values` are those of its note."""
    return renderer.render(
        "refusal.html",
        words,
        status=refusal.status,
        path=path,
        refusal=refusal,
        note=words(refusal.note, **values),
        back_url=ways.back_url,
        arrivals=ways.arrivals,
        refund=ways.refund,
    )


def _rate_limited(
    renderer: CheckoutRenderer, words: Translations, error: errors.RateLimitExceeded, path: str
) -> Response:
    wait = max(1, error.retry_after_seconds)
    if isinstance(error, errors.LinkCrowded):
        response = render(renderer, words, RefusalPage(429, "slow_down", "crowded_note", "retry"), path)
    else:
        response = render(renderer, words, RefusalPage(429, "slow_down", "slow_down_note", "retry"), path, count=wait)
    response.headers["Retry-After"] = str(wait)
    return response
