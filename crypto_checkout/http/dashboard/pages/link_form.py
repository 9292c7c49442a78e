"""The form of a payment link: what stands in it, and what was filled in."""

from collections.abc import Mapping
from typing import Any

from crypto_checkout.core import urls
from crypto_checkout.core.assets import Choice
from crypto_checkout.core.errors import CheckoutError, UnsupportedAsset, UnsupportedChain
from crypto_checkout.core.public.types import LinkResource
from crypto_checkout.http.dashboard.frame.forms import sentence
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.pages import metadata_form
from crypto_checkout.services.checkout.links import LinkRequest
from crypto_checkout.services.checkout.payment_methods import PaymentMethods

_LONGEST_DESCRIPTION = 1_000
_LONGEST_URL = 2_048


def read(request: DashboardRequest, before: LinkResource | None = None) -> LinkRequest | None:
    """Return what was filled in; None where something is wrong, which is noted in the form."""
    form, methods = request.form, request.services.checkout.payment_methods.of(request.livemode)
    title, price = form.text("title"), form.price()
    description = form.text("description", _LONGEST_DESCRIPTION, optional=True, lines=True)
    success_url, cancel_url = _url(request, "success_url"), _url(request, "cancel_url")
    metadata = metadata_form.read(form, "metadata", before["metadata"] if before else None)
    named = _names(methods, before)
    ticked = [named[each] for each in dict.fromkeys(form.values("coins")) if each in named]
    if price is None or not form.is_good:
        return None
    only = ticked[0] if len(ticked) == 1 else None
    return LinkRequest(
        title,
        price,
        description=description or None,
        chain_id=only.chain_id if only else None,
        asset=only.symbol if only else None,
        assets=() if only else tuple(ticked),
        success_url=success_url,
        cancel_url=cancel_url,
        metadata=metadata,
    )


def refused(request: DashboardRequest, error: CheckoutError) -> None:
    """Note at its field what a service refused."""
    if isinstance(error, UnsupportedChain | UnsupportedAsset):
        request.form.mistakes["coins"] = error.message
    else:
        request.form.note(error)


def content(request: DashboardRequest, link: LinkResource | None = None) -> dict[str, Any]:
    """Return what the template of the form needs; with a link, what stands in it at first."""
    methods = request.services.checkout.payment_methods.of(request.livemode)
    first = methods.chain(None)
    return {
        "link": link,
        "coins": [(name, describe(methods, choice)) for name, choice in _names(methods, link).items()],
        "ticked": [_name(choice) for choice in chosen(methods, link)] if link else [],
        "usual": describe(methods, first.asset(None).choice),
        "metadata": metadata_form.to_lines(link["metadata"]) if link else "",
    }


def chosen(methods: PaymentMethods, link: LinkResource) -> list[Choice]:
    """Return what a link can be paid with, where it says so."""
    if link["assets"]:
        return [Choice(each["chainId"], each["asset"]) for each in link["assets"]]
    chain_id, symbol = link["chainId"], link["asset"]
    if chain_id is None and symbol is None:
        return []
    chain = next((each for each in methods.chains if chain_id in {None, each.id}), None)
    native = chain.assets[0].symbol if chain else ""
    return [Choice(chain.id if chain else chain_id or 0, symbol or native)]


def describe(methods: PaymentMethods, choice: Choice) -> str:
    """Write `ETH on Ethereum`, and of what isn't configured any more that it isn't."""
    name = next((chain.name for chain in methods.chains if chain.id == choice.chain_id), f"chain {choice.chain_id}")
    is_known = bool(methods.configured([choice]))
    return f"{choice.symbol or 'The coin'} on {name}" + ("" if is_known else " (not configured any more)")


def _names(methods: PaymentMethods, link: LinkResource | None) -> Mapping[str, Choice]:
    """Return what can be ticked, by the boxes' values: the configured assets, and those that a link has already."""
    configured = [asset.choice for chain in methods.chains for asset in chain.assets]
    return {_name(choice): choice for choice in (*configured, *(chosen(methods, link) if link else ()))}


def _name(choice: Choice) -> str:
    return f"{choice.chain_id}:{choice.symbol}"


def _url(request: DashboardRequest, name: str) -> str | None:
    url = request.form.text(name, _LONGEST_URL, optional=True)
    wrong = urls.redirect_objection(url, livemode=request.livemode) if url else None
    if wrong is not None and name not in request.form.mistakes:
        request.form.mistakes[name] = sentence(f"this {wrong}" if wrong.startswith("must") else wrong)
    return url or None
