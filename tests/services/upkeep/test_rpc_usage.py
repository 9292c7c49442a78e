"""Usage of providers: counted by host, kept by day, and never the reason that a disk is busy."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout import metrics
from crypto_checkout.chain.rpc.meter import Meter
from crypto_checkout.chain.rpc.providers import Rpc
from crypto_checkout.core.diagnosis.rpc_usage import RpcUsage as Usage
from crypto_checkout.core.errors import OutcomeUnknown, ProviderFailed
from crypto_checkout.services.upkeep.rpc_usage import KEPT_DAYS, UsageRecorder
from crypto_checkout.store import rpc_usage
from crypto_checkout.store.database import Database, WriteUnit
from crypto_checkout.store.migrate import migrate
from tests.support.anvil import Anvil
from tests.support.api import Clock, open_app
from tests.support.nodes import answering, batch, call, http, running, saying
from tests.support.server import Server
from tests.support.shop import FRESH_XPUB
from tests.support.waiting import WAIT_SECONDS, until

CHAIN = 31337
COUNTED_CHAIN = 7_031_337
"""Of no other test: they share the process's metrics, and one may have had the same port."""


async def test_calls_and_bytes_are_counted_by_host_and_never_name_the_key_in_the_url() -> None:
    answers = {"eth_chainId": hex(COUNTED_CHAIN), "eth_blockNumber": "0x5"}
    async with running(answering(answers), path="/v3/s3cr3t-key") as node:
        rpc = Rpc(COUNTED_CHAIN, [node.url])
        await batch(rpc, [("eth_blockNumber", [])] * 3)
        await rpc.close()
    (provider, used), *others = rpc.meter.take().items()
    assert (provider, others) == (f"127.0.0.1:{node.port}", [])
    assert used.calls == len(node.methods) == 4, "the chain's id is asked for too"
    assert used.bytes_sent > 4 * len('{"jsonrpc":"2.0","method":""}')
    assert used.bytes_received > 4 * len('{"jsonrpc":"2.0","result":""}')
    assert rpc.meter.take() == {}
    shown = metrics.render().decode()
    assert f'checkout_rpc_calls_total{{chain="{COUNTED_CHAIN}",provider="127.0.0.1:{node.port}"}} 4.0' in shown
    assert f'provider="127.0.0.1:{node.port}"}} ' in shown
    assert "s3cr3t" not in shown


