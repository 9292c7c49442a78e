"""Operations on checkout sessions."""

from dataclasses import fields

from crypto_checkout.core import errors
from crypto_checkout.core.checkout.session import SessionOptions
from crypto_checkout.core.errors import InvalidBody
from crypto_checkout.core.money import Fiat
from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.core.public import examples
from crypto_checkout.core.public.envelopes import ListResource
from crypto_checkout.core.public.types import PaymentResource, SessionResource
from crypto_checkout.http.api import cursors, schemas, values
from crypto_checkout.http.api.operations import Call, Operation, Resource, Unit, list_example
from crypto_checkout.services.checkout.sessions import SessionRequest
from crypto_checkout.store.checkout.sessions import SessionFilter

_LIST = "checkout_sessions"
_OPTIONS = {field.name for field in fields(SessionOptions)} - {"payer_fields", "custom_fields"}


async def create(call: Call) -> Unit:
    """Create a session with a price or from a link."""
    body: schemas.SessionCreate = call.body
    if body.amount is None and body.link_id is None:
        raise InvalidBody("Give exactly one of amount and linkId.", param="amount")
    if body.quantity is not None and body.link_id is None:
        raise InvalidBody("quantity: give it with the linkId of a link that sells several pieces.", param="quantity")
    livemode = call.livemode
    session_request = SessionRequest(
        link_id=body.link_id,
        fiat=None if body.amount is None else _fiat(body.amount),
        chain_id=body.chain_id,
        asset=body.asset,
        assets=values.assets(body.assets, chain_id=body.chain_id, asset=body.asset),
        options=_options(body, livemode=livemode),
        expires_in_seconds=body.expires_in_seconds,
        quantity=body.quantity,
    )
    unit = await call.services.sessions.prepare(livemode, session_request)
    return lambda write_unit: unit(write_unit).body


async def show(call: Call) -> bytes:
    """Show one session."""
    return (await call.services.session_reader.rendered(call.path["id"], call.livemode)).body


async def expire(call: Call) -> Unit:
    """Close an unpaid session."""
    return call.services.decisions.expire(call.livemode, call.path["id"])


async def accept(call: Call) -> Unit:
    """Accept the amount received as the whole payment."""
    return call.services.decisions.accept(call.livemode, call.path["id"])


async def list_(call: Call) -> bytes:
    """List sessions."""
    query: schemas.SessionsQuery = call.query
    window = cursors.window(_LIST, call.livemode, query.limit, query.starting_after, query.ending_before)
    session_filter = SessionFilter(
        status=query.status,
        link_id=query.linkId,
        customer_email=query.customerEmail,
        created_after=query.createdAfter,
        created_before=query.createdBefore,
    )
    page = await call.services.session_reader.page(call.livemode, session_filter, window)
    return cursors.list_body(_LIST, call.livemode, page.map(lambda each: each.body), window)


async def list_payments(call: Call) -> Resource:
    """List the payments of a session."""
    query: schemas.ListQuery = call.query
    session_id = call.path["id"]
    name = f"payments of {session_id}"
    window = cursors.window(name, call.livemode, query.limit, query.starting_after, query.ending_before)
    page = await call.services.session_reader.payments(session_id, call.livemode, window)
    return cursors.list_answer(name, call.livemode, page, window)


def _options(body: schemas.SessionCreate, *, livemode: bool) -> SessionOptions:
    """Read the fields that are stored as they are. Raises InvalidBody for a URL that payers can't be sent to."""
    for param, url in (
        ("successUrl", body.success_url),
        ("cancelUrl", body.cancel_url),
        ("returnUrl", body.return_url),
    ):
        values.redirect_url(url, livemode=livemode, param=param)
    return SessionOptions(
        **{name: getattr(body, name) for name in _OPTIONS},
        payer_fields=values.payer_fields(body.payer_fields),
        custom_fields=values.custom_fields(body.custom_fields),
    )


def _fiat(amount: schemas.Price) -> Fiat:
    return values.fiat(amount.value, amount.currency, value_param="amount.value", currency_param="amount.currency")


_SELLING = (
    errors.LinkInactive,
    errors.UnsupportedChain,
    errors.UnsupportedAsset,
    errors.AmountTooSmall,
    errors.AmountTooLarge,
    errors.LinkSoldOut,
    errors.ResourceNotFound,
    errors.PriceUnavailable,
    errors.WalletNotConfigured,
)

OPERATIONS = (
    Operation(
        id="createCheckoutSession",
        method="POST",
        path="/checkout_sessions",
        scope=Scope.SESSIONS_WRITE,
        summary="Create a checkout session",
        description="Fixes the price for a limited time and assigns the session its own address. "
        "Send the payer to its `checkoutUrl`.",
        write=create,
        body=schemas.SessionCreate,
        sent={
            "amount": {"value": "10.00", "currency": "USD"},
            "successUrl": "https://shop.example.com/thanks?session={CHECKOUT_SESSION_ID}",
            "cancelUrl": "https://shop.example.com/cart",
            "customerEmail": "ada@example.com",
            "metadata": {"order": "1042"},
        },
        status=201,
        answer=SessionResource,
        example=examples.shown_session,
        raises=_SELLING,
    ),
    Operation(
        id="listCheckoutSessions",
        method="GET",
        path="/checkout_sessions",
        scope=Scope.SESSIONS_READ,
        summary="List checkout sessions",
        read=list_,
        follows_from_database=True,
        query=schemas.SessionsQuery,
        answer=ListResource[SessionResource],
        example=list_example(examples.shown_paid_session),
    ),
    Operation(
        id="getCheckoutSession",
        method="GET",
        path="/checkout_sessions/{id}",
        scope=Scope.SESSIONS_READ,
        summary="Retrieve a checkout session",
        read=show,
        follows_from_database=True,
        answer=SessionResource,
        example=examples.shown_paid_session,
    ),
    Operation(
        id="listCheckoutSessionPayments",
        method="GET",
        path="/checkout_sessions/{id}/payments",
        scope=Scope.SESSIONS_READ,
        summary="List the payments of a session",
        description=(
            "A session shows the newest 100 of its payments; this lists all of them, last recorded first. "
            "Payments have "
            "no ID: continue with `nextCursor`."
        ),
        read=list_payments,
        query=schemas.ListQuery,
        answer=ListResource[PaymentResource],
        example=list_example(lambda public_url: examples.shown_paid_session(public_url)["payments"][0]),
    ),
    Operation(
        id="expireCheckoutSession",
        method="POST",
        path="/checkout_sessions/{id}/expire",
        scope=Scope.SESSIONS_WRITE,
        summary="Close a checkout session",
        description="Works while it is `pending` or `underpaid`. What arrives at its address later is recorded "
        "as late.",
        write=expire,
        answer=SessionResource,
        example=examples.shown_closed_session,
        raises=(errors.SessionNotOpen,),
    ),
    Operation(
        id="acceptCheckoutSession",
        method="POST",
        path="/checkout_sessions/{id}/accept",
        scope=Scope.SESSIONS_WRITE,
        summary="Accept what has arrived",
        description="Accepts what has arrived as the full payment of a session that is underpaid, overpaid or late. "
        "It becomes `paid`.",
        write=accept,
        answer=SessionResource,
        example=examples.shown_paid_session,
        raises=(errors.SessionNotOpen,),
    ),
)
