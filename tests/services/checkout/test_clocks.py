"""A wrong clock takes no time from a payer, on a real chain."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crypto_checkout.core import moments
from tests.support.anvil import Anvil
from tests.support.shop import now, open_shop

Nodes = Callable[..., Anvil]
TTL = timedelta(minutes=15)


class WrongClock:
    """The real time, and an error."""

    def __init__(self, error: timedelta = timedelta(0)) -> None:
        self.error = error

    def __call__(self) -> datetime:
        return now() + self.error


def newest_time(node: Anvil) -> datetime:
    """Return the time of the newest block: it is all that is known of the right time, and a busy machine's is older."""
    return datetime.fromtimestamp(int(node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16), UTC)


@pytest.mark.parametrize("providers", [1, 2])
@pytest.mark.parametrize("error", [timedelta(minutes=-20), timedelta(days=-1)])
async def test_a_clock_that_was_set_back_shortens_no_session_and_expires_none_once_it_is_right(
    anvil: Nodes, tmp_path: Path, providers: int, error: timedelta
) -> None:
    node, clock = anvil(mining="manual"), WrongClock()
    async with open_shop(tmp_path, [node.url] * providers, chain_now=clock, clock=clock) as shop:
        await shop.ask()
        clock.error = error
        for _ in range(2):  # also once the newest event is of the wrong time
            session = await shop.ask()
            assert moments.from_text(session["expiresAt"]) >= newest_time(node) + TTL
            node.mine()
            await shop.process()
        clock.error = timedelta(0)
        node.mine()
        await shop.process()
        assert (await shop.look(session))["status"] == "pending"


@pytest.mark.parametrize("providers", [1, 2])
async def test_a_start_with_a_clock_a_day_behind_makes_sessions_that_outlive_its_correction(
    anvil: Nodes, tmp_path: Path, providers: int
) -> None:
    node, clock = anvil(mining="manual"), WrongClock(timedelta(days=-1))
    async with open_shop(tmp_path, [node.url] * providers, chain_now=clock, clock=clock) as shop:
        node.mine()
        await shop.process()
        session = await shop.ask()
        clock.error = timedelta(0)
        node.mine()
        await shop.process()
        assert (await shop.look(session))["status"] == "pending"
        assert moments.from_text(session["expiresAt"]) < now() + TTL + timedelta(minutes=1)


async def test_a_clock_that_was_ahead_leaves_no_long_sessions_behind(anvil: Nodes, tmp_path: Path) -> None:
    node, clock = anvil(mining="manual"), WrongClock(timedelta(days=1))
    async with open_shop(tmp_path, [node.url], chain_now=clock, clock=clock) as shop:
        await shop.ask()
        clock.error = timedelta(0)
        node.mine()
        await shop.process()
        session = await shop.ask()
        assert moments.from_text(session["expiresAt"]) < now() + TTL + timedelta(minutes=1)
