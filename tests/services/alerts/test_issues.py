"""Issues: each listed once, with words and a link, and gone once it is settled."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from crypto_checkout import descriptors
from crypto_checkout.chain.rpc.providers import ProviderHealth
from crypto_checkout.chain.sandbox import chain
from crypto_checkout.core.alerts.issues import IssueKind
from crypto_checkout.core.checkout.quotes import Rate
from crypto_checkout.core.errors import InvalidBody
from crypto_checkout.core.shop import Shop
from crypto_checkout.prices.board import PriceBoard
from crypto_checkout.prices.fixed import FixedSource
from crypto_checkout.services.alerts import server_issues
from crypto_checkout.services.alerts.issues import Issues
from crypto_checkout.services.alerts.price_watch import PriceWatch
from crypto_checkout.services.alerts.server_issues import ServerIssues, WatchedMode
from crypto_checkout.services.checkout.payment_methods import AcceptedChain, PaymentMethods, Policy
from crypto_checkout.services.ledger.health import Readiness
from tests.support.api import App, Clock, made, open_app
from tests.support.dashboard import signed_in
from tests.support.receiver import Receiver
from tests.support.sqlite import writer
from tests.support.waiting import until

SESSIONS, HELPERS = "/checkout_sessions", "/test_helpers"


@pytest.fixture
async def timed(tmp_path: Path) -> AsyncIterator[tuple[App, Clock]]:
    clock = Clock()
    async with open_app(tmp_path, clock=clock, webhooks={"allow_private_networks": True, "retry_seconds": []}) as app:
        yield app, clock


def issues(app: App) -> Issues:
    return Issues(app.opened.db, {})


async def story(app: App, scenario: str) -> str:
    """Drive a session of 30 USD to the end of a scenario; return its id."""
    session = await made(app.api, SESSIONS, {"amount": {"value": "30.00", "currency": "USD"}})
    answer = await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay", json={"scenario": scenario})
    assert answer.status_code == 200, answer.text
    return str(session["id"])


async def kinds(app: App) -> list[tuple[str, str]]:
    return [(each.kind.value, each.subject_id) for each in (await issues(app).gather(False)).issues]


@pytest.mark.parametrize(
    ("scenario", "kind", "words"),
    [
        ("underpaid", "underpaid", "Received 0.005 ETH, expected 0.01 ETH (30.00 USD)."),
        ("overpaid", "overpaid", "Received 0.02 ETH, expected 0.01 ETH (30.00 USD)."),
        (
            "reorged_after_paid",
            "failed",
            "The network reversed a confirmed payment of 30.00 USD; 0 ETH of 0.01 ETH remains.",
        ),
        ("after_grace", "late_payment", "0.01 ETH arrived too late to count."),
    ],
)
async def test_a_session_that_is_not_simply_paid_needs_a_person(
    timed: tuple[App, Clock], scenario: str, kind: str, words: str
) -> None:
    app, _ = timed
    await story(app, "exact")
    session_id = await story(app, scenario)
    (issue,) = (await issues(app).gather(False)).issues
    assert (issue.kind, issue.subject_id, issue.words) == (kind, session_id, words)
    assert issue.advice.endswith(".")
    assert (
        Shop("Ada", "https://pay.example").page(issue.livemode, issue.path)
        == f"https://pay.example/dashboard/test/payments/{session_id}"
    )
    assert (await issues(app).gather(True)).issues == ()


async def test_money_that_nobody_asked_for_needs_a_person(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    session_id = await story(app, "wrong_token")
    (issue,) = (await issues(app).gather(False)).issues
    assert (issue.kind, issue.subject_id) == (IssueKind.UNMATCHED, session_id)
    assert "smallest units of token 0x" in issue.words
    assert issue.words.endswith("on chain 1337, expected ETH on chain 1337.")
    shop = await (await signed_in(app)).get("/test", follow_redirects=True)
    assert "Received 1 USDC on Sandbox, expected ETH on Sandbox." in shop.text


@pytest.mark.parametrize("scenario", ["underpaid", "overpaid", "after_grace"])
async def test_what_is_accepted_needs_nobody(timed: tuple[App, Clock], scenario: str) -> None:
    app, _ = timed
    session_id = await story(app, scenario)
    assert (await app.api.post(f"{SESSIONS}/{session_id}/accept")).status_code == 200
    assert await kinds(app) == []


@pytest.mark.parametrize("scenario", ["underpaid", "reorged_after_paid", "after_grace", "wrong_token"])
async def test_what_is_put_aside_stays_aside_and_nothing_else_does(timed: tuple[App, Clock], scenario: str) -> None:
    app, _ = timed
    await story(app, scenario)
    (issue,) = (await issues(app).gather(False)).issues
    other = await story(app, scenario)
    for _ in range(2):
        await app.opened.db.write(issues(app).dismiss(issue.cause))
    assert [subject for _, subject in await kinds(app)] == [other]


def test_the_server_s_own_issues_can_not_be_put_aside() -> None:
    for cause in ("database:database", "chain:1", "webhook_failing:we_1", "nothing", ""):
        with pytest.raises(InvalidBody):
            Issues(None, {}).dismiss(cause)  # type: ignore[arg-type]


async def test_no_more_of_a_kind_is_gathered_than_wanted_and_it_says_so(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    ids = [await story(app, "underpaid") for _ in range(3)]
    await story(app, "overpaid")
    found = await issues(app).gather(False, most=2)
    assert [each.subject_id for each in found.issues if each.kind is IssueKind.UNDERPAID] == ids[:0:-1]
    assert found.cut == {IssueKind.UNDERPAID}
    assert (await issues(app).gather(False, most=3)).cut == frozenset()


async def test_a_webhook_that_fails_needs_a_person_until_it_succeeds(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    with Receiver(status=500) as receiver:
        endpoint = await made(app.api, "/webhook_endpoints", {"url": receiver.url, "events": ["payment_link.created"]})
        await made(app.api, "/payment_links", {"title": "A book", "fiatAmount": "30.00"})

        async def fails() -> bool:
            return await kinds(app) == [("webhook_failing", endpoint["id"])]

        await until(fails, "the failure is told")
        (issue,) = (await issues(app).gather(False)).issues
        assert (
            issue.words
            == "Webhooks to 127.0.0.1 are failing: The endpoint answered 500; only a 2xx counts as received."
        )
        receiver.status = 200
        await made(app.api, "/payment_links", {"title": "A pen", "fiatAmount": "30.00"})

        async def succeeds() -> bool:
            return await kinds(app) == []

        await until(succeeds, "nothing is left to tell")


async def test_a_webhook_that_is_retried_needs_a_person(tmp_path: Path) -> None:
    with Receiver(status=503) as receiver:
        async with open_app(tmp_path) as app:
            endpoint = await made(app.api, "/webhook_endpoints", {"url": receiver.url, "events": ["*"]})
            await until(lambda: receiver.received, "the first attempt")

            async def fails() -> bool:
                return await kinds(app) == [("webhook_failing", endpoint["id"])]

            await until(fails, "the failure is told")


async def test_a_webhook_that_was_switched_off_by_itself_needs_a_person(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    with Receiver(status=410) as receiver:
        endpoint = await made(app.api, "/webhook_endpoints", {"url": receiver.url, "events": ["*"]})

        async def is_off() -> bool:
            return await kinds(app) == [("webhook_disabled", endpoint["id"])]

        await until(is_off, "the endpoint is switched off")
    (issue,) = (await issues(app).gather(False)).issues
    assert issue.words == "Webhooks to 127.0.0.1 are disabled: The endpoint answered 410 Gone."
    assert (await app.api.patch(f"/webhook_endpoints/{endpoint['id']}", json={"active": False})).status_code == 200


# --- the server itself -----------------------------------------------------------------------------------------------


class Prices:
    """A price feed that can be switched off."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.table = {"ETH/USD": Decimal(3000)}
        self.refused: dict[str, str] = {}

    async def rate(self, base: str, quote: str) -> Rate:
        board = PriceBoard(
            [FixedSource(self.table, clock=self.clock)],
            quorum=1,
            max_age_seconds=60,
            max_spread_percent=Decimal(3),
            clock=self.clock,
        )
        return await board.rate(base, quote)

    def has_own(self, _base: str, _quote: str) -> bool:
        return False

    def jumps(self) -> dict[str, str]:
        return self.refused


