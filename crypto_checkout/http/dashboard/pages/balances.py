"""Balances: the money at each address, and at all of them together."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from starlette.responses import Response

from crypto_checkout.core.address import checksum
from crypto_checkout.core.collect import safe_file
from crypto_checkout.core.collect.batches import CollectBatch
from crypto_checkout.core.collect.contracts import COLLECTOR
from crypto_checkout.core.errors import ResourceNotFound
from crypto_checkout.core.money import format_fiat
from crypto_checkout.core.public import render
from crypto_checkout.core.public.balances import BalanceTotalResource
from crypto_checkout.core.public.types import AmountResource, FiatResource
from crypto_checkout.http.dashboard.frame.pager import pager
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.services.collect.balances import BalanceFilter, Balances
from crypto_checkout.store.paging import Window

PATH = "/balances"

_REASONS = {
    "fee_too_high": "worth less than twice the fee",
    "unknown_fee": "the chain\u2019s fees are unknown right now",
    "unknown_price": "no price available right now",
}
_CHOICES = (("held", "With a balance"), ("all", "All that ever received money"))
_MOST_DIGITS = 15


@dataclass(frozen=True, slots=True)
class Collecting:
    """The next transaction that collects on a chain: its call, and what it moves where; `later` are left for others."""

    chain_id: int
    destination: str
    to: str
    data: str
    amounts: Sequence[AmountResource]
    moves: int
    addresses: int
    coin: str
    later: int
    is_of_deposits: bool


async def index(request: DashboardRequest) -> Response:
    """Show the totals of each asset, and the addresses behind them."""
    window = request.window()
    filters = BalanceFilter(chain_id=_chain_id(request), is_held=None if _shows_all(request) else True)
    found = await request.services.balances.of(request.livemode, filters, window)
    methods = request.services.checkout.payment_methods
    return request.render(
        "balances.html",
        totals=found.totals,
        worth=_worth(found.totals),
        balances=found.page.items,
        reasons=_REASONS,
        choices=_CHOICES,
        chains=methods.all_chains(),
        own_chains=methods.of(request.livemode).chains,
        pager=pager(request, found.page, window),
        simulates=request.services.sandbox is not None and not request.livemode,
        collecting=_collecting(found) if request.livemode else (),
    )


async def safe(request: DashboardRequest) -> Response:
    """Send the next transaction of a chain as a file for Safe's Transaction Builder."""
    found = await request.services.balances.of(request.livemode, BalanceFilter(), Window(1))
    chain, destination = request.path_params["chain"], request.path_params["destination"]
    for batch in _first(found.to_collect()):
        if (str(batch.chain_id), checksum(batch.destination)) == (chain, destination):
            name = f"Collect for {request.services.title}"
            content = safe_file.file([batch], batch.chain_id, name, request.services.clock())
            return Response(
                json.dumps(content, ensure_ascii=False, indent=2),
                media_type="application/json",
                headers={
                    "Content-Disposition": f'attachment; filename="collect-{chain}.json"',
                    "Cache-Control": "no-store",
                },
            )
    raise ResourceNotFound("There is nothing to collect there at the moment.")


def _worth(totals: Sequence[BalanceTotalResource]) -> FiatResource | None:
    """Return the worth of several coins together; None if the price of one is unknown."""
    values = [total["fiat"] for total in totals if total["fiat"] is not None]
    if len(values) < max(2, len(totals)):
        return None
    currency = values[0]["currency"]
    return {
        "amount": format_fiat(sum((Decimal(each["amount"]) for each in values), Decimal()), currency),
        "currency": currency,
    }


def _collecting(found: Balances) -> list[Collecting]:
    """Return the next transaction of each chain and destination."""
    batches, market = found.to_collect(), found.market
    return [
        Collecting(
            chain_id=batch.chain_id,
            destination=checksum(batch.destination),
            to=checksum(COLLECTOR.address),
            data="0x" + batch.data.hex(),
            amounts=[render.amount(asset, units) for asset, units in batch.sums.items()],
            moves=len(batch.items),
            addresses=batch.addresses,
            coin=market.coins[batch.chain_id].symbol,
            later=sum(len(each.items) for each in batches if _goes_there(each, batch)) - len(batch.items),
            is_of_deposits=batch.is_of_deposits,
        )
        for batch in _first(batches)
        if batch.chain_id in market.coins
    ]


def _first(batches: Sequence[CollectBatch]) -> list[CollectBatch]:
    """Return the first of the transactions of each chain and destination."""
    first: dict[tuple[int, str], CollectBatch] = {}
    for each in batches:
        first.setdefault((each.chain_id, each.destination), each)
    return [*first.values()]


def _goes_there(batch: CollectBatch, other: CollectBatch) -> bool:
    return (batch.chain_id, batch.destination) == (other.chain_id, other.destination)


def _shows_all(request: DashboardRequest) -> bool:
    return request.query_params.get("show") == "all"


def _chain_id(request: DashboardRequest) -> int | None:
    text = request.query_params.get("chain", "")
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else None


PAGES = (
    DashboardPage("GET", PATH, index),
    DashboardPage("GET", f"{PATH}/safe/{{chain}}/{{destination}}", safe),
)
