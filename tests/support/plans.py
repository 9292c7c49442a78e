"""Plans to collect from the wallet of a well-known recovery phrase."""

from collections.abc import Iterable
from dataclasses import replace

from crypto_checkout.chain.wallet import signing
from crypto_checkout.chain.wallet.xpub import ExtendedPublicKey
from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset
from crypto_checkout.core.collect import plan as core
from crypto_checkout.core.collect.plan import BlockRef, Fees, Fuel, Funding, Item, Plan, Way
from tests.support.wallets import xpub_of

WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
CHAIN_ID = 31337
DESTINATION = Address("0x" + "d0" * 20)
COIN = Asset(CHAIN_ID, "ETH", 18)
TOKEN = Asset(CHAIN_ID, "USDX", 6, Address("0x" + "7e" * 20))
FEES = Fees(2 * 10**9, 10**9, 0)


def a_plan(way: Way, addresses: int = 2) -> Plan:
    """Return a plan for a token at each address, and the coin at the last one, as the planner makes it."""
    key = ExtendedPublicKey.parse(xpub_of(WORDS))
    batched = way is Way.EIP_7702
    items = [Item(index, key.address(index), TOKEN, 10**6, 0, 60_000) for index in range(addresses)]
    items.append(Item(addresses - 1, key.address(addresses - 1), COIN, 10**16, 0 if batched else 1, 26_000))
    funding = () if batched else (Funding(0, key.address(0), 60_000 * FEES.per_gas, 21_000),)
    plan = Plan(
        chain_id=CHAIN_ID,
        wallet_id=key.wallet_id,
        path=key.branch,
        destination=DESTINATION,
        way=way,
        block=BlockRef(100, "0x" + "ab" * 32),
        items=tuple(items),
        funding=funding,
        fuel=Fuel(signing.fuel_address(key), 5, 0),
        fees=FEES,
        deploy_gas=250_000 if batched else None,
        left_behind=(),
    )
    return replace(plan, fuel=replace(plan.fuel, units=core.fuel_needed(plan)))


class Addresses:
    """The addresses of that wallet, and batches that empty them where they delegate."""

    def __init__(self) -> None:
        self._key = ExtendedPublicKey.parse(xpub_of(WORDS))
        self.address = self._key.address
        self.fuel = signing.fuel_address(self._key)

    def batch(self, indexes: Iterable[int], asset: Asset, nonce: int | None) -> Plan:
        """Return a plan of one batch; `nonce` is that of each address, None if it delegates already."""
        items = tuple(Item(index, self.address(index), asset, 1, nonce, 70_000) for index in indexes)
        return replace(a_plan(Way.EIP_7702), items=items, deploy_gas=None)
