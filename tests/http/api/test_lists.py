"""All cursor lists: newest first, nothing twice and nothing missed, whatever is created meanwhile."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.store.database import WriteUnit
from tests.support.anvil import Anvil
from tests.support.api import ENDPOINT, LINK, PRICE, App, error, listed, made, open_app
from tests.support.shop import ANVIL_CHAIN_ID, FRESH_XPUB
from tests.support.waiting import until

Make = Callable[[httpx.AsyncClient], Awaitable[str]]


def maker(path: str, body: dict[str, Any]) -> Make:
    async def make(api: httpx.AsyncClient) -> str:
        made_id: str = (await made(api, path, body))["id"]
        return made_id

    return make


async def make_event(api: httpx.AsyncClient) -> str:
    link = await made(api, "/payment_links", LINK)
    (event,) = (await listed(api, "/events", resourceId=link["id"]))["data"]
    event_id: str = event["id"]
    return event_id


LISTS: dict[str, Make] = {
    "/checkout_sessions": maker("/checkout_sessions", PRICE),
    "/payment_links": maker("/payment_links", LINK),
    "/webhook_endpoints": maker("/webhook_endpoints", ENDPOINT),
    "/events": make_event,
}

each_list = pytest.mark.parametrize("path", LISTS)


@pytest.fixture(scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    async with open_app(tmp_path_factory.mktemp("lists")) as app:
        yield app


@pytest.fixture
async def empty(shop: App) -> App:
    """Leave nothing of what the tests before have made."""

    def clear(unit: WriteUnit) -> None:
        unit.run("DELETE FROM events")
        unit.run("DELETE FROM webhook_endpoints")
        unit.run("DELETE FROM payment_links")
        unit.run("DELETE FROM balances")  # of sessions that a block of the simulated chain has seen by now
        unit.run("DELETE FROM checkout_sessions")

    await shop.opened.db.write(clear)
    return shop


async def several(api: httpx.AsyncClient, path: str, count: int) -> list[str]:
    """Make some; return their ids, newest first."""
    return [await LISTS[path](api) for _ in range(count)][::-1]


def ids(page: dict[str, Any]) -> list[str]:
    return [item["id"] for item in page["data"]]


@each_list
async def test_an_empty_list_has_no_cursor(empty: App, path: str) -> None:
    assert await listed(empty.api, path) == {"object": "list", "data": [], "hasMore": False, "nextCursor": None}


@each_list
async def test_the_newest_comes_first(empty: App, path: str) -> None:
    newest_first = await several(empty.api, path, 3)
    page = await listed(empty.api, path)
    assert ids(page) == newest_first
    assert (page["hasMore"], page["nextCursor"]) == (False, None)


@each_list
async def test_an_item_of_a_list_is_what_its_own_address_answers(empty: App, path: str) -> None:
    await several(empty.api, path, 1)
    (item,) = (await listed(empty.api, path))["data"]
    assert (await empty.api.get(f"{path}/{item['id']}")).json() == item


@each_list
async def test_25_come_unless_another_number_is_asked_for(empty: App, path: str) -> None:
    newest_first = await several(empty.api, path, 26)
    assert ids(await listed(empty.api, path)) == newest_first[:25]
    assert ids(await listed(empty.api, path, limit=1)) == newest_first[:1]
    assert ids(await listed(empty.api, path, limit=100)) == newest_first


@each_list
async def test_a_full_last_page_says_that_it_is_the_last(empty: App, path: str) -> None:
    await several(empty.api, path, 4)
    first = await listed(empty.api, path, limit=2)
    assert first["hasMore"]
    last = await listed(empty.api, path, limit=2, starting_after=first["nextCursor"])
    assert (last["hasMore"], last["nextCursor"], len(last["data"])) == (False, None, 2)


@each_list
async def test_who_walks_to_the_old_end_sees_each_once_while_new_ones_come(empty: App, path: str) -> None:
    there = await several(empty.api, path, 7)
    seen: list[str] = []
    page = await listed(empty.api, path, limit=2)
    while True:
        seen += ids(page)
        if not page["hasMore"]:
            break
        await several(empty.api, path, 2)
        page = await listed(empty.api, path, limit=2, starting_after=page["nextCursor"])
    assert seen == there


@each_list
async def test_who_polls_for_newer_ones_sees_each_once(empty: App, path: str) -> None:
    there = await several(empty.api, path, 3)
    cursor = (await listed(empty.api, path, limit=1))["nextCursor"]
    seen: list[str] = []
    made_since: list[str] = []
    for count in (0, 1, 5, 0, 2):
        made_since = await several(empty.api, path, count) + made_since
        more = True
        while more:
            page = await listed(empty.api, path, limit=2, ending_before=cursor)
            seen = ids(page) + seen
            more, cursor = page["hasMore"], page["nextCursor"]
    assert seen == made_since
    assert not set(seen) & set(there)


@each_list
async def test_polling_in_vain_gives_the_same_cursor_again(empty: App, path: str) -> None:
    await several(empty.api, path, 2)
    cursor = (await listed(empty.api, path, limit=1))["nextCursor"]
    page = await listed(empty.api, path, ending_before=cursor)
    assert page == {"object": "list", "data": [], "hasMore": False, "nextCursor": cursor}


@each_list
async def test_both_directions_meet(empty: App, path: str) -> None:
    newest_first = await several(empty.api, path, 5)
    middle = (await listed(empty.api, path, limit=3))["nextCursor"]
    older = await listed(empty.api, path, starting_after=middle)
    newer = await listed(empty.api, path, ending_before=middle)
    assert [*ids(newer), newest_first[2], *ids(older)] == newest_first


@each_list
async def test_a_cursor_of_another_list_is_refused(empty: App, path: str) -> None:
    for other in LISTS:
        await several(empty.api, other, 2)
    for other in LISTS:
        cursor = (await listed(empty.api, other, limit=1))["nextCursor"]
        for param in ("starting_after", "ending_before"):
            answer = await empty.api.get(path, params={param: cursor})
            if other == path:
                assert answer.status_code == 200
            else:
                assert error(answer)["code"] == "invalid_cursor"
                assert error(answer)["param"] == param


@each_list
async def test_a_cursor_of_the_other_mode_is_refused(empty: App, path: str) -> None:
    await several(empty.api, path, 2)
    cursor = (await listed(empty.api, path, limit=1))["nextCursor"]
    live = await empty.client(livemode=True)
    assert error(await live.get(path, params={"starting_after": cursor}))["code"] == "invalid_cursor"


@each_list
async def test_a_cursor_can_not_be_written_in_another_way(empty: App, path: str) -> None:
    await several(empty.api, path, 2)
    cursor = (await listed(empty.api, path, limit=1))["nextCursor"]
    name, mode, seq = json.loads(base64.urlsafe_b64decode(cursor + "=="))
    for forged in (
        [name, mode, float(seq)],
        [name, mode, str(seq)],
        [name, mode, True],
        [name, mode, 0],
        [name, mode, -seq],
        [name, mode, 2**63],
        [name, mode, 10**100],
        [name, mode, None],
        [name, mode, [seq]],
        [name, mode],
        [name, mode, seq, seq],
        [name, bool(mode), seq],
        {"0": name, "1": mode, "2": seq},
        [],
    ):
        text = base64.urlsafe_b64encode(json.dumps(forged, separators=(",", ":")).encode()).decode().rstrip("=")
        assert error(await empty.api.get(path, params={"starting_after": text}))["code"] == "invalid_cursor"
    for text in (cursor + "=", cursor + " ", " " + cursor, cursor + "\n", cursor.swapcase(), cursor[:-1]):
        assert error(await empty.api.get(path, params={"starting_after": text}))["code"] == "invalid_cursor"


@pytest.mark.parametrize("path", ["/payment_links", "/webhook_endpoints"])
async def test_a_cursor_outlives_what_it_stands_at(empty: App, path: str) -> None:
    newest_first = await several(empty.api, path, 4)
    cursor = (await listed(empty.api, path, limit=2))["nextCursor"]
    await empty.api.delete(f"{path}/{newest_first[1]}")
    assert ids(await listed(empty.api, path, starting_after=cursor)) == newest_first[2:]
    assert ids(await listed(empty.api, path, ending_before=cursor)) == newest_first[:1]


@pytest.mark.parametrize("path", ["/payment_links", "/webhook_endpoints"])
async def test_what_comes_after_the_newest_was_deleted_is_not_missed(empty: App, path: str) -> None:
    await several(empty.api, path, 3)
    cursor = (await listed(empty.api, path, limit=1))["nextCursor"]
    newest = await several(empty.api, path, 1)
    cursor = (await listed(empty.api, path, ending_before=cursor))["nextCursor"]
    await empty.api.delete(f"{path}/{newest[0]}")
    newest = await several(empty.api, path, 1)
    assert ids(await listed(empty.api, path, ending_before=cursor)) == newest


# --- the two modes ---------------------------------------------------------------------------------------------------


@pytest.fixture
async def both(anvil: Callable[..., Anvil], tmp_path: Path) -> AsyncIterator[App]:
    """Open an application that takes real money too, on a real node."""
    node = anvil()
    async with open_app(
        tmp_path,
        wallet={"xpub": FRESH_XPUB},
        prices={"fixed": {"ETH/USD": "3000.00"}},
        chains=[{"id": ANVIL_CHAIN_ID, "name": "Anvil", "rpc_urls": [node.url], "poll_seconds": 0.05}],
    ) as app:
        yield app


async def test_no_key_sees_anything_of_the_other_mode(both: App) -> None:
    live = await both.client(livemode=True)

    async def is_compared() -> bool:
        return (await live.post("/checkout_sessions", json=PRICE)).status_code == 201

    await until(is_compared, "the wallet was compared with the chain")
    own: dict[bool, dict[str, str]] = {}
    for livemode, api in ((True, live), (False, both.api)):
        own[livemode] = {path: await make(api) for path, make in LISTS.items()}
    for livemode, api, other in ((True, live, own[False]), (False, both.api, own[True])):
        for path, other_id in other.items():
            page = await listed(api, path, limit=100)
            assert {item["livemode"] for item in page["data"]} == {livemode}
            assert own[livemode][path] in ids(page)
            for method in ("GET", "DELETE"):
                answer = await api.request(method, f"{path}/{other_id}")
                assert error(answer)["code"] in {"resource_not_found", "method_not_allowed"}
        assert not (await listed(api, "/events", resourceId=other["/payment_links"]))["data"]
        assert not (await listed(api, "/checkout_sessions", linkId=other["/payment_links"]))["data"]
        answer = await api.post("/checkout_sessions", json={"linkId": other["/payment_links"]})
        assert (error(answer)["code"], error(answer)["param"]) == ("resource_not_found", "linkId")
        pay = await both.api.post(f"/test_helpers/checkout_sessions/{own[True]['/checkout_sessions']}/pay")
        assert error(pay)["code"] == "resource_not_found"
    for livemode, api in ((True, live), (False, both.api)):
        for path, own_id in own[livemode].items():
            assert (await api.get(f"{path}/{own_id}")).status_code == 200
