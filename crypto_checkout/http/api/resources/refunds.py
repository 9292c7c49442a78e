"""Operations on refunds."""

from crypto_checkout.core import errors
from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.core.public import examples
from crypto_checkout.core.public.envelopes import ListResource
from crypto_checkout.core.public.refund_types import RefundResource
from crypto_checkout.http.api import cursors, schemas
from crypto_checkout.http.api.fields import (
    AddressText,
    ChainId,
    CoinText,
    Description,
    HashText,
    Id,
    RefundState,
    Symbol,
)
from crypto_checkout.http.api.operations import Call, Operation, Resource, Unit, list_example
from crypto_checkout.services.refunds.refunds import RefundRequest
from crypto_checkout.store.refunds.refunds import RefundFilter

_LIST = "refunds"


class RefundCreate(schemas.Request):
    """A new refund."""

    session_id: Id
    """The session whose address received the money."""
    amount: CoinText | None = None
    """The amount in whole coins; by default all that is refundable."""
    chain_id: ChainId | None = None
    """The chain, if money came on another one than the session's."""
    asset: Symbol | None = None
    """The coin, if money came in another one than the session's."""
    reason: Description | None = None
    """Your own words; payers see them."""
    destination: AddressText | None = None
    """The address that gets the money, if you know it: with a correct checksum (EIP-55), or in one case throughout."""


class RefundMarkPaid(schemas.Request):
    """The transaction that pays a refund."""

    tx_hash: HashText
    """The hash of the transaction."""


class RefundsQuery(schemas.ListQuery):
    """The filters of `GET /refunds`."""

    status: RefundState | None = None
    """Only those with this status."""
    sessionId: Id | None = None  # noqa: N815
    """Only those of this session."""


async def create(call: Call) -> Unit:
    """Create a refund."""
    body: RefundCreate = call.body
    request = RefundRequest(
        session_id=body.session_id,
        amount=body.amount,
        chain_id=body.chain_id,
        asset=body.asset,
        reason=body.reason,
        destination=body.destination,
    )
    return call.services.refunds.create(call.livemode, request)


async def show(call: Call) -> Resource:
    """Show one refund."""
    return await call.services.refunds.get(call.livemode, call.path["id"])


async def list_(call: Call) -> Resource:
    """List refunds."""
    query: RefundsQuery = call.query
    window = cursors.window(_LIST, call.livemode, query.limit, query.starting_after, query.ending_before)
    page = await call.services.refunds.listed(call.livemode, RefundFilter(query.status, query.sessionId), window)
    return cursors.list_answer(_LIST, call.livemode, page, window)


async def cancel(call: Call) -> Unit:
    """Cancel a refund."""
    return await call.services.refunds.cancel(call.livemode, call.path["id"])


async def paid(call: Call) -> Unit:
    """Note the transaction that pays a refund."""
    body: RefundMarkPaid = call.body
    return await call.services.refunds.paid(call.livemode, call.path["id"], body.tx_hash)


OPERATIONS = (
    Operation(
        id="createRefund",
        method="POST",
        path="/refunds",
        scope=Scope.REFUNDS_WRITE,
        summary="Create a refund",
        description="Without a `destination` the payer gives one at the refund's `claimUrl`. The owner approves the "
        "address in the dashboard, and pays from the shop's own wallet: no API call moves money.",
        write=create,
        body=RefundCreate,
        sent={"sessionId": "cs_01KG9YS7G0929A8CYZ6W9BHVT8", "amount": "0.001", "reason": "The book is out of print."},
        status=201,
        answer=RefundResource,
        example=examples.shown_refund,
        raises=(errors.UnsupportedChain, errors.UnsupportedAsset, errors.ResourceNotFound, errors.WalletNotConfigured),
    ),
    Operation(
        id="listRefunds",
        method="GET",
        path="/refunds",
        scope=Scope.REFUNDS_READ,
        summary="List refunds",
        read=list_,
        query=RefundsQuery,
        answer=ListResource[RefundResource],
        example=list_example(examples.shown_paid_refund),
    ),
    Operation(
        id="getRefund",
        method="GET",
        path="/refunds/{id}",
        scope=Scope.REFUNDS_READ,
        summary="Retrieve a refund",
        read=show,
        answer=RefundResource,
        example=examples.shown_paid_refund,
    ),
    Operation(
        id="cancelRefund",
        method="POST",
        path="/refunds/{id}/cancel",
        scope=Scope.REFUNDS_WRITE,
        summary="Cancel a refund",
        description="Works until a transaction is named for it.",
        write=cancel,
        answer=RefundResource,
        example=examples.shown_canceled_refund,
        raises=(errors.RefundNotOpen,),
    ),
    Operation(
        id="markRefundPaid",
        method="POST",
        path="/refunds/{id}/paid",
        scope=Scope.REFUNDS_WRITE,
        summary="Name the transaction that pays a refund",
        description="The refund becomes `seen` and `paid` once the chain shows that this transaction sends at least "
        "the amount to the approved address. One transaction can pay several refunds, each with its own transfer.",
        write=paid,
        body=RefundMarkPaid,
        sent={"txHash": "0x" + "7e" * 32},
        answer=RefundResource,
        example=examples.shown_paid_refund,
        raises=(errors.RefundNotOpen,),
    ),
)
