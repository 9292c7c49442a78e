"""Operations on payment links."""

from dataclasses import replace

from crypto_checkout.core.key import Scope
from crypto_checkout.core.link import Link
from crypto_checkout.services.links import NewLink

from . import cursors, schemas, values
from .operations import Call, Operation, Resource, Unit

_LIST = "payment_links"


async def create(call: Call) -> Unit:
    """Make a link."""
    body: schemas.NewLink = call.body
    livemode = call.livemode
    new = NewLink(
        title=body.title,
        fiat=values.fiat(body.fiat_amount, body.fiat_currency, value_param="fiatAmount", currency_param="fiatCurrency"),
        description=body.description,
        chain_id=body.chain_id,
        asset=body.asset,
        success_url=values.redirect_url(body.success_url, livemode=livemode, param="successUrl"),
        cancel_url=values.redirect_url(body.cancel_url, livemode=livemode, param="cancelUrl"),
        metadata=body.metadata,
        active=body.active,
    )
    return call.services.links.create(livemode, new)


async def show(call: Call) -> Resource:
    """Show one link."""
    return await call.services.links.get(call.livemode, call.path["id"])


async def listed(call: Call) -> Resource:
    """List links."""
    query: schemas.LinksQuery = call.query
    window = cursors.window(_LIST, call.livemode, query.limit, query.starting_after, query.ending_before)
    page = await call.services.links.listed(call.livemode, query.active, window)
    return cursors.listed(_LIST, call.livemode, page, window)


async def change(call: Call) -> Unit:
    """Change a link; its sessions keep their price."""
    body: schemas.ChangedLink = call.body
    given = values.changes(body)
    for name, param in (("success_url", "successUrl"), ("cancel_url", "cancelUrl")):
        values.redirect_url(given.get(name), livemode=call.livemode, param=param)
    amount, currency = given.pop("fiat_amount", None), given.pop("fiat_currency", None)

    def changed(link: Link) -> Link:
        fiat = values.fiat(
            amount or str(link.fiat),
            currency or link.fiat.currency,
            value_param="fiatAmount",
            currency_param="fiatCurrency",
        )
        return replace(link, **given, fiat=fiat)

    return call.services.links.update(call.livemode, call.path["id"], changed)


async def delete(call: Call) -> Unit:
    """Delete a link; its sessions stay."""
    return call.services.links.delete(call.livemode, call.path["id"])


OPERATIONS = (
    Operation(
        method="POST",
        path="/payment_links",
        scope=Scope.LINKS_WRITE,
        summary="Make a payment link",
        write=create,
        body=schemas.NewLink,
        status=201,
    ),
    Operation(
        method="GET",
        path="/payment_links",
        scope=Scope.LINKS_READ,
        summary="List payment links",
        read=listed,
        query=schemas.LinksQuery,
    ),
    Operation(
        method="GET", path="/payment_links/{id}", scope=Scope.LINKS_READ, summary="Show a payment link", read=show
    ),
    Operation(
        method="PATCH",
        path="/payment_links/{id}",
        scope=Scope.LINKS_WRITE,
        summary="Change a payment link",
        write=change,
        body=schemas.ChangedLink,
    ),
    Operation(
        method="DELETE",
        path="/payment_links/{id}",
        scope=Scope.LINKS_WRITE,
        summary="Delete a payment link",
        write=delete,
    ),
)