def watched(app: App, clock: Clock, **parts: Any) -> ServerIssues:
    health = Readiness(app.opened.db, app.opened.watchers, clock)
    given = WatchedMode(health, watchers=app.opened.watchers, **parts)
    return ServerIssues(given, livemode=True, folder=Path("/"), clock=clock)


async def test_a_healthy_server_has_no_issues(timed: tuple[App, Clock]) -> None:
    app, clock = timed
    assert await watched(app, clock).now() == []


async def test_a_chain_that_stands_still_is_told_with_its_reason_and_since_when(timed: tuple[App, Clock]) -> None:
    app, clock = timed
    server = watched(app, clock)
    async with app.opened.watchers[0].held():
        clock.move(seconds=90)
        since = clock.now
        (issue,) = await server.now()
        clock.move(seconds=600)
        (later,) = await server.now()
    assert (issue.kind, issue.subject_id, issue.livemode) == (IssueKind.CHAIN, "1337", True)
    assert issue.words == f"{chain.NAME} is stalled: no answer from its node for 90 s."
    assert (later.cause, later.since) == (issue.cause, since)


async def test_a_provider_that_rests_is_told_without_its_key(timed: tuple[App, Clock]) -> None:
    app, clock = timed
    said = "it is 9 blocks behind the others at https://node.example/key-that-is-secret"
    fares = [ProviderHealth("node.example", 1, True, said), ProviderHealth("good.example", 0, False, None)]
    (issue,) = await watched(app, clock, providers={1: lambda: fares}).now()
    assert issue.kind is IssueKind.PROVIDER
    assert issue.words == "The node at node.example is failing for chain 1: it is 9 blocks behind the others at [URL]"


