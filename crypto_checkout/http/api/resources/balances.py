"""Operations on balances: where the money is."""

from crypto_checkout.core import errors
from crypto_checkout.core.owner.api_key import Scope
from crypto_checkout.core.public import examples
from crypto_checkout.core.public.balances import BalanceListResource
from crypto_checkout.http.api import cursors, schemas
from crypto_checkout.http.api.operations import Call, Operation, Resource
from crypto_checkout.services.collect.balances import BalanceFilter

_LIST = "balances"


async def list_(call: Call) -> Resource:
    """List balances, with their totals."""
    query: schemas.BalancesQuery = call.query
    window = cursors.window(_LIST, call.livemode, query.limit, query.starting_after, query.ending_before)
    filters = BalanceFilter(chain_id=query.chainId, symbol=query.asset, is_held=query.held)
    found = await call.services.balances.of(call.livemode, filters, window)
    return {**cursors.list_answer(_LIST, call.livemode, found.page, window), "totals": list(found.totals)}


OPERATIONS = (
    Operation(
        id="listBalances",
        method="GET",
        path="/balances",
        scope=Scope.BALANCES_READ,
        summary="List balances",
        description=(
            "Where your money is: each address and asset that ever received money, newest address first, and "
            "the totals of "
            "all. The amounts are this server's records; `onChain` is what the chain itself showed. No API call moves "
            "money: it is in your wallet."
        ),
        read=list_,
        query=schemas.BalancesQuery,
        answer=BalanceListResource,
        example=examples.shown_balances,
        raises=(errors.WalletNotConfigured,),
    ),
)
