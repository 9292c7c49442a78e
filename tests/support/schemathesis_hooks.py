"""Rules for schemathesis: the well-formed requests that this API may refuse all the same.

A schema can't say everything. What it leaves to the server is listed here, by error code or by field and words; any
other refusal of a request that fits the schema is a finding.
"""

from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response

from crypto_checkout.core import urls

_OF_STATE = {
    "invalid_cursor",
    "link_inactive",
    "unsupported_chain",
    "unsupported_asset",
    "amount_too_small",
    "amount_too_large",
}
_ANYWHERE = (
    "must not be empty",
    "must be one line",
    "holds a control character",
    "must be an email address",
)
_WORDS: dict[str | None, tuple[str, ...]] = {
    None: ("webhook endpoints in this mode; delete one first",),
    "amount.value": ("more decimals than",),
    "fiatAmount": ("more decimals than",),
    "minFiatAmount": ("more decimals than",),
    "maxFiatAmount": ("more decimals than", "is less than minFiatAmount"),
    "suggestedAmounts": ("more decimals than", "is not within", "is listed twice"),
    "quantity": ("sells one thing at a time", "no number", "must be from"),
    "quantity.min": ("too expensive",),
    "quantity.max": ("is less than quantity.min",),
    "amount": ("more than zero", "finer than", "exactly one of", "left to refund", "can still be refunded"),
    "destination": ("checksum", "nobody has the key", "a token", "own addresses"),
    "eventId": ("exactly one of",),
    "events": ("must stand alone",),
    "scenario": ("A scenario pays by itself",),
    "successUrl": ("plain http",),
    "cancelUrl": ("plain http",),
    "returnUrl": ("plain http",),
    # What webhooks may be sent to is the guard's matter: ports, networks, https for real money.
    "url": ("",),
}
_BAD_REQUEST = 400
_EXCLUDES = {
    "amount": {"linkId", "quantity"},
    "fiatAmount": {"minFiatAmount", "maxFiatAmount", "suggestedAmounts"},
    "assets": {"chainId", "asset"},
    "scenario": {"amount", "kind", "transfers"},
    "eventId": {"since"},
}
_URLS = {"url", "successUrl", "cancelUrl", "returnUrl"}


@schemathesis.check
def what_fits_the_schema_is_taken(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """Refuse nothing that the document allows, except for rules that a schema can't express."""
    del ctx
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != _BAD_REQUEST:
        return
    error = response.json()["error"]
    is_said = any(words in error["message"] for words in (*_ANYWHERE, *_WORDS.get(_field(error.get("param")), ())))
    assert error["code"] in _OF_STATE or is_said, f"a request that fits the schema was refused: {error}"


@schemathesis.hook
def before_call(ctx: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Mend what a well-formed body is refused for first, so that all behind it is tried as well."""
    del ctx, kwargs
    body = case.body
    if case.meta is None or not case.meta.generation.mode.is_positive or not isinstance(body, dict):
        return
    for given, excluded in _EXCLUDES.items():
        if body.get(given) is not None:
            case.body = body = {name: value for name, value in body.items() if name not in excluded}
    if "fiatAmount" in body and body["fiatAmount"] is None:
        case.body = body = {name: value for name, value in body.items() if name != "quantity"}
    for name in _URLS & body.keys():
        url = body[name]
        if isinstance(url, str) and urls.redirect_objection(url, livemode=False) is not None:
            body[name] = "https://shop.example/"


def _field(param: str | None) -> str | None:
    """Return the name of a field without the place of one of its entries."""
    return None if param is None else param.partition("[")[0]
