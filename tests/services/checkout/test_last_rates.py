"""The last rates, which a lone price source may not leave far behind, also after a restart."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from crypto_checkout.store.checkout import sessions
from tests.support.anvil import Anvil
from tests.support.shop import now, open_shop

Nodes = Callable[..., Anvil]


async def test_the_last_rate_of_each_pair_is_that_of_the_newest_session(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        hour = timedelta(hours=1)
        assert await shop.db.read(lambda unit: sessions.last_rates(unit, now() - hour)) == []
        for _ in range(2):
            session = await shop.ask()
        (rate,) = await shop.db.read(lambda unit: sessions.last_rates(unit, now() - hour))
        assert (rate.base, rate.quote, rate.value) == ("ETH", "USD", Decimal(3000))
        assert f"{rate.observed_at:%Y-%m-%dT%H:%M:%S}" == session["rate"]["observedAt"][:19]
        assert await shop.db.read(lambda unit: sessions.last_rates(unit, now() + hour)) == []
