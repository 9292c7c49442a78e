"""A choice that is written while the watcher is still gathering: the unit that stores a payment has the last word."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from crypto_checkout.core.address import Address
from crypto_checkout.core.assets import Asset, Choice
from crypto_checkout.core.money import Fiat
from crypto_checkout.services.checkout.asset_choice import AssetChoices, ChoiceOutcome
from crypto_checkout.services.checkout.sessions import SessionRequest
from crypto_checkout.services.ledger import watcher
from crypto_checkout.services.ledger.judge import Judge
from crypto_checkout.services.ledger.watcher import Watcher
from crypto_checkout.services.webhooks.outbox import Outbox
from tests.support.anvil import Anvil
from tests.support.shop import ANVIL_CHAIN_ID, CONFIRMATIONS, ONE_COIN, Shop, now, open_shop, pay
from tests.support.solidity import Compiler, deploy
from tests.support.sums import all_unmatched

ETH, USDC = (Choice(ANVIL_CHAIN_ID, symbol) for symbol in ("ETH", "USDC"))
PRICE_UNITS = 3000 * 10**6


class Meanwhile:
    """The chain, but that something else happens once between what the watcher has gathered and what it writes."""

    def __init__(self, chain: Any, happens: Callable[[], Awaitable[Any]]) -> None:
        self._chain = chain
        self._happens: Callable[[], Awaitable[Any]] | None = happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)

    async def confirm(self, transfers: Any) -> None:
        await self._chain.confirm(transfers)
        happens, self._happens = self._happens, None
        if happens is not None:
            await happens()


async def processed_while(shop: Shop, happens: Callable[[], Awaitable[Any]]) -> None:
    watching = Watcher(
        shop.db,
        cast("watcher.BlockSource", Meanwhile(shop.chain, happens)),
        Judge(Outbox(), chain_id=ANVIL_CHAIN_ID, public_url="http://x"),
        chain_id=ANVIL_CHAIN_ID,
        livemode=True,
        name="Anvil",
        poll_seconds=1,
        start_block="latest",
        clock=now,
    )
    while await watching.turn():
        pass


@pytest.mark.parametrize("paid", [ETH, USDC])
@pytest.mark.parametrize("before", [None, ETH, USDC])
@pytest.mark.parametrize("after", [ETH, USDC])
async def test_money_is_counted_by_the_choice_that_stands_when_it_is_stored(
    anvil: Callable[..., Anvil], solc: Compiler, tmp_path: Path, paid: Choice, before: Choice | None, after: Choice
) -> None:
    node = anvil(mining="manual")
    token = deploy(node, solc, "Token")
    usdc = Asset(ANVIL_CHAIN_ID, "USDC", 6, Address(token.address), usd_pegged=True)
    async with open_shop(tmp_path, [node.url], tokens=[usdc]) as shop:
        asset_choices = AssetChoices(shop.db, shop.payment_methods)
        wanted = SessionRequest(fiat=Fiat(Decimal("3000.00"), "USD"), assets=(ETH, USDC))
        session = await shop.sessions.create(livemode=True, request=wanted)
        if before is not None:
            assert await asset_choices.choose(session["id"], before, None) is ChoiceOutcome.CHOSEN
        if paid == ETH:
            pay(node, session, ONE_COIN)
        else:
            token.send("transfer(address,uint256)", session["address"], PRICE_UNITS)
        node.mine(CONFIRMATIONS)

        async def choose() -> None:
            assert await asset_choices.choose(session["id"], after, before) is ChoiceOutcome.CHOSEN

        await processed_while(shop, choose)
        found = await shop.look(session)
        others = await shop.db.read(lambda unit: all_unmatched(unit, session["id"]))
        assert (found["asset"], found["assetChosen"]) == (after.symbol, True)
        if after == paid:
            assert (found["status"], len(found["payments"]), others) == ("paid", 1, [])
        else:
            assert (found["status"], found["payments"], len(others)) == ("pending", [], 1)
        assert await asset_choices.choose(session["id"], ETH if after == USDC else USDC, after) is ChoiceOutcome.LOCKED
