"""What a payer is told when a page can't be given, and with which status. Never a stack, a path, or JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from starlette.responses import Response

from crypto_checkout.core import errors
from crypto_checkout.http.checkout.renderer import CheckoutRenderer
from crypto_checkout.http.checkout.translations import Translations


@dataclass(frozen=True, slots=True)
class RefusalPage:
    """A page for a person, as keys of the catalogues; `way_on` is a link to the page that was asked for, or empty."""

    status: int
    title: str
    note: str
    way_on: str = ""


CROSS_SITE = RefusalPage(403, "elsewhere", "elsewhere_note", "open_payment")
NOT_A_TEST = RefusalPage(403, "no_test", "no_test_note", "open_payment")

LOCKED = RefusalPage(409, "locked", "locked_note", "open_payment")
LOCKED_UNCHOSEN = RefusalPage(409, "locked_unchosen", "locked_unchosen_note")
LINK_GONE = RefusalPage(404, "link_gone", "link_gone_note")

_NOT_FOUND = RefusalPage(404, "not_found", "not_found_note")
_UNPAYABLE = RefusalPage(400, "unpayable", "unpayable_note")
_INTERNAL = RefusalPage(500, "broken", "now_not_note", "retry")
_LATER = RefusalPage(503, "unavailable", "now_not_note", "retry")

BY_CODE: Mapping[str, RefusalPage] = MappingProxyType(
    {
        errors.ResourceNotFound.code: _NOT_FOUND,
        errors.RouteNotFound.code: _NOT_FOUND,
        errors.LinkInactive.code: RefusalPage(400, "inactive", "inactive_note"),
        errors.UnsupportedChain.code: _UNPAYABLE,
        errors.UnsupportedAsset.code: _UNPAYABLE,
        errors.AmountTooSmall.code: _UNPAYABLE,
        errors.SessionNotOpen.code: RefusalPage(409, "closed", "closed_note", "open_payment"),
        errors.BodyTooLarge.code: RefusalPage(413, "broken", "now_not_note", "open_payment"),
        errors.PriceUnavailable.code: _LATER,
        errors.WalletNotConfigured.code: _LATER,
    }
)


def page(
    paper: CheckoutRenderer, words: Translations, error: errors.CheckoutError | errors.RecoverableError, path: str
) -> Response:
    """Print the page for an error; `path` is where its way on leads."""
    if isinstance(error, errors.RateLimitExceeded):
        return _slow_down(paper, words, error, path)
    if isinstance(error, errors.RecoverableError):
        return show(paper, words, _LATER, path)
    return show(paper, words, BY_CODE.get(error.code, _INTERNAL), path)


def show(paper: CheckoutRenderer, words: Translations, refusal: RefusalPage, path: str, **values: object) -> Response:
    """Print a refusal."""
    return paper.page(
        "refusal.html", words, status=refusal.status, path=path, refusal=refusal, note=words(refusal.note, **values)
    )


def _slow_down(paper: CheckoutRenderer, words: Translations, error: errors.RateLimitExceeded, path: str) -> Response:
    wait = max(1, error.retry_after_seconds)
    if isinstance(error, errors.LinkCrowded):
        response = show(paper, words, RefusalPage(429, "slow_down", "crowded_note", "retry"), path)
    else:
        response = show(paper, words, RefusalPage(429, "slow_down", "slow_down_note", "retry"), path, count=wait)
    response.headers["Retry-After"] = str(wait)
    return response