async def test_what_failed_counts_too() -> None:
    async with running(saying(http("slow down", 404))) as node:
        rpc = Rpc(CHAIN, [node.url])
        with pytest.raises(ProviderFailed):
            await call(rpc, "eth_blockNumber", [])
        await rpc.close()
    (used,) = rpc.meter.take().values()
    assert (used.calls, used.bytes_received) == (1, len("slow down"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    migrate(tmp_path / "checkout.db")
    return tmp_path / "checkout.db"


async def kept(db: Database, clock: Clock) -> list[tuple[int, str, int]]:
    rows = await db.read(lambda unit: rpc_usage.since(unit, clock().date() - timedelta(days=365)))
    return [((clock().date() - row.day).days, row.provider, row.usage.calls) for row in rows]


async def test_a_day_adds_up_over_restarts_and_thirty_of_them_are_kept(path: Path) -> None:
    clock, meter = Clock(), Meter(CHAIN)
    for day in range(KEPT_DAYS + 2):
        for _ in range(2):
            async with await Database.open(path, clock) as db:
                meter.count("node.example", Usage(calls=day + 1))
                await UsageRecorder(db, [meter]).turn()
        clock.move(days=1)
    async with await Database.open(path, clock) as db:
        found = await kept(db, clock)
    assert len(found) == KEPT_DAYS
    assert found[0] == (KEPT_DAYS, "node.example", 2 * 3)
    assert found[-1] == (1, "node.example", 2 * (KEPT_DAYS + 2))


async def test_where_nothing_was_asked_nothing_is_written(path: Path) -> None:
    async with await Database.open(path, Clock()) as db:
        wal = path.with_name("checkout.db-wal")
        before = wal.stat().st_size if wal.exists() else 0
        await UsageRecorder(db, [Meter(CHAIN)]).turn()
        assert (wal.stat().st_size if wal.exists() else 0) == before


@pytest.mark.sqlite
async def test_what_can_not_be_written_is_written_the_next_time(path: Path) -> None:
    clock, meter = Clock(), Meter(CHAIN)
    async with await Database.open(path, clock) as db:
        meter.count("node.example", Usage(calls=3))
        await db.write(lambda unit: unit.run("ALTER TABLE rpc_usage RENAME TO away"))
        with pytest.raises(Exception, match="no such table"):
            await UsageRecorder(db, [meter]).turn()
        await db.write(lambda unit: unit.run("ALTER TABLE away RENAME TO rpc_usage"))
        meter.count("node.example", Usage(calls=4))
        await UsageRecorder(db, [meter]).turn()
        assert await kept(db, clock) == [(0, "node.example", 7)]


async def test_what_may_have_been_written_is_never_counted_twice(path: Path) -> None:
    """A process that ends cancels the turn while its transaction is committed."""
    clock, meter = Clock(), Meter(CHAIN)
    async with await Database.open(path, clock) as db:
        meter.count("node.example", Usage(calls=3))
        recorder, began, may_go_on = UsageRecorder(db, [meter]), threading.Event(), threading.Event()

        def hold(_: WriteUnit) -> None:
            began.set()
            assert may_go_on.wait(WAIT_SECONDS)

        turn = asyncio.create_task(recorder.turn())
        held = asyncio.create_task(db.write(hold))  # in the same transaction
        await asyncio.to_thread(began.wait, WAIT_SECONDS)
        turn.cancel()
        await asyncio.wait({turn})
        may_go_on.set()
        await held
        await recorder.turn()
        assert await kept(db, clock) == [(0, "node.example", 3)]


class _OutcomeUnknown(Database):
    """A database that is lost after it has stored something, and can't tell that it did."""

    async def write(self, work: Callable[[WriteUnit], Any], *, quick: bool = False) -> Any:
        await super().write(work, quick=quick)
        raise OutcomeUnknown


async def test_what_is_not_known_to_be_written_is_not_written_again(path: Path) -> None:
    clock, meter = Clock(), Meter(CHAIN)
    async with await _OutcomeUnknown.open(path, clock) as db:
        meter.count("node.example", Usage(calls=3))
        for _ in range(2):
            with suppress(OutcomeUnknown):
                await UsageRecorder(db, [meter]).turn()
        assert await kept(db, clock) == [(0, "node.example", 3)]


async def test_a_server_that_ends_writes_what_it_has_counted(anvil: Callable[..., Anvil], tmp_path: Path) -> None:
    node = anvil()
    sections: dict[str, Any] = {
        "wallet": {"xpub": FRESH_XPUB},
        "test_mode": {"enabled": False},
        "chains": [{"id": CHAIN, "name": "Anvil", "rpc_urls": [node.url], "poll_seconds": 0.05}],
    }
    clock = Clock()
    async with open_app(tmp_path, clock=clock, **sections) as app:
        await until(lambda: app.opened.watchers[0].status.head is not None, "the first look")
    async with await Database.open(tmp_path / "checkout.db", clock) as db:
        ((days_ago, provider, calls),) = await kept(db, clock)
    assert (days_ago, provider) == (0, f"127.0.0.1:{node.port}")
    assert calls > 2


def test_the_metrics_show_it(anvil: Callable[..., Anvil], tmp_path: Path) -> None:
    node = anvil()
    chain = f'[[chains]]\nid = {CHAIN}\nname = "Anvil"\nrpc_urls = ["{node.url}"]\npoll_seconds = 0.05\n'
    with Server(tmp_path, f'[wallet]\nxpub = "{FRESH_XPUB}"\n{chain}') as server:
        name = f'checkout_rpc_bytes_total{{chain="{CHAIN}",direction="received",provider="127.0.0.1:{node.port}"}}'
        server.wait_until(
            lambda: name in httpx.get(f"{server.url}/metrics", timeout=WAIT_SECONDS, trust_env=False).text,
            "count what its node sent",
        )
