"""What processes that follow know of the chains, and the single turns that they take beside the leader."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from crypto_checkout.core.errors import ChainMoved
from crypto_checkout.core.upkeep.leader import ALONE, NO_LEADER, ElectionState
from crypto_checkout.services.alerts.server_issues import ProviderStatus
from crypto_checkout.services.leader.report import Findings, LeaderReport
from crypto_checkout.services.ledger.watcher import Watcher
from tests.support.anvil import Anvil
from tests.support.shop import CONFIRMATIONS, Shop, now, open_shop, pay

Nodes = Callable[..., Anvil]
AHEAD = timedelta(seconds=40)
CUT_OFF = timedelta(milliseconds=1)
"""What a moment loses as text."""


@dataclass(frozen=True)
class Provider:
    name: str
    failures: int = 0
    is_resting: bool = False
    last_error: str | None = None


def providers() -> Sequence[ProviderStatus]:
    return [Provider("node.example", 3, is_resting=True, last_error="no answer")]


async def shown(shop: Shop) -> str:
    """Return what is stored for the others."""
    row = await shop.db.read(lambda unit: unit.one("SELECT seen FROM leader"))
    assert row is not None
    return str(row["seen"])


async def test_a_process_that_follows_knows_the_chains_as_the_leader_does_by_its_own_clock(
    anvil: Nodes, tmp_path: Path
) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        own = Findings({shop.chain_id: providers}, lambda: {shop.chain_id: "low fuel"}, lambda: 7)
        await LeaderReport(shop.db, [shop.watcher], own, now).publish()
        follower = shop.make_watcher()
        report = LeaderReport(shop.db, [follower], Findings({shop.chain_id: list}), lambda: now() + AHEAD)
        assert follower.status.lag is None
        report.receive(ElectionState(False, None, await shown(shop)))
        assert follower.status.head == shop.watcher.status.head
        assert follower.status.processed == shop.watcher.status.processed
        assert follower.status.seen_at is not None
        assert shop.watcher.status.seen_at is not None
        ahead = follower.status.seen_at - shop.watcher.status.seen_at
        assert AHEAD - CUT_OFF <= ahead < AHEAD + timedelta(minutes=5)
        (provider,) = report.findings.providers[shop.chain_id]()
        assert (provider.name, provider.failures, provider.is_resting, provider.last_error) == (
            "node.example",
            3,
            True,
            "no answer",
        )
        assert (report.findings.collecting(), report.findings.foreign_index()) == ({shop.chain_id: "low fuel"}, 7)
        report.receive(ALONE)
        assert (report.findings.providers[shop.chain_id](), report.findings.collecting()) == ([], {})


async def test_what_a_later_version_shows_in_addition_is_left_alone(anvil: Nodes, tmp_path: Path) -> None:
    async with open_shop(tmp_path, [anvil(mining="manual").url]) as shop:
        await LeaderReport(shop.db, [shop.watcher], Findings(), now).publish()
        seen: dict[str, Any] = json.loads(await shown(shop))
        seen["chains"][str(shop.chain_id)]["mood"] = "good"
        seen["chains"]["5"] = {"head": 1}
        follower = shop.make_watcher()
        report = LeaderReport(shop.db, [follower], Findings(), now)
        report.receive(ElectionState(False, None, "{}"))
        assert follower.status.lag is None
        report.receive(ElectionState(False, None, json.dumps(seen)))
        assert follower.status.lag == 0


async def test_it_is_written_again_only_when_a_chain_stops_or_after_a_while(anvil: Nodes, tmp_path: Path) -> None:
    clock = now()
    async with open_shop(tmp_path, [anvil(mining="manual").url]) as shop:
        report = LeaderReport(shop.db, [shop.watcher], Findings(), lambda: clock)
        await report.publish()
        first = await shown(shop)
        clock += timedelta(seconds=4)
        await report.publish()
        assert await shown(shop) == first
        clock += timedelta(seconds=1)
        await report.publish()
        second = await shown(shop)
        assert second != first
        shop.watcher._progress.stopped(RuntimeError("another chain"))
        await report.publish()
        assert await shown(shop) != second


async def follow(watcher: Watcher) -> None:
    """Process all blocks there are, and try again where another watcher was faster, as the loop does."""
    while True:
        try:
            while await watcher.turn():
                pass
        except ChainMoved:
            continue
        return


async def test_turns_on_request_beside_the_leader_find_each_payment_once(anvil: Nodes, tmp_path: Path) -> None:
    node = anvil(mining="manual")
    async with open_shop(tmp_path, [node.url]) as shop:
        beside = shop.make_watcher()
        for first, second in ((beside, shop.watcher), (shop.watcher, beside), (beside, beside)):
            beside.adopt(shop.watcher.status)
            session = await shop.ask()
            pay(node, session)
            node.mine()
            await follow(first)
            assert (await shop.look(session))["status"] == "detected"
            node.mine(CONFIRMATIONS - 1)
            await asyncio.gather(follow(first), follow(second))
            assert (await shop.look(session))["status"] == "paid"
            assert await shop.events(session) == ["session.detected", "session.paid"]


async def test_the_time_without_a_leader_is_no_outage_of_a_chain(anvil: Nodes, tmp_path: Path) -> None:
    async with open_shop(tmp_path, [anvil(mining="manual").url]) as shop:
        shop.watcher._progress.looking()
        report = LeaderReport(shop.db, [shop.watcher], Findings(), now)
        report.receive(ALONE)
        await report.publish()
        follower = shop.make_watcher()
        LeaderReport(shop.db, [follower], Findings(), now).receive(ElectionState(False, None, await shown(shop)))
        report.receive(NO_LEADER)
        for each in (shop.watcher, follower):
            assert each.status.stuck_reason(now() + timedelta(minutes=5)) is None


async def test_a_chain_that_cannot_be_read_is_so_at_each_process(anvil: Nodes, tmp_path: Path) -> None:
    async with open_shop(tmp_path, [anvil(mining="manual").url]) as shop:
        shop.watcher._progress.looking()
        clock = now() + timedelta(seconds=20)
        await LeaderReport(shop.db, [shop.watcher], Findings(), lambda: clock).publish()
        follower = shop.make_watcher()
        LeaderReport(shop.db, [follower], Findings(), lambda: clock).receive(
            ElectionState(False, None, await shown(shop))
        )
        assert follower.status.stuck_reason(clock) is None
        assert follower.status.stuck_reason(clock + timedelta(seconds=10)) is not None


async def test_coins_without_a_price_are_known_to_those_that_ask_for_none(anvil: Nodes, tmp_path: Path) -> None:
    async with open_shop(tmp_path, [anvil(mining="manual").url]) as shop:
        own = Findings(unpriced=lambda: {"ETH": "no source answers"})
        await LeaderReport(shop.db, [shop.watcher], own, now).publish()
        report = LeaderReport(shop.db, [shop.make_watcher()], Findings(), now)
        report.receive(ElectionState(False, None, await shown(shop)))
        assert report.findings.unpriced() == {"ETH": "no source answers"}
