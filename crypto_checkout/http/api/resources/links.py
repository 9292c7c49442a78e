"""Operations on payment links."""

from dataclasses import replace

from crypto_checkout.core import errors
from crypto_checkout.core.checkout.link import Link
from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.core.public import examples, render
from crypto_checkout.core.public.envelopes import ListResource
from crypto_checkout.core.public.types import DeletedResource, LinkResource
from crypto_checkout.http.api import cursors, schemas, values
from crypto_checkout.http.api.operations import Call, Operation, Resource, Unit, list_example
from crypto_checkout.services.checkout.links import LinkRequest

_LIST = "payment_links"


async def create(call: Call) -> Unit:
    """Create a link."""
    body: schemas.LinkCreate = call.body
    livemode = call.livemode
    new = LinkRequest(
        title=body.title,
        fiat=values.fiat(body.fiat_amount, body.fiat_currency, value_param="fiatAmount", currency_param="fiatCurrency"),
        description=body.description,
        chain_id=body.chain_id,
        asset=body.asset,
        assets=values.assets(body.assets, chain_id=body.chain_id, asset=body.asset),
        success_url=values.redirect_url(body.success_url, livemode=livemode, param="successUrl"),
        cancel_url=values.redirect_url(body.cancel_url, livemode=livemode, param="cancelUrl"),
        metadata=body.metadata,
        payer_fields=values.payer_fields(body.payer_fields),
        custom_fields=values.custom_fields(body.custom_fields),
        active=body.active,
    )
    return call.services.links.create(livemode, new)


async def show(call: Call) -> Resource:
    """Show one link."""
    return await call.services.links.get(call.livemode, call.path["id"])


async def list_(call: Call) -> Resource:
    """List links."""
    query: schemas.LinksQuery = call.query
    window = cursors.window(_LIST, call.livemode, query.limit, query.starting_after, query.ending_before)
    page = await call.services.links.listed(call.livemode, query.active, window)
    return cursors.list_answer(_LIST, call.livemode, page, window)


async def change(call: Call) -> Unit:
    """Update a link; existing sessions keep their price."""
    body: schemas.LinkUpdate = call.body
    given = values.changes(body)
    for name, param in (("success_url", "successUrl"), ("cancel_url", "cancelUrl")):
        values.redirect_url(given.get(name), livemode=call.livemode, param=param)
    if "assets" in given:
        given["assets"] = values.assets(body.assets)
    if "payer_fields" in given:
        given["payer_fields"] = values.payer_fields(body.payer_fields)
    if "custom_fields" in given:
        given["custom_fields"] = values.custom_fields(body.custom_fields)
    amount, currency = given.pop("fiat_amount", None), given.pop("fiat_currency", None)

    def changed(link: Link) -> Link:
        fiat = values.fiat(
            str(link.fiat) if amount is None else amount,
            link.fiat.currency if currency is None else currency,
            value_param="fiatAmount",
            currency_param="fiatCurrency",
        )
        return replace(link, **given, fiat=fiat)

    return call.services.links.update(call.livemode, call.path["id"], changed)


async def delete(call: Call) -> Unit:
    """Delete a link, but not its sessions."""
    return call.services.links.delete(call.livemode, call.path["id"])


_SELLABLE = (errors.UnsupportedChain, errors.UnsupportedAsset, errors.WalletNotConfigured)

OPERATIONS = (
    Operation(
        id="createPaymentLink",
        method="POST",
        path="/payment_links",
        scope=Scope.LINKS_WRITE,
        summary="Make a payment link",
        description="Its `checkoutUrl` can be shared with anyone: each visit makes a session at the link's price.",
        write=create,
        body=schemas.LinkCreate,
        sent={
            "title": "A book",
            "fiatAmount": "30.00",
            "fiatCurrency": "USD",
            "description": "The one with the whale.",
            "metadata": {"sku": "moby-dick"},
        },
        status=201,
        answer=LinkResource,
        example=examples.shown_link,
        raises=_SELLABLE,
    ),
    Operation(
        id="listPaymentLinks",
        method="GET",
        path="/payment_links",
        scope=Scope.LINKS_READ,
        summary="List payment links",
        read=list_,
        query=schemas.LinksQuery,
        answer=ListResource[LinkResource],
        example=list_example(examples.shown_link),
    ),
    Operation(
        id="getPaymentLink",
        method="GET",
        path="/payment_links/{id}",
        scope=Scope.LINKS_READ,
        summary="Show a payment link",
        read=show,
        answer=LinkResource,
        example=examples.shown_link,
    ),
    Operation(
        id="updatePaymentLink",
        method="PATCH",
        path="/payment_links/{id}",
        scope=Scope.LINKS_WRITE,
        summary="Change a payment link",
        description="Sessions already made keep their price.",
        write=change,
        body=schemas.LinkUpdate,
        sent={"fiatAmount": "25.00", "description": None},
        answer=LinkResource,
        example=lambda public_url: {
            **examples.shown_link(public_url),
            "fiatAmount": "25.00",
            "description": None,
        },
        raises=_SELLABLE,
    ),
    Operation(
        id="deletePaymentLink",
        method="DELETE",
        path="/payment_links/{id}",
        scope=Scope.LINKS_WRITE,
        summary="Delete a payment link",
        description="Its page is gone; its sessions stay.",
        write=delete,
        answer=DeletedResource,
        example=lambda public_url: render.deleted(examples.shown_link(public_url)["id"], "payment_link"),
    ),
)