async def test_a_price_that_is_not_to_be_had_is_told_before_a_customer_asks(timed: tuple[App, Clock]) -> None:
    app, clock = timed
    prices = Prices(clock)
    payment_methods = PaymentMethods(
        livemode=True,
        wallet=None,  # type: ignore[arg-type]
        chains=(AcceptedChain(1, "Ethereum", "", 3, chain.ASSETS),),
        prices=prices,
        policy=Policy(900, 3600, Decimal(0), Decimal(5)),
        chain_time=lambda now: now,
    )
    watch = PriceWatch(payment_methods)
    server = watched(app, clock, price_watch=watch, unpriced=lambda: watch.unpriced)
    found = Issues(app.opened.db, {True: server})
    await found.try_prices()
    assert await server.now() == []
    prices.refused = {"ETH/EUR": "coinbase: 300000 is far from the last rate 3000"}
    (issue,) = (await found.gather(True)).issues
    assert (issue.kind, issue.subject_id, issue.words) == (IssueKind.PRICE, "ETH/EUR", prices.refused["ETH/EUR"])
    prices.refused = {}
    prices.table.clear()
    await found.try_prices()
    (issue,) = (await found.gather(True)).issues
    assert (issue.kind, issue.subject_id) == (IssueKind.PRICE, "ETH")


async def test_a_disk_that_fills_up_is_told_while_there_is_still_room(
    timed: tuple[App, Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, clock = timed
    monkeypatch.setattr(server_issues, "LEAST_FREE_BYTES", 2**62)
    (issue,) = await watched(app, clock).now()
    assert (issue.kind, issue.livemode) == (IssueKind.DISK, None)
    page = Shop("Ada", "https://pay.example").page(issue.livemode, issue.path)
    assert page == "https://pay.example/dashboard/settings/server"


async def test_descriptors_that_run_out_are_told(timed: tuple[App, Clock], monkeypatch: pytest.MonkeyPatch) -> None:
    app, clock = timed
    monkeypatch.setattr(descriptors, "SCARCE", 2**30)
    (issue,) = await watched(app, clock).now()
    assert (issue.kind, issue.livemode) == (IssueKind.DESCRIPTORS, None)
    assert "Raise the process's limit" in issue.advice
    monkeypatch.undo()
    assert await watched(app, clock).now() == []


async def test_a_database_that_can_not_be_written_is_told(timed: tuple[App, Clock]) -> None:
    app, clock = timed
    connection = writer(app.opened.db)
    await connection.execute("PRAGMA query_only = ON")
    try:
        (issue,) = await watched(app, clock).now()
    finally:
        await connection.execute("PRAGMA query_only = OFF")
    assert (issue.kind, issue.livemode) == (IssueKind.DATABASE, None)


async def test_a_refund_needs_the_owner_until_it_is_paid(app: App) -> None:
    session_id = await story(app, "overpaid")
    refund = await made(app.api, "/refunds", {"sessionId": session_id, "amount": "0.01"})
    assert ("refund", refund["id"]) not in await kinds(app)
    await app.api.post(f"/refunds/{refund['id']}/cancel")
    given = {"sessionId": session_id, "amount": "0.01", "destination": "0x00000000000000000000000000000000000decaf"}
    refund = await made(app.api, "/refunds", given)
    (issue,) = [each for each in (await issues(app).gather(False)).issues if each.kind is IssueKind.REFUND]
    assert (issue.subject_id, issue.words) == (refund["id"], "A refund of 0.01 ETH needs your approval.")
    assert (await (await signed_in(app)).get(f"/test{issue.path}")).status_code == 200
    await app.api.post(f"{HELPERS}/refunds/{refund['id']}/pay")
    assert ("refund", refund["id"]) not in await kinds(app)
