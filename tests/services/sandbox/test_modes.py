"""Test and live never mix: every object of one mode is nothing to the keys of the other, by whatever way."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.core.sandbox import Scenario
from crypto_checkout.http.api.operations import Operation
from crypto_checkout.http.api.schemas import ListQuery
from crypto_checkout.http.api.table import table
from tests.support.anvil import Anvil
from tests.support.api import ENDPOINT, LINK, PRICE, App, error, made, open_app
from tests.support.receiver import Receiver
from tests.support.shop import FRESH_XPUB
from tests.support.waiting import until

pytestmark = pytest.mark.anvil

OPERATIONS = table()
ON_ONE = [operation for operation in OPERATIONS if "{id}" in operation.path]
LISTS = [operation for operation in OPERATIONS if operation.method == "GET" and "{id}" not in operation.path]
KINDS = ("checkout_sessions", "payment_links", "webhook_endpoints", "customers", "events", "refunds", "collections")


@dataclass(frozen=True)
class Both:
    """A server with both modes: a client of each, and what each mode has, by its kind."""

    app: App
    clients: Mapping[bool, httpx.AsyncClient]
    objects: Mapping[bool, Mapping[str, dict[str, Any]]]


@pytest.fixture(scope="module")
async def both(anvil_path: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Both]:
    folder = tmp_path_factory.mktemp("modes")
    (folder / "chain").mkdir()
    with Anvil(anvil_path, folder / "chain", arguments=["--chain-id", "1"]) as node:
        async with open_app(
            folder,
            wallet={"xpub": FRESH_XPUB},
            prices={"fixed": {"ETH/USD": "3000"}},
            chains=[{"id": 1, "name": "Ethereum", "rpc_urls": [node.url], "poll_seconds": 0.05}],
        ) as app:
            clients = {livemode: await app.client(livemode=livemode) for livemode in (True, False)}
            await until(lambda: _sells(clients[True]), "the wallet's check")
            objects = {livemode: await _objects(client) for livemode, client in clients.items()}
            for livemode, client in clients.items():
                objects[livemode]["refunds"] = await _refund(client, None if not livemode else node)
                session_id = objects[livemode]["refunds"]["sessionId"]
                objects[livemode]["collections"] = await _collection(client, session_id, node if livemode else None)
            yield Both(app, clients, objects)


async def _sells(client: httpx.AsyncClient) -> bool:
    return (await client.post("/checkout_sessions", json=PRICE)).status_code == 201


async def _objects(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    made_here = {
        "payment_links": await made(client, "/payment_links", LINK),
        "webhook_endpoints": await made(client, "/webhook_endpoints", ENDPOINT),
        "customers": await made(client, "/customers", {"email": "ada@example.com"}),
        "checkout_sessions": await made(client, "/checkout_sessions", {**PRICE, "customerEmail": "ada@example.com"}),
    }
    del made_here["webhook_endpoints"]["secret"]
    return {**made_here, "events": (await client.get("/events", params={"limit": 1})).json()["data"][0]}


async def _refund(client: httpx.AsyncClient, node: Anvil | None) -> dict[str, Any]:
    """Make a refund of a paid session, on the node where money is real."""
    session = await made(client, "/checkout_sessions", PRICE)
    if node is None:
        await client.post(f"/test_helpers/checkout_sessions/{session['id']}/pay")
        await client.post("/test_helpers/chain/mine", json={"blocks": 3})
    else:
        node.send(node.accounts[9], session["address"], int(session["amount"]["wei"]))
        node.mine(5)

    async def is_paid() -> bool:
        return bool((await client.get(f"/checkout_sessions/{session['id']}")).json()["status"] == "paid")

    await until(is_paid, "the payment")
    return await made(client, "/refunds", {"sessionId": session["id"], "amount": "0.001"})


async def _collection(client: httpx.AsyncClient, session_id: str, node: Anvil | None) -> dict[str, Any]:
    """Have money moved away from a session's address, on the node where it is real."""
    if node is None:
        await client.post(f"/test_helpers/checkout_sessions/{session_id}/collect")
        await client.post("/test_helpers/chain/mine", json={"blocks": 3})
    else:
        session = (await client.get(f"/checkout_sessions/{session_id}")).json()
        node.rpc("anvil_impersonateAccount", session["address"])
        node.send(session["address"], node.accounts[8], int(session["amount"]["wei"]) // 2)
        node.mine(5)
    found: list[dict[str, Any]] = []

    async def is_confirmed() -> bool:
        found[:] = (await client.get("/collections")).json()["data"]
        return [each["status"] for each in found] == ["confirmed"]

    await until(is_confirmed, "the collection")
    return found[0]


@pytest.mark.parametrize("livemode", [True, False], ids=["live key", "test key"])
@pytest.mark.parametrize("operation", ON_ONE, ids=[f"{each.method} {each.path}" for each in ON_ONE])
async def test_nothing_can_be_done_with_an_object_of_the_other_mode(
    both: Both, operation: Operation, livemode: bool
) -> None:
    kind = next(part for part in operation.path.split("/") if part in KINDS)
    id_ = both.objects[not livemode][kind]["id"]
    body = None if operation.method in {"GET", "DELETE"} else operation.sent
    answer = await both.clients[livemode].request(operation.method, operation.path.format(id=id_), json=body)
    wanted = (403, "insufficient_scope") if livemode and operation.test_mode_only else (404, "resource_not_found")
    assert (answer.status_code, error(answer)["code"]) == wanted
    if not operation.test_mode_only:
        shown = await both.clients[not livemode].get(f"/{kind}/{id_}")
        assert shown.json() == both.objects[not livemode][kind]


@pytest.mark.parametrize("livemode", [True, False], ids=["live key", "test key"])
@pytest.mark.parametrize("operation", LISTS, ids=[each.path for each in LISTS])
async def test_no_list_shows_the_other_mode(both: Both, operation: Operation, livemode: bool) -> None:
    api, theirs = both.clients[livemode], both.objects[not livemode]
    page = (await api.get(operation.path, params={"limit": 100})).json()
    assert page["data"]
    assert {each["livemode"] for each in page["data"]} == {livemode}
    if "total" in page:
        assert page["total"] == len(page["data"])
    filters = {"linkId": theirs["payment_links"]["id"], "resourceId": theirs["checkout_sessions"]["id"]}
    for name, value in filters.items():
        if name in operation.query.model_fields:
            assert (await api.get(operation.path, params={name: value})).json()["data"] == []
    if issubclass(operation.query, ListQuery):
        kind = operation.path.removeprefix("/")
        # Balances have no ids; their cursors are those of the list.
        other = (await both.clients[not livemode].get(operation.path)).json()["nextCursor"]
        cursor = theirs[kind]["id"] if kind in theirs else other
        for name in ("starting_after", "ending_before"):
            answer = await api.get(operation.path, params={name: cursor})
            assert error(answer)["code"] == "invalid_cursor"


@pytest.mark.parametrize("livemode", [True, False], ids=["live key", "test key"])
async def test_no_body_can_name_what_is_of_the_other_mode(both: Both, livemode: bool) -> None:
    api, ours, theirs = both.clients[livemode], both.objects[livemode], both.objects[not livemode]
    answer = await api.post("/checkout_sessions", json={"linkId": theirs["payment_links"]["id"]})
    assert (error(answer)["code"], error(answer)["param"]) == ("resource_not_found", "linkId")
    replay = f"/webhook_endpoints/{ours['webhook_endpoints']['id']}/replay"
    answer = await api.post(replay, json={"eventId": theirs["events"]["id"]})
    assert (error(answer)["code"], error(answer)["param"]) == ("resource_not_found", "eventId")
    chain = 1337 if livemode else 1
    assert error(await api.post("/checkout_sessions", json={**PRICE, "chainId": chain}))["code"] == "unsupported_chain"


async def test_no_live_session_is_paid_with_test_money(both: Both) -> None:
    session_id = both.objects[True]["checkout_sessions"]["id"]
    for form in ({}, {"scenario": "exact"}):
        answer = await both.clients[False].post(f"http://shop.example/checkout/{session_id}/test/pay", data=form)
        assert answer.status_code == 403
    assert (await both.clients[True].get(f"/checkout_sessions/{session_id}")).json()["status"] == "pending"


async def test_the_same_email_and_the_same_idempotency_key_are_others_in_the_other_mode(both: Both) -> None:
    emails = {both.objects[livemode]["customers"]["email"] for livemode in (True, False)}
    assert len(emails) == 1
    headers = {"Idempotency-Key": "one-text"}
    links = [await made(client, "/payment_links", LINK, headers=headers) for client in both.clients.values()]
    assert [link["livemode"] for link in links] == list(both.clients)


async def test_nothing_that_test_mode_does_shows_in_live_mode(both: Both) -> None:
    live, test = both.clients[True], both.clients[False]
    before = await _everything(both, livemode=True)
    with Receiver() as receiver:
        endpoint = await made(test, "/webhook_endpoints", {"url": receiver.url, "events": ["*"]})
        for scenario in Scenario:
            session = await made(test, "/checkout_sessions", {**PRICE, "customerEmail": f"{scenario}@example.com"})
            answer = await test.post(
                f"/test_helpers/checkout_sessions/{session['id']}/pay", json={"scenario": scenario}
            )
            assert answer.status_code == 200, answer.text
        await test.post("/test_helpers/chain/reorg", json={"depth": 1000})
        await test.post("/test_helpers/clock/advance", json={"seconds": 86_400})
        await until(lambda: len(receiver.received) > 3 * len(Scenario), "deliveries of test mode")
        assert {each.event["livemode"] for each in receiver.received} == {False}
        await test.delete(f"/webhook_endpoints/{endpoint['id']}")
    assert await _everything(both, livemode=True) == before
    for event in (await live.get("/events", params={"limit": 100})).json()["data"]:
        assert event["livemode"] is True
        assert event["data"]["livemode"] is True


async def test_webhooks_of_test_mode_carry_nothing_of_live_mode(both: Both) -> None:
    with Receiver() as receiver:
        endpoint = {"url": receiver.url, "events": ["payment_link.created"]}
        await made(both.clients[False], "/webhook_endpoints", endpoint)
        for client in both.clients.values():
            await made(client, "/payment_links", LINK)
        await until(lambda: receiver.received, "the delivery")
        assert [each.event["livemode"] for each in receiver.received] == [False]


async def _everything(both: Both, *, livemode: bool) -> dict[str, Any]:
    """Return what every list of a mode shows, by the table of operations: ids, totals, and whether there is more."""
    shown = {}
    for operation in (each for each in OPERATIONS if each.is_list or each in LISTS):
        kind = next((part for part in operation.path.split("/") if part in KINDS), "")
        path = operation.path.format(id=both.objects[livemode][kind]["id"] if "{" in operation.path else "")
        page = (await both.clients[livemode].get(path, params={"limit": 100})).json()
        rows = [(each.get("id"), each.get("eventId")) for each in page["data"]]
        shown[operation.path] = (rows, page.get("total"), page.get("hasMore"))
    return shown
