"""The form of a payment link: its initial values, and its submitted ones."""

from collections.abc import Mapping
from typing import Any

from crypto_checkout.core import urls
from crypto_checkout.core.assets import Choice
from crypto_checkout.core.errors import CheckoutError, UnsupportedAsset, UnsupportedChain
from crypto_checkout.core.public.link_types import LinkResource
from crypto_checkout.http.dashboard.frame.forms import sentence
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.pages import link_price, link_questions, metadata_form
from crypto_checkout.services.checkout.links import LinkRequest
from crypto_checkout.services.checkout.payment_methods import PaymentMethods

_LONGEST_DESCRIPTION = 1_000
_LONGEST_URL = 2_048


def read(request: DashboardRequest, before: LinkResource | None = None) -> LinkRequest | None:
    """Return the submitted form as a link request, or None with errors in the form."""
    form, methods = request.form, request.services.checkout.payment_methods.of(request.livemode)
    title, terms = form.text("title"), link_price.read(form)
    description = form.text("description", _LONGEST_DESCRIPTION, optional=True, lines=True)
    success_url, cancel_url = _url(request, "success_url"), _url(request, "cancel_url")
    metadata = metadata_form.read(form, "metadata", before["metadata"] if before else None)
    payer_fields, custom_fields = link_questions.read_usual(form), link_questions.read_own(form)
    named = _choices_by_value(methods, before)
    ticked = [named[each] for each in dict.fromkeys(form.values("coins")) if each in named]
    if terms is None or not form.is_valid:
        return None
    only = ticked[0] if len(ticked) == 1 else None
    return LinkRequest(
        title,
        terms[0],
        description=description or None,
        chain_id=only.chain_id if only else None,
        asset=only.symbol if only else None,
        assets=() if only else tuple(ticked),
        success_url=success_url,
        cancel_url=cancel_url,
        metadata=metadata,
        payer_fields=payer_fields,
        custom_fields=custom_fields,
        quantity=terms[1],
    )


def note_refusal(request: DashboardRequest, error: CheckoutError) -> None:
    """Add an error raised by a service to its field."""
    if isinstance(error, UnsupportedChain | UnsupportedAsset):
        request.form.errors["coins"] = error.message
    else:
        request.form.add_error(error, {error.param or "": link_price.field_of(error), "customFields": "metadata"})


def context(
    request: DashboardRequest, link: LinkResource | None = None, *, like: LinkResource | None = None
) -> dict[str, Any]:
    """Return the template's context; a link provides the initial values, `like` only the currency and coins."""
    methods = request.services.checkout.payment_methods.of(request.livemode)
    before = link or like
    return {
        "link": link,
        "currency": before["fiatCurrency"] if before else "USD",
        "coins": [(name, describe(methods, choice)) for name, choice in _choices_by_value(methods, link).items()],
        "ticked": [_value(choice) for choice in link_choices(methods, before)] if before else [],
        "usual": usual(methods),
        "metadata": metadata_form.to_lines(link["metadata"]) if link else "",
        "asked": link_questions.usual(link),
        "questions": link_questions.blocks(link),
        "price": link_price.context(link),
        "kinds": link_price.KINDS,
    }


def link_choices(methods: PaymentMethods, link: LinkResource) -> list[Choice]:
    """Return the assets that a link is restricted to, if any."""
    if link["assets"]:
        return [Choice(each["chainId"], each["asset"]) for each in link["assets"]]
    chain_id, symbol = link["chainId"], link["asset"]
    if chain_id is None and symbol is None:
        return []
    chain = next((each for each in methods.chains if chain_id in {None, each.id}), None)
    native = chain.assets[0].symbol if chain else ""
    return [Choice(chain.id if chain else chain_id or 0, symbol or native)]


def usual(methods: PaymentMethods) -> str:
    """Return the coin of links that name none, like `ETH on Ethereum`."""
    return describe(methods, methods.chain(None).asset(None).choice)


def describe(methods: PaymentMethods, choice: Choice) -> str:
    """Return a choice like `ETH on Ethereum`, noting if it is no longer configured."""
    name = next((chain.name for chain in methods.chains if chain.id == choice.chain_id), f"chain {choice.chain_id}")
    is_known = bool(methods.configured([choice]))
    return f"{choice.symbol or 'The coin'} on {name}" + ("" if is_known else " (no longer configured)")


def _choices_by_value(methods: PaymentMethods, link: LinkResource | None) -> Mapping[str, Choice]:
    """Return the choices by the values of their boxes: the configured assets, and those of the link."""
    configured = [asset.choice for chain in methods.chains for asset in chain.assets]
    return {_value(choice): choice for choice in (*configured, *(link_choices(methods, link) if link else ()))}


def _value(choice: Choice) -> str:
    return f"{choice.chain_id}:{choice.symbol}"


def _url(request: DashboardRequest, name: str) -> str | None:
    url = request.form.text(name, _LONGEST_URL, optional=True)
    objection = urls.redirect_objection(url, livemode=request.livemode) if url else None
    if objection is not None and name not in request.form.errors:
        request.form.errors[name] = sentence(f"this {objection}" if objection.startswith("must") else objection)
    return url or None
