"""Test and live never mix: every object of one mode is nothing to the keys of the other, by whatever way."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.http.api.operations import Operation
from crypto_checkout.http.api.schemas import ListQuery
from crypto_checkout.http.api.table import table
from tests.anvil import Anvil
from tests.api import ENDPOINT, LINK, PRICE, App, error, made, open_app, until
from tests.receiver import Receiver
from tests.shop import FRESH_XPUB

pytestmark = pytest.mark.anvil

OPERATIONS = table()
ON_ONE = [operation for operation in OPERATIONS if "{id}" in operation.path]
LISTS = [operation for operation in OPERATIONS if operation.method == "GET" and "{id}" not in operation.path]
KINDS = ("checkout_sessions", "payment_links", "webhook_endpoints", "customers", "events")


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
            yield Both(app, clients, {livemode: await _objects(client) for livemode, client in clients.items()})


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
        for name in ("starting_after", "ending_before"):
            answer = await api.get(operation.path, params={name: theirs[operation.path.removeprefix("/")]["id"]})
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


async def test_the_same_email_and_the_same_idempotency_key_are_others_in_the_other_mode(both: Both) -> None:
    emails = {both.objects[livemode]["customers"]["email"] for livemode in (True, False)}
    assert len(emails) == 1
    headers = {"Idempotency-Key": "one-text"}
    links = [await made(client, "/payment_links", LINK, headers=headers) for client in both.clients.values()]
    assert [link["livemode"] for link in links] == list(both.clients)


async def test_webhooks_carry_their_own_mode_only(both: Both) -> None:
    with Receiver() as live, Receiver() as test:
        for livemode, receiver in ((True, live), (False, test)):
            url = receiver.url.replace("127.0.0.1", "localhost") if livemode else receiver.url
            body = {"url": url, "events": ["payment_link.created"]}
            answer = await both.clients[livemode].post("/webhook_endpoints", json=body)
            assert answer.status_code == 201 or livemode, answer.text
        for client in both.clients.values():
            await made(client, "/payment_links", LINK)
        await until(lambda: test.received, "the delivery")
        assert {each.event["livemode"] for each in test.received} == {False}
        assert {each.event["livemode"] for each in live.received} <= {True}
