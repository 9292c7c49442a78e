"""The client against a real server, in both of its forms."""

import asyncio
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

import httpx
import pytest

from crypto_checkout.client import (
    AsyncCheckoutClient,
    AuthenticationError,
    CheckoutApiError,
    CheckoutClient,
    Conflict,
    InvalidRequest,
    LinkResource,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    SessionResource,
)
from crypto_checkout.client.arguments import Amount
from tests.support.server import Server, command

TEN_DOLLARS: Amount = {"value": "10.00", "currency": "USD"}


class Counting(httpx.HTTPTransport):
    """The network, and how many requests went to it."""

    def __init__(self) -> None:
        super().__init__()
        self.requests = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        return super().handle_request(request)


class LosesItsFirstAnswer(httpx.HTTPTransport):
    """A network that breaks after the first request was answered, and before the answer is here."""

    def __init__(self) -> None:
        super().__init__()
        self.replayed: list[bool] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        self.replayed.append("idempotent-replayed" in response.headers)
        if len(self.replayed) == 1:
            response.close()
            raise httpx.ReadError("connection reset by peer", request=request)
        return response


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("client")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with Server(folder) as server:
        yield server


@pytest.fixture
def key(server: Server) -> str:
    assert server.key is not None
    return str(server.key)


@pytest.fixture
def client(server: Server, key: str) -> Iterator[CheckoutClient]:
    with CheckoutClient(server.url, key) as client:
        yield client


def make_key(folder: Path, mode: str, *scopes: str) -> str:
    chosen = [word for scope in scopes for word in ("--scope", scope)]
    done = command(folder, "keys", "create", "--mode", mode, "--name", "made", "--json", *chosen)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["key"])


def make_sessions(client: CheckoutClient, count: int) -> tuple[LinkResource, list[str]]:
    """Make a link with so many sessions; return their ids, newest first."""
    link = client.payment_links.create(title="Tea", fiat_amount="3.50")
    made = [client.checkout_sessions.create(link_id=link["id"])["id"] for _ in range(count)]
    return link, made[::-1]


def test_links_whose_payer_decides_and_their_sessions(client: CheckoutClient) -> None:
    free = client.payment_links.create(
        title="A gift",
        fiat_amount=None,
        fiat_currency="EUR",
        min_fiat_amount=Decimal("5.00"),
        suggested_amounts=["10.00", Decimal("25.00")],
    )
    assert (free["fiatAmount"], free["suggestedAmounts"]) == (None, ["10.00", "25.00"])
    gift = client.checkout_sessions.create(link_id=free["id"], amount={"value": "12.00", "currency": "EUR"})
    assert gift["fiat"]["amount"] == "12.00"
    tickets = client.payment_links.create(title="Ticket", fiat_amount="15.00", quantity={"max": 4, "stock": 3})
    assert client.checkout_sessions.create(link_id=tickets["id"], quantity=2)["quantity"] == 2
    with pytest.raises(Conflict) as refused:
        client.checkout_sessions.create(link_id=tickets["id"], quantity=2)
    assert refused.value.code == "link_sold_out"
    more = client.payment_links.update(tickets["id"], quantity={"max": 4, "stock": 10})
    assert more["quantity"] == {"min": 1, "max": 4, "stock": 10, "sold": 0, "reserved": 2, "available": 8}


def test_a_session_is_made_from_plain_arguments_and_retrieved_as_it_was_made(client: CheckoutClient) -> None:
    made: SessionResource = client.checkout_sessions.create(
        amount={"value": Decimal("10.00"), "currency": "USD"},
        success_url="https://shop.example/thanks?session={CHECKOUT_SESSION_ID}",
        customer_email="ada@example.com",
        expires_in_seconds=600,
        metadata={"order_id": "A 1", "günstig": "ja"},
    )
    assert made["fiat"] == {"amount": "10.00", "currency": "USD"}
    assert made["successUrl"] == "https://shop.example/thanks?session={CHECKOUT_SESSION_ID}"
    assert made["customerEmail"] == "ada@example.com"
    assert made["metadata"] == {"order_id": "A 1", "günstig": "ja"}, "metadata keys stay as they are"
    assert client.checkout_sessions.retrieve(made["id"]) == made


