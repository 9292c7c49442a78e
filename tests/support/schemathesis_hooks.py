"""Rules for schemathesis: the well-formed requests that this API may refuse all the same.

A schema can't say everything. What it leaves to the server is listed here, by error code or by field and words; any
other refusal of a request that fits the schema is a finding.
"""

from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Response

_OF_STATE = {
    "invalid_cursor",
    "link_inactive",
    "unsupported_chain",
    "unsupported_asset",
    "amount_too_small",
}
_WORDS: dict[str | None, tuple[str, ...]] = {
    None: ("webhook endpoints in this mode; delete one first",),
    "amount.value": ("more decimals than",),
    "fiatAmount": ("more decimals than",),
    "amount": ("more than zero", "finer than", "left to refund", "can still be refunded"),
    "destination": ("checksum", "nobody has the key", "a token", "own addresses"),
    "scenario": ("A scenario pays by itself",),
    "successUrl": ("plain http",),
    "cancelUrl": ("plain http",),
    "returnUrl": ("plain http",),
    # What webhooks may be sent to is the guard's matter: ports, networks, https for real money.
    "url": ("",),
}
_BAD_REQUEST = 400


@schemathesis.check
def what_fits_the_schema_is_taken(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """Refuse nothing that the document allows, except for rules that a schema can't express."""
    del ctx
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != _BAD_REQUEST:
        return
    error = response.json()["error"]
    is_said = any(words in error["message"] for words in _WORDS.get(error.get("param"), ()))
    assert error["code"] in _OF_STATE or is_said, f"a request that fits the schema was refused: {error}"
