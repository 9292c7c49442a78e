"""Operations on payment links."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field

from crypto_checkout.core import errors
from crypto_checkout.core.checkout.link import MOST_PIECES, MOST_STOCK, MOST_SUGGESTED, Link, LinkPrice, LinkQuantity
from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.core.public import examples, render
from crypto_checkout.core.public.envelopes import ListResource
from crypto_checkout.core.public.link_types import LinkResource
from crypto_checkout.core.public.types import DeletedResource
from crypto_checkout.http.api import cursors, values
from crypto_checkout.http.api.fields import (
    AmountText,
    ChainId,
    CurrencyCode,
    Description,
    Flag,
    Metadata,
    Symbol,
    Title,
    Url,
    Whole,
)
from crypto_checkout.http.api.operations import Call, Operation, Resource, Unit, list_example
from crypto_checkout.http.api.schemas import Assets, CustomFields, ListQuery, PayerFieldsCreate, Request
from crypto_checkout.services.checkout.links import LinkRequest

_LIST = "payment_links"
_PRICE = ("fiat_amount", "fiat_currency", "min_fiat_amount", "max_fiat_amount", "suggested_amounts")


class QuantityTerms(Request):
    """The number of pieces that a payment link sells."""

    min: Annotated[int, Field(ge=1, le=MOST_PIECES), Whole] = 1
    """The least that one payer may order."""
    max: Annotated[int, Field(ge=1, le=MOST_PIECES), Whole] | None = None
    """The most that one payer may order; null for as many as there are."""
    stock: Annotated[int, Field(ge=0, le=MOST_STOCK), Whole] | None = None
    """The number for sale in all, sold and reserved ones included; null for any number."""


SuggestedAmounts = Annotated[
    list[AmountText], Field(min_length=1, max_length=MOST_SUGGESTED, json_schema_extra={"uniqueItems": True})
]


class LinkCreate(Request):
    """A new payment link: give either `assets` or `chainId` and `asset`, or none of them."""

    title: Title
    """The product's name."""
    fiat_amount: AmountText | None
    """The price, with at most as many decimals as its currency has; of one piece with `quantity`. Null lets the payer
    name the amount."""
    fiat_currency: CurrencyCode = "USD"
    """The currency (ISO 4217)."""
    min_fiat_amount: AmountText | None = None
    """The least that a payer may name, if `fiatAmount` is null."""
    max_fiat_amount: AmountText | None = None
    """The most that a payer may name, if `fiatAmount` is null."""
    suggested_amounts: SuggestedAmounts | None = None
    """Amounts that the page offers, if `fiatAmount` is null; the payer may name any other."""
    quantity: QuantityTerms | None = None
    """Lets the payer choose the number of pieces; `fiatAmount` is then the price of one."""
    description: Description | None = None
    """The product's description."""
    chain_id: ChainId | None = None
    """The chain to pay on; by default the first configured one."""
    asset: Symbol | None = None
    """The coin to pay in; by default the chain's native coin."""
    assets: Assets | None = None
    """The payer's choices, instead of `chainId` and `asset`."""
    success_url: Url | None = None
    """The page for payers who have paid; may contain `{CHECKOUT_SESSION_ID}`. https, or http for loopback hosts and in
    test mode."""
    cancel_url: Url | None = None
    """The page for payers who cancel."""
    metadata: Metadata | None = None
    """Your own data; the link's sessions get a copy."""
    payer_fields: PayerFieldsCreate | None = None
    """What to ask payers for before an address is shown; by default nothing."""
    custom_fields: CustomFields | None = None
    """Your own questions to payers; by default none."""
    active: bool = True
    """Whether the link takes payments."""


class LinkUpdate(Request):
    """Changes to a payment link: fields not given stay as they are; null removes optional ones."""

    title: Title = ""
    """The product's name."""
    fiat_amount: AmountText | None = ""
    """The price, with at most as many decimals as its currency has; null lets the payer name the amount."""
    fiat_currency: CurrencyCode = ""
    """The currency (ISO 4217)."""
    min_fiat_amount: AmountText | None = None
    """The least that a payer may name."""
    max_fiat_amount: AmountText | None = None
    """The most that a payer may name."""
    suggested_amounts: SuggestedAmounts | None = None
    """Amounts that the page offers."""
    quantity: QuantityTerms | None = None
    """The number of pieces that a payer may choose, replaced as a whole. A `stock` below what is sold sells no more."""
    description: Description | None = None
    """The product's description."""
    chain_id: ChainId | None = None
    """The chain to pay on."""
    asset: Symbol | None = None
    """The coin to pay in."""
    assets: Assets | None = None
    """The payer's choices; for a link with a `chainId` or an `asset`, set those to null as well."""
    success_url: Url | None = None
    """The page for payers who have paid."""
    cancel_url: Url | None = None
    """The page for payers who cancel."""
    metadata: Metadata | None = None
    """Your own data, replaced as a whole."""
    payer_fields: PayerFieldsCreate | None = None
    """What to ask payers for, replaced as a whole; sessions already made ask what they did."""
    custom_fields: CustomFields | None = None
    """Your own questions to payers, replaced as a whole."""
    active: bool = True
    """Whether the link takes payments."""