def test_a_link_is_made_listed_and_deleted(client: CheckoutClient) -> None:
    made = client.payment_links.create(title="Coffee", fiat_amount=Decimal("3.5"), fiat_currency="EUR", active=False)
    assert (made["fiatAmount"], made["fiatCurrency"], made["active"]) == ("3.50", "EUR", False)
    assert client.payment_links.retrieve(made["id"]) == made
    assert made in list(client.payment_links.list(active=False))
    assert made not in list(client.payment_links.list(active=True))
    assert client.payment_links.delete(made["id"]) == {"id": made["id"], "object": "payment_link", "deleted": True}
    with pytest.raises(NotFound):
        client.payment_links.retrieve(made["id"])


def test_a_webhook_endpoint_tells_its_secret_once(client: CheckoutClient) -> None:
    made = client.webhook_endpoints.create(url="http://127.0.0.1:65535/hook", events=["session.paid"], active=False)
    assert made["secret"].startswith("whsec_")
    shown = client.webhook_endpoints.retrieve(made["id"])
    assert "secret" not in shown
    assert shown in list(client.webhook_endpoints.list())
    assert client.webhook_endpoints.delete(made["id"])["deleted"]
    assert shown not in list(client.webhook_endpoints.list())


def test_a_session_paid_in_test_mode_is_listed_among_the_paid(client: CheckoutClient) -> None:
    session = client.checkout_sessions.create(amount=TEN_DOLLARS)
    paid = client.test_helpers.pay(session["id"])
    assert paid["amountRemaining"]["units"] == "0"
    client.test_helpers.mine(blocks=session["requiredConfirmations"])
    assert client.checkout_sessions.retrieve(session["id"])["status"] == "paid"
    assert session["id"] in [each["id"] for each in client.checkout_sessions.list(status="paid")]
    types = [event["type"] for event in client.events.list(resource_id=session["id"])]
    assert (types[0], types[-1]) == ("session.paid", "session.created")


def test_an_event_is_retrieved_as_it_is_listed(client: CheckoutClient) -> None:
    session = client.checkout_sessions.create(amount=TEN_DOLLARS)
    (event,) = client.events.list(type="session.created", resource_id=session["id"])
    assert event["data"] == session
    assert client.events.retrieve(event["id"]) == event


def test_a_list_goes_through_all_pages_and_fetches_each_only_when_it_is_needed(
    client: CheckoutClient, server: Server, key: str
) -> None:
    link, newest_first = make_sessions(client, 7)
    network = Counting()
    with CheckoutClient(server.url, key, transport=network) as counted:
        sessions = counted.checkout_sessions.list(link_id=link["id"], limit=2)
        assert network.requests == 0
        reading = iter(sessions)
        assert [next(reading)["id"], next(reading)["id"]] == newest_first[:2]
        assert network.requests == 1
        assert [session["id"] for session in reading] == newest_first[2:]
        assert network.requests == 4
        assert [session["id"] for session in sessions] == newest_first, "it can be read again"


def test_one_page_says_where_the_next_one_begins(client: CheckoutClient) -> None:
    link, newest_first = make_sessions(client, 3)
    first = client.checkout_sessions.list(link_id=link["id"], limit=2).page()
    assert ([session["id"] for session in first.data], first.has_more) == (newest_first[:2], True)
    last = client.checkout_sessions.list(link_id=link["id"], starting_after=first.next_cursor).page()
    assert ([session["id"] for session in last.data], last.has_more, last.next_cursor) == (
        newest_first[2:],
        False,
        None,
    )


def test_who_goes_on_to_newer_ones_reads_them_in_the_order_in_which_they_came(client: CheckoutClient) -> None:
    link, newest_first = make_sessions(client, 6)
    oldest_seen = client.checkout_sessions.list(link_id=link["id"], limit=6 - 1).page().next_cursor
    newer = client.checkout_sessions.list(link_id=link["id"], ending_before=oldest_seen, limit=2)
    assert [session["id"] for session in newer] == newest_first[3::-1]
    pages = list(newer.pages())
    assert [len(page.data) for page in pages] == [2, 2]
    new = client.checkout_sessions.create(link_id=link["id"])
    poll = client.checkout_sessions.list(link_id=link["id"], ending_before=pages[-1].next_cursor)
    assert [session["id"] for session in poll] == [new["id"]]


