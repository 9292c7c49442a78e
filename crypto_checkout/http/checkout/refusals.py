"""What a payer is told when a page can't be given, and with which status. Never a stack, a path, or JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from starlette.responses import Response

from crypto_checkout.core import errors

from .paper import Paper


@dataclass(frozen=True, slots=True)
class Refusal:
    """A page for a person; `way_on` is the text of a link to the page that was asked for, empty for no link."""

    status: int
    title: str
    text: str
    way_on: str = ""


_RETRY = "Try again"
_BACK = "Open the payment page"

CROSS_SITE = Refusal(
    403, "This came from another site", "Nothing was paid. Press the button on the page itself.", _BACK
)
NOT_A_TEST = Refusal(403, "This is not a test", "Only payments in test mode can be paid with test money.", _BACK)

LOCKED = Refusal(
    409,
    "This can't be changed any more",
    "Money has come to the address of this payment. Its page tells whether more is to be paid.",
    _BACK,
)
LOCKED_UNCHOSEN = Refusal(
    409,
    "Something has come already",
    "Money has come to the address of this payment before a coin was chosen, so nothing can be chosen any more. The "
    "shop sees it: please ask there, and send nothing more.",
)
LINK_GONE = Refusal(
    404,
    "This payment link is gone",
    "The shop has taken it away, or its address is not complete. Ask the shop for a new link.",
)

_NOT_PAYABLE = "The shop asks for a coin or a network that it doesn't take. Please let the shop know."
_NOW_NOT = "Nothing was charged. Try again in a moment."
_NOT_FOUND = Refusal(404, "There is no such page", "Check the address, or ask the shop for a new link.")
_INTERNAL = Refusal(500, "Something went wrong here", _NOW_NOT, _RETRY)
_LATER = Refusal(503, "The shop can't take payments right now", _NOW_NOT, _RETRY)

BY_CODE: Mapping[str, Refusal] = MappingProxyType(
    {
        errors.ResourceNotFound.code: _NOT_FOUND,
        errors.RouteNotFound.code: _NOT_FOUND,
        errors.LinkInactive.code: Refusal(
            400, "This link is switched off", "The shop takes no payments here at the moment. Ask it for a new link."
        ),
        errors.UnsupportedChain.code: Refusal(400, "This link can't be paid", _NOT_PAYABLE),
        errors.UnsupportedAsset.code: Refusal(400, "This link can't be paid", _NOT_PAYABLE),
        errors.AmountTooSmall.code: Refusal(
            400, "The amount is too small", "It is less than the smallest unit of the coin. Please let the shop know."
        ),
        errors.SessionNotOpen.code: Refusal(
            409, "This payment is closed", "It is paid, or its time is over: its page tells which.", _BACK
        ),
        errors.PriceUnavailable.code: Refusal(503, "There is no exchange rate right now", _NOW_NOT, _RETRY),
        errors.WalletNotConfigured.code: _LATER,
    }
)


def page(paper: Paper, error: errors.CheckoutError | errors.RecoverableError, url: str) -> Response:
    """Print the page for an error; `url` is where its way on leads."""
    if isinstance(error, errors.RateLimitExceeded):
        return _slow_down(paper, error, url)
    if isinstance(error, errors.RecoverableError):
        return show(paper, _LATER, url)
    return show(paper, BY_CODE.get(error.code, _INTERNAL), url)


def show(paper: Paper, refusal: Refusal, url: str) -> Response:
    """Print a refusal."""
    return paper.page(
        "refusal.html",
        status=refusal.status,
        title=refusal.title,
        text=refusal.text,
        way_on=refusal.way_on,
        url=url,
    )


def _slow_down(paper: Paper, error: errors.RateLimitExceeded, url: str) -> Response:
    seconds = error.retry_after_seconds
    wait = "a second" if seconds <= 1 else f"{seconds} seconds"
    if isinstance(error, errors.LinkCrowded):
        text = f"Very many people are opening this link right now. Wait {wait}, then try again. Nothing was charged."
    else:
        text = f"Too many requests came from your network. Wait {wait}, then try again. Your payment is safe."
    response = show(paper, Refusal(429, "One moment, please", text, _RETRY), url)
    response.headers["Retry-After"] = str(max(1, seconds))
    return response
