"""Errors, one class per cause. HTTP status codes live in `http.errors`, never here.

`CheckoutError` is an answer to a caller: its message names the thing, the value and the way out, and reveals nothing
internal. The docstrings of its classes are published in the API's documentation. `FatalError` ends the process with a
sentence for the operator. `RecoverableError` is caught by a loop, which tries again.
"""

from typing import ClassVar


class CheckoutError(Exception):
    """A request that can't be fulfilled; `code` is public and fixed, `param` names the wrong field if there is one.

    `retry_after_seconds` says when to come again, None where that alone doesn't help.
    """

    code: ClassVar[str] = "internal_error"
    retry_after_seconds: int | None = None

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class MissingApiKey(CheckoutError):
    """No `Authorization: Bearer` header came."""

    code = "missing_api_key"


class InvalidApiKey(CheckoutError):
    """The bearer token is not a key of this server."""

    code = "invalid_api_key"


class RevokedApiKey(CheckoutError):
    """The key was revoked."""

    code = "revoked_api_key"


class InsufficientScope(CheckoutError):
    """The key lacks the scope that the message names."""

    code = "insufficient_scope"


class InvalidJson(CheckoutError):
    """The body is not JSON."""

    code = "invalid_json"


class InvalidBody(CheckoutError):
    """A field of the body is wrong; `param` is its dotted path."""

    code = "invalid_body"


class InvalidQuery(CheckoutError):
    """A query parameter or request header is wrong; `param` is its name."""

    code = "invalid_query"


class InvalidCursor(CheckoutError):
    """A list cursor does not decode, or belongs to another list."""

    code = "invalid_cursor"


class LinkInactive(CheckoutError):
    """The payment link takes no new sessions."""

    code = "link_inactive"


class UnsupportedChain(CheckoutError):
    """No such chain is configured in this mode."""

    code = "unsupported_chain"


class UnsupportedAsset(CheckoutError):
    """The chain has no such asset, or the fiat currency can't be quoted."""

    code = "unsupported_asset"


class AmountTooSmall(CheckoutError):
    """The amount is less than the smallest unit of the asset, or than the payment link takes."""

    code = "amount_too_small"


class AmountTooLarge(CheckoutError):
    """The amount is more than the payment link takes, or than one payment can ask for."""

    code = "amount_too_large"


class LinkSoldOut(CheckoutError):
    """The payment link has fewer pieces left than were ordered: `left` of them."""

    code = "link_sold_out"

    def __init__(self, message: str, *, left: int) -> None:
        super().__init__(message, param="quantity")
        self.left = left


class MethodNotAllowed(CheckoutError):
    """The path exists, with other methods: `allow` lists them."""

    code = "method_not_allowed"

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class MethodUnknown(MethodNotAllowed):
    """The method is none that HTTP knows, or opens tunnels (CONNECT)."""


class BodyTooLarge(CheckoutError):
    """The body is over the limit."""

    code = "body_too_large"


class UnsupportedContentType(CheckoutError):
    """The body is not declared as JSON."""

    code = "unsupported_content_type"


class ResourceNotFound(CheckoutError):
    """No such object in the key's mode."""

    code = "resource_not_found"


class RouteNotFound(CheckoutError):
    """No such path."""

    code = "route_not_found"


class IdempotencyKeyReused(CheckoutError):
    """The idempotency key came before with another request."""

    code = "idempotency_key_reused"


class SessionNotOpen(CheckoutError):
    """The session's status does not allow what was asked."""

    code = "session_not_open"


class CustomerExists(CheckoutError):
    """Another customer of this mode has the email address; the message names that customer's id."""

    code = "customer_exists"


class RefundNotOpen(CheckoutError):
    """The refund's status does not allow what was asked."""

    code = "refund_not_open"


class RateLimitExceeded(CheckoutError):
    """Too many requests; `retry_after_seconds` says when to come again."""

    code = "rate_limit_exceeded"
    retry_after_seconds: int

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class LinkCrowded(RateLimitExceeded):
    """A payment link makes no more sessions for now: too many visits came, from wherever."""


class PriceUnavailable(CheckoutError):
    """Too few price sources gave a usable answer."""

    code = "price_unavailable"


class PriceJumped(PriceUnavailable):
    """One price source alone gave a price far from the last one."""


class WalletNotConfigured(CheckoutError):
    """No wallet, or its next address can't be given out safely now."""

    code = "wallet_not_configured"


class ChainNotReady(WalletNotConfigured):
    """A chain takes no payments for the moment; a later request may succeed."""

    retry_after_seconds = 2  # little, because clients wait that long by themselves while a shop's page loads


class ChainNotStopped(CheckoutError):
    """The chain can't be reanchored; the message says why."""


class DatabaseUnavailable(CheckoutError):
    """The server can't store or read its data for the moment, as on a full disk; a later request may succeed."""

    retry_after_seconds = 30


class ServerStopping(CheckoutError):
    """The server is stopping, and no longer waits for a request that is under way; another try may succeed soon."""

    retry_after_seconds = 5


class FatalError(Exception):
    """The process can't go on; the message tells the operator what to do."""


class DatabaseTooNew(FatalError):
    """The database was written by a newer version of the program."""


class FolderInUse(FatalError):
    """Another process is using this data folder."""


class TooFewDescriptors(FatalError):
    """The system allows the process fewer open files and connections than it needs."""


class WrongChain(FatalError):
    """An RPC provider serves another chain than the configured one."""


class RecoverableError(Exception):
    """Something outside failed for now; a later try is safe and may succeed."""


class ProviderFailed(RecoverableError):
    """No RPC provider of a chain gave a usable answer; `cause` says why, without a host or a provider's words."""

    cause: str = "its nodes give no usable answer, or contradict each other"


class StateUnavailable(ProviderFailed):
    """No provider has the balances at a block: it is too old for any node but an archive."""


class BalancesRefused(ProviderFailed):
    """Every provider refuses to tell balances near its head for now: it is busy, say, or a block behind."""


class ChainMoved(RecoverableError):
    """A node moved to another branch between two answers, so they must not be combined."""


class UpdatesUnknown(RecoverableError):
    """The newest version of this program couldn't be looked up; the text says why."""


class MessageNotSent(RecoverableError):
    """A mail server didn't accept a mail, or a webhook receiver an alert."""


class MailRefused(MessageNotSent):
    """A mail server refused a mail for good: there is no such address, say."""


class DatabaseFailed(RecoverableError):
    """The database failed: its disk is full, say, or another process holds the lock.

    It wrote nothing; only of OutcomeUnknown that can't be told.
    """


class DatabaseDamaged(DatabaseFailed):
    """The database file is damaged: SQLite found a page that is not what it was written as."""


class OutcomeUnknown(DatabaseFailed):
    """The database was lost while it stored something, and can't be asked whether it did."""


class LeaderChanged(DatabaseFailed):
    """The database took nothing of a leader whose term is over: another process leads now."""


class SourceFailed(RecoverableError):
    """A price source gave no usable answer."""