def test_times_are_sent_with_their_zone(client: CheckoutClient) -> None:
    link, (session_id,) = make_sessions(client, 1)
    now = datetime.now(UTC)
    around = client.checkout_sessions.list(
        link_id=link["id"], created_after=now - timedelta(minutes=5), created_before=now + timedelta(minutes=5)
    )
    assert [session["id"] for session in around] == [session_id]
    assert list(client.checkout_sessions.list(link_id=link["id"], created_after=now + timedelta(minutes=5))) == []
    with pytest.raises(ValueError, match="without a zone"):
        client.checkout_sessions.list(created_after=now.replace(tzinfo=None)).page()


def test_the_same_idempotency_key_makes_one_link_and_never_another(client: CheckoutClient) -> None:
    first = client.payment_links.create(title="Once", fiat_amount="1.00", idempotency_key="order-1")
    again = client.payment_links.create(title="Once", fiat_amount="1.00", idempotency_key="order-1")
    assert first == again
    with pytest.raises(Conflict) as caught:
        client.payment_links.create(title="Twice", fiat_amount="1.00", idempotency_key="order-1")
    assert (caught.value.status, caught.value.code) == (409, "idempotency_key_reused")


def test_two_calls_without_a_key_of_their_own_make_two_links(client: CheckoutClient) -> None:
    first, second = (client.payment_links.create(title="Tea", fiat_amount="1.00") for _ in range(2))
    assert first["id"] != second["id"]


def test_what_was_done_before_the_connection_broke_is_done_once(
    client: CheckoutClient, server: Server, key: str
) -> None:
    network = LosesItsFirstAnswer()
    with CheckoutClient(server.url, key, transport=network, sleep=lambda _: None) as unlucky:
        made = unlucky.payment_links.create(title="Lost and found", fiat_amount="1.00")
    assert network.replayed == [False, True]
    assert [link["id"] for link in client.payment_links.list() if link["title"] == "Lost and found"] == [made["id"]]


def test_a_key_that_the_server_does_not_know_is_an_authentication_error(server: Server) -> None:
    with CheckoutClient(server.url, "ck_test_" + "x" * 32) as stranger, pytest.raises(AuthenticationError) as caught:
        stranger.payment_links.list().page()
    assert (caught.value.status, caught.value.type, caught.value.code) == (401, "authentication", "invalid_api_key")


def test_a_missing_scope_is_permission_denied_and_named(server: Server, folder: Path) -> None:
    reader = make_key(folder, "test", "links:read")
    with CheckoutClient(server.url, reader) as client, pytest.raises(PermissionDenied, match="links:write") as caught:
        client.payment_links.create(title="Tea", fiat_amount="1.00")
    assert (caught.value.status, caught.value.code) == (403, "insufficient_scope")


def test_a_wrong_field_is_an_invalid_request_that_names_it(client: CheckoutClient) -> None:
    with pytest.raises(InvalidRequest) as caught:
        client.checkout_sessions.create(amount={"value": "ten", "currency": "USD"})
    error = caught.value
    assert (error.status, error.type, error.code, error.param) == (
        400,
        "invalid_request",
        "invalid_body",
        "amount.value",
    )
    assert error.request_id is not None
    assert error.request_id.startswith("req_")
    assert error.request_id in str(error)
    assert error.message in str(error)


def test_what_is_not_there_is_not_found(client: CheckoutClient) -> None:
    with pytest.raises(NotFound) as caught:
        client.checkout_sessions.retrieve("cs_01JD4Z8W3V9QK2M6T5N7P8R0XY")
    assert (caught.value.status, caught.value.code) == (404, "resource_not_found")


def test_a_server_without_a_wallet_is_a_server_error_after_the_last_retry(server: Server, folder: Path) -> None:
    waits: list[float] = []
    live = make_key(folder, "live", "sessions:write")
    with CheckoutClient(server.url, live, sleep=waits.append) as client, pytest.raises(ServerError) as caught:
        client.checkout_sessions.create(amount=TEN_DOLLARS)
    assert (caught.value.status, caught.value.code) == (503, "wallet_not_configured")
    assert len(waits) == 2


def ask_until_refused(client: CheckoutClient) -> NoReturn:
    while True:
        client.events.list().page()


