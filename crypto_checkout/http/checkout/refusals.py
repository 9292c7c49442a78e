"""What a payer is told when a page can't be given, and with which status. Never a stack, a path, or JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from starlette.responses import Response

from crypto_checkout.core import errors
from crypto_checkout.http.checkout.renderer import Paper
from crypto_checkout.http.checkout.translations import Words


@dataclass(frozen=True, slots=True)
class Refusal:
    """A page for a person, as keys of the catalogues; `way_on` is a link to the page that was asked for, or empty."""

    status: int
    title: str
    note: str
    way_on: str = ""


CROSS_SITE = Refusal(403, "elsewhere", "elsewhere_note", "open_payment")
NOT_A_TEST = Refusal(403, "no_test", "no_test_note", "open_payment")

LOCKED = Refusal(409, "locked", "locked_note", "open_payment")
LOCKED_UNCHOSEN = Refusal(409, "locked_unchosen", "locked_unchosen_note")
LINK_GONE = Refusal(404, "link_gone", "link_gone_note")

_NOT_FOUND = Refusal(404, "not_found", "not_found_note")
_UNPAYABLE = Refusal(400, "unpayable", "unpayable_note")
_INTERNAL = Refusal(500, "broken", "now_not_note", "retry")
_LATER = Refusal(503, "unavailable", "now_not_note", "retry")

BY_CODE: Mapping[str, Refusal] = MappingProxyType(
    {
        errors.ResourceNotFound.code: _NOT_FOUND,
        errors.RouteNotFound.code: _NOT_FOUND,
        errors.LinkInactive.code: Refusal(400, "inactive", "inactive_note"),
        errors.UnsupportedChain.code: _UNPAYABLE,
        errors.UnsupportedAsset.code: _UNPAYABLE,
        errors.AmountTooSmall.code: _UNPAYABLE,
        errors.SessionNotOpen.code: Refusal(409, "closed", "closed_note", "open_payment"),
        errors.BodyTooLarge.code: Refusal(413, "broken", "now_not_note", "open_payment"),
        errors.PriceUnavailable.code: _LATER,
        errors.WalletNotConfigured.code: _LATER,
    }
)


def page(paper: Paper, words: Words, error: errors.CheckoutError | errors.RecoverableError, path: str) -> Response:
    """Print the page for an error; `path` is where its way on leads."""
    if isinstance(error, errors.RateLimitExceeded):
        return _slow_down(paper, words, error, path)
    if isinstance(error, errors.RecoverableError):
        return show(paper, words, _LATER, path)
    return show(paper, words, BY_CODE.get(error.code, _INTERNAL), path)


def show(paper: Paper, words: Words, refusal: Refusal, path: str, **values: object) -> Response:
    """Print a refusal."""
    return paper.page(
        "refusal.html", words, status=refusal.status, path=path, refusal=refusal, note=words(refusal.note, **values)
    )


def _slow_down(paper: Paper, words: Words, error: errors.RateLimitExceeded, path: str) -> Response:
    wait = max(1, error.retry_after_seconds)
    if isinstance(error, errors.LinkCrowded):
        response = show(paper, words, Refusal(429, "slow_down", "crowded_note", "retry"), path)
    else:
        response = show(paper, words, Refusal(429, "slow_down", "slow_down_note", "retry"), path, count=wait)
    response.headers["Retry-After"] = str(wait)
    return response
