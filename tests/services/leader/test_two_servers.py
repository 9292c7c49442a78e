"""Two servers of ours on one database: what the one that follows writes, the leader does at once."""

import shutil
from functools import partial
from pathlib import Path

import pytest

from crypto_checkout.services.webhooks import dispatcher
from tests.support.api import PRICE, made, open_app
from tests.support.postgresql import PostgresqlServer
from tests.support.receiver import Receiver
from tests.support.waiting import until


async def test_the_leader_sends_the_webhook_of_a_session_made_elsewhere_without_looking_by_itself(
    postgresql_server: PostgresqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "_POLL_SECONDS", 86_400.0)
    one, two = tmp_path / "one", tmp_path / "two"
    for each in (one, two):
        each.mkdir()
    database = postgresql_server.new_database(one)

    def section(folder: Path) -> dict[str, object]:
        return {"url": database.url, "path": folder / "checkout.db"}

    with Receiver() as shop:
        async with open_app(one, database=section(one)) as leader:
            shutil.copy2(one / "secret.key", two)
            async with open_app(two, database=section(two)) as follower:
                await until(lambda: leader.opened.db.processes() == 2, "the leader hears of the other")
                await made(follower.api, "/webhook_endpoints", {"url": shop.url, "events": ["session.created"]})
                for _ in range(3):
                    session = await made(follower.api, "/checkout_sessions", PRICE)
                    await until(partial(was_told, shop, session["id"]), "the webhook")
    postgresql_server.drop(database)


def was_told(shop: Receiver, session_id: str) -> bool:
    """Tell whether a shop was told of a session."""
    return any(each.event["data"]["id"] == session_id for each in shop.received)