def test_who_is_too_fast_waits_as_long_as_the_server_says(tmp_path: Path) -> None:
    slow = {"CHECKOUT__RATE_LIMIT__PER_SECOND": "1", "CHECKOUT__RATE_LIMIT__BURST": "1"}
    with Server(tmp_path, environ=slow) as server:
        assert server.key is not None
        with CheckoutClient(server.url, server.key, max_retries=0) as hasty:
            with pytest.raises(RateLimited) as caught:
                ask_until_refused(hasty)
            assert (caught.value.status, caught.value.code) == (429, "rate_limit_exceeded")
            assert caught.value.retry_after_seconds == 1
        with CheckoutClient(server.url, server.key) as patient:
            assert patient.events.list().page().data == patient.events.list().page().data


def test_an_error_keeps_all_it_says_when_it_is_pickled(client: CheckoutClient) -> None:
    with pytest.raises(InvalidRequest) as caught:
        client.checkout_sessions.create(amount={"value": "ten", "currency": "USD"})
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert type(again) is InvalidRequest
    assert vars(again) == vars(caught.value)


@pytest.mark.parametrize("wrong", ["", "..", "cs_1/expire", "cs_1?x=1", "cs_1%2Fexpire", "cs 1", "cs_1\n"])
def test_an_id_that_would_lead_elsewhere_is_not_sent(client: CheckoutClient, wrong: str) -> None:
    with pytest.raises(ValueError, match="is no id"):
        client.checkout_sessions.retrieve(wrong)


@pytest.mark.parametrize("wrong", ["", "pay.example.com", "localhost:4020", "ftp://x", "http://", "https://x?a=b"])
def test_what_is_no_address_of_a_server_is_refused_at_once(wrong: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        CheckoutClient(wrong, "ck_test_x")


def test_a_password_in_the_address_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="base_url") as caught:
        CheckoutClient("https://ada:hunter2@pay.example.com", "ck_test_x")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["", "ck_test_secret\n", " ck_test_secret", "ck_test_sécret"])
def test_what_is_no_key_is_refused_at_once_and_not_shown(wrong: str) -> None:
    with pytest.raises(ValueError, match="api_key") as caught:
        AsyncCheckoutClient("https://pay.example.com", wrong)
    assert "cret" not in str(caught.value)


async def test_the_asynchronous_client_makes_retrieves_and_lists_the_same(server: Server, key: str) -> None:
    async with AsyncCheckoutClient(server.url + "/", key) as client:
        link = await client.payment_links.create(title="Tea", fiat_amount="3.50")
        making = [client.checkout_sessions.create(link_id=link["id"]) for _ in range(7)]
        made: list[SessionResource] = await asyncio.gather(*making)
        listing = client.checkout_sessions.list(link_id=link["id"], limit=2)
        listed = [session["id"] async for session in listing]
        assert sorted(listed) == sorted(session["id"] for session in made)
        assert [len(page.data) async for page in listing.pages()] == [2, 2, 2, 1]
        first = await listing.page()
        assert [session["id"] for session in first.data] == listed[:2]
        newer = client.checkout_sessions.list(link_id=link["id"], ending_before=first.next_cursor, limit=1)
        assert [session["id"] async for session in newer] == listed[:1]
        assert await client.checkout_sessions.retrieve(listed[0]) in made


async def test_the_asynchronous_client_raises_the_same_errors(server: Server, key: str) -> None:
    async with AsyncCheckoutClient(server.url, key) as client:
        with pytest.raises(InvalidRequest) as caught:
            await client.payment_links.create(title="Tea", fiat_amount="0.001")
        assert (caught.value.status, caught.value.param) == (400, "fiatAmount")
        with pytest.raises(CheckoutApiError, match="no such query parameter"):
            await client.payment_links.list(colour="red").page()  # type: ignore[call-arg]


def test_importing_the_client_brings_nothing_of_the_server() -> None:
    heavy = {"web3", "eth_account", "starlette", "uvicorn", "pydantic", "aiosqlite", "jinja2", "structlog"}
    script = "import sys, crypto_checkout.client; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert heavy.isdisjoint(done.stdout.split())
    rooms = {"store", "chain", "services", "http", "app", "config", "cli", "prices"}
    script = "import sys, crypto_checkout.client; print(*(n for n in sys.modules if n.startswith('crypto_checkout.')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert rooms.isdisjoint(name.split(".")[1] for name in done.stdout.split())