class LinksQuery(ListQuery):
    """The filters of `GET /payment_links`."""

    active: Flag | None = None
    """Only those that take payments (`true`), or only those that don't (`false`)."""


async def create(call: Call) -> Unit:
    """Create a link."""
    body: LinkCreate = call.body
    livemode = call.livemode
    new = LinkRequest(
        title=body.title,
        price=values.link_price(
            body.fiat_amount,
            body.fiat_currency,
            minimum=body.min_fiat_amount,
            maximum=body.max_fiat_amount,
            suggested=body.suggested_amounts,
        ),
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
        quantity=_quantity(body.quantity),
    )
    return call.services.links.create(livemode, new)


async def show(call: Call) -> Resource:
    """Show one link."""
    return await call.services.links.get(call.livemode, call.path["id"])


async def list_(call: Call) -> Resource:
    """List links."""
    query: LinksQuery = call.query
    window = cursors.window(_LIST, call.livemode, query.limit, query.starting_after, query.ending_before)
    page = await call.services.links.listed(call.livemode, query.active, window)
    return cursors.list_answer(_LIST, call.livemode, page, window)


async def change(call: Call) -> Unit:
    """Update a link; existing sessions keep their price."""
    body: LinkUpdate = call.body
    given = values.changes(body)
    for name, param in (("success_url", "successUrl"), ("cancel_url", "cancelUrl")):
        values.redirect_url(given.get(name), livemode=call.livemode, param=param)
    if "assets" in given:
        given["assets"] = values.assets(body.assets)
    if "payer_fields" in given:
        given["payer_fields"] = values.payer_fields(body.payer_fields)
    if "custom_fields" in given:
        given["custom_fields"] = values.custom_fields(body.custom_fields)
    if "quantity" in given:
        given["quantity"] = _quantity(body.quantity)
    of_price = {name: given.pop(name) for name in _PRICE if name in given}

    def changed(link: Link) -> Link:
        return replace(link, **given, price=_price(link.price, of_price))

    return call.services.links.update(call.livemode, call.path["id"], changed)


def _quantity(given: QuantityTerms | None) -> LinkQuantity | None:
    return None if given is None else LinkQuantity(given.min, given.max, given.stock)


def _price(before: LinkPrice, given: Mapping[str, Any]) -> LinkPrice:
    """Return a link's price with some of its fields changed; what stays has to fit a new currency, too."""

    def text(name: str, amount: Decimal | None) -> str | None:
        value: str | None = given.get(name, None if amount is None else before.text(amount))
        return value

    return values.link_price(
        text("fiat_amount", before.amount),
        given.get("fiat_currency", before.currency),
        minimum=text("min_fiat_amount", before.minimum),
        maximum=text("max_fiat_amount", before.maximum),
        suggested=given.get("suggested_amounts", [before.text(each) for each in before.suggested]),
    )


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
        summary="Create a payment link",
        description="Its `checkoutUrl` can be shared with anyone: each visit creates a session at the link's price. "
        "With `fiatAmount` null, or a `quantity`, the page asks the payer first.",
        write=create,
        body=LinkCreate,
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
        query=LinksQuery,
        answer=ListResource[LinkResource],
        example=list_example(examples.shown_link),
    ),
    Operation(
        id="getPaymentLink",
        method="GET",
        path="/payment_links/{id}",
        scope=Scope.LINKS_READ,
        summary="Retrieve a payment link",
        read=show,
        answer=LinkResource,
        example=examples.shown_link,
    ),
    Operation(
        id="updatePaymentLink",
        method="PATCH",
        path="/payment_links/{id}",
        scope=Scope.LINKS_WRITE,
        summary="Update a payment link",
        description="Existing sessions keep their price.",
        write=change,
        body=LinkUpdate,
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
        description="Removes its page; its sessions remain.",
        write=delete,
        answer=DeletedResource,
        example=lambda public_url: render.deleted(examples.shown_link(public_url)["id"], "payment_link"),
    ),
)
