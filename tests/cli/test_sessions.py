"""`crypto-checkout sessions` and `links` beside a running server: what the API shows, and by the same rules."""

import contextlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from crypto_checkout.cli import main
from tests.support.receiver import Receiver
from tests.support.server import Server, command

Run = Callable[..., Result]

WIDTH = 100


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with Server(folder) as running:
        yield running


@pytest.fixture
def run(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in the server's folder."""
    assert server.process.poll() is None
    monkeypatch.chdir(folder)
    return lambda *arguments: CliRunner().invoke(main, [*arguments])


def read(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def make(server: Server, **more: Any) -> dict[str, Any]:
    answer = server.api.post("/checkout_sessions", json={"amount": {"value": "10.00", "currency": "USD"}, **more})
    assert answer.status_code == 201, answer.text
    session: dict[str, Any] = answer.json()
    return session


def pay(server: Server, session: dict[str, Any], amount: str) -> dict[str, Any]:
    """Have so much arrive, and confirmed."""
    path = f"/test_helpers/checkout_sessions/{session['id']}/pay"
    assert server.api.post(path, json={"amount": amount}).is_success
    assert server.api.post("/test_helpers/chain/mine", json={"blocks": 3}).is_success
    return shown(server, session["id"])


def shown(server: Server, session_id: str) -> dict[str, Any]:
    session: dict[str, Any] = server.api.get(f"/checkout_sessions/{session_id}").json()
    return session


def audit_trail(folder: Path) -> list[tuple[Any, ...]]:
    """Return the entries of the audit trail, oldest first."""
    (path,) = folder.rglob("checkout.db")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [*connection.execute("SELECT actor, action, livemode, subject, detail FROM audit ORDER BY seq")]


# --- list and show ---------------------------------------------------------------------------------------------------


def test_the_list_is_that_of_the_api_newest_first(server: Server, run: Run) -> None:
    made = [make(server)["id"] for _ in range(3)]
    listed = read(run("sessions", "list", "--json", "--limit", "3"))
    assert [session["id"] for session in listed] == made[::-1]
    assert listed == server.api.get("/checkout_sessions", params={"limit": 3}).json()["data"]


def test_the_list_can_be_of_one_status_and_of_one_mode(server: Server, run: Run) -> None:
    closed = make(server)["id"]
    assert server.api.post(f"/checkout_sessions/{closed}/expire").is_success
    expired = read(run("sessions", "list", "--status", "expired", "--mode", "test", "--json"))
    assert closed in {session["id"] for session in expired}
    assert {session["status"] for session in expired} == {"expired"}
    assert read(run("sessions", "list", "--mode", "live", "--json")) == []
    assert "No session matches." in run("sessions", "list", "--mode", "live").stdout


def test_the_table_for_people_is_aligned_and_fits_100_columns(server: Server, run: Run) -> None:
    session = make(server, amount={"value": "999999999999.99", "currency": "USD"})
    head, *rows = run("sessions", "list").stdout.splitlines()
    assert max(map(len, [head, *rows])) <= WIDTH
    assert all(row[head.index("mode") :].startswith("test ") for row in rows)
    assert any(session["id"] in row and "999999999999.99 USD" in row for row in rows)


def test_a_session_is_shown_with_its_payments_and_their_depth(server: Server, run: Run) -> None:
    session = make(server, customerEmail="ada@example.com", metadata={"order": "1042"})
    paid = pay(server, session, session["amount"]["value"])
    said = run("sessions", "show", session["id"]).stdout
    (payment,) = paid["payments"]
    for text in (session["address"], "paid", "test", "10.00 USD", "ada@example.com", "1042", payment["txHash"]):
        assert text in said
    assert re.search(rf"in block {payment['blockNumber']}, \d+ confirmations \(3 needed\)", said)
    assert max(map(len, said.splitlines())) <= WIDTH
    assert read(run("sessions", "show", session["id"], "--json")) == shown(server, session["id"])


def test_what_a_payer_wrote_does_not_reach_the_terminal_as_it_is(server: Server, run: Run) -> None:
    session = make(server, metadata={"note": "\u202eturned"})
    said = run("sessions", "show", session["id"]).stdout
    assert "turned" in said
    assert "\u202e" not in said


@pytest.mark.parametrize("what", ["show", "accept", "expire"])
def test_an_unknown_session_is_refused_with_the_way_to_find_it(run: Run, what: str) -> None:
    result = run("sessions", what, "cs_nonsense")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: There is no checkout session cs_nonsense; `crypto-checkout sessions list` shows them.\n"
    )


# --- accept and expire -----------------------------------------------------------------------------------------------


def test_what_is_decided_beside_the_running_server_is_told_to_its_webhooks_at_its_next_look(
    server: Server, folder: Path
) -> None:
    closed, underpaid = make(server), make(server)
    assert pay(server, underpaid, "0.001")["status"] == "underpaid"
    with Receiver() as receiver:
        endpoint = {"url": receiver.url, "events": ["session.expired", "session.paid"]}
        assert server.api.post("/webhook_endpoints", json=endpoint).status_code == 201
        done = [
            command(folder, "sessions", what, session["id"], "--json")
            for what, session in (("expire", closed), ("accept", underpaid))
        ]
        assert [each.returncode for each in done] == [0, 0]
        server.wait_until(lambda: len(receiver.received) == len(done), "deliver the events")
    told = {each.event["data"]["id"]: each.event["data"] for each in receiver.received}
    for session, printed, reason in zip((closed, underpaid), done, ("closed", "accepted"), strict=True):
        assert told[session["id"]] == json.loads(printed.stdout) == shown(server, session["id"])
        assert told[session["id"]]["statusReason"] == reason


def test_every_command_that_writes_is_in_the_audit_trail(server: Server, folder: Path, run: Run) -> None:
    closed, underpaid = make(server), make(server)
    pay(server, underpaid, "0.001")
    before = audit_trail(folder)
    link = read(run("links", "create", "--title", "Tea", "--amount", "3.50", "--json"))
    with Receiver() as receiver:
        endpoint = server.api.post("/webhook_endpoints", json={"url": receiver.url, "events": ["*"]}).json()
        read(run("sessions", "expire", closed["id"], "--json"))
        read(run("sessions", "accept", underpaid["id"], "--json"))
        read(run("webhooks", "test", endpoint["id"], "--json"))
        read(run("webhooks", "enable", endpoint["id"], "--json"))
        read(run("webhooks", "replay", endpoint["id"], "--since", "2026-01-01T00:00:00Z", "--json"))
    key = read(run("trigger", "api_key.created", "--json"))["resourceId"]
    assert audit_trail(folder)[len(before) :] == [
        ("command_line", "payment_link.created", 0, link["id"], "Tea"),
        ("command_line", "session.expired", 0, closed["id"], "closed"),
        ("command_line", "session.paid", 0, underpaid["id"], "accepted"),
        ("command_line", "webhook_endpoint.tested", 0, endpoint["id"], "succeeded"),
        ("command_line", "webhook_endpoint.updated", 0, endpoint["id"], "switched on"),
        ("command_line", "webhook_endpoint.replayed", 0, endpoint["id"], "since 2026-01-01T00:00:00.000Z"),
        ("command_line", "api_key.created", 0, key, "crypto-checkout trigger"),
        ("command_line", "api_key.revoked", 0, key, "crypto-checkout trigger"),
    ]


def test_a_refused_command_is_not_in_the_audit_trail(server: Server, folder: Path, run: Run) -> None:
    pending = make(server)
    before = audit_trail(folder)
    assert run("sessions", "accept", pending["id"]).exit_code == 1
    assert audit_trail(folder) == before


def test_what_is_explained_of_an_accepted_session_names_no_more_confirmations_than_it_needs(
    server: Server, run: Run
) -> None:
    underpaid = make(server)
    pay(server, underpaid, "0.001")
    assert server.api.post("/test_helpers/chain/mine", json={"blocks": 3}).is_success
    read(run("sessions", "accept", underpaid["id"], "--json"))
    words = run("explain", underpaid["id"]).stdout
    assert "3 of 3" in words
    assert not re.search(r"([4-9]|[0-9]{2}) of 3", words)


def test_a_decision_that_the_status_does_not_allow_is_refused_and_writes_nothing(server: Server, run: Run) -> None:
    session = make(server)
    refused = run("sessions", "accept", session["id"])
    assert refused.exit_code == 1
    assert "is pending: only underpaid" in refused.stderr
    events = server.api.get("/events", params={"resourceId": session["id"]}).json()["data"]
    assert [event["type"] for event in events] == ["session.created"]


def test_a_session_is_closed_by_the_time_of_the_simulated_chain_which_may_run_ahead(server: Server, run: Run) -> None:
    """Closed by the clock on the wall, it would end before it was made, and what is paid already would be late."""
    assert server.api.post("/test_helpers/chain/mine", json={"blocks": 600}).is_success
    session = make(server)
    assert pay(server, session, "0.001")["status"] == "underpaid"
    closed = read(run("sessions", "expire", session["id"], "--json"))
    assert closed["status"] == "expired"
    assert [payment["counted"] for payment in closed["payments"]] == [True]


# --- links -----------------------------------------------------------------------------------------------------------


def test_a_link_made_beside_the_running_server_leads_to_a_session(server: Server, run: Run) -> None:
    made = run("links", "create", "--title", "Tea", "--amount", "3.50", "--currency", "EUR", "--asset", "USDC")
    assert made.exit_code == 0, made.output
    url = made.stdout.splitlines()[0]
    assert url.startswith(f"{server.url}/l/")
    assert "It is for test mode, without real money; --mode live creates a live one." in made.stdout
    page = server.api.get(url)
    assert page.status_code == 303
    session = shown(server, page.headers["location"].rpartition("/")[2])
    assert (session["fiat"], session["asset"]) == ({"amount": "3.50", "currency": "EUR"}, "USDC")
    events = server.api.get("/events", params={"resourceId": session["linkId"]}).json()["data"]
    assert [event["type"] for event in events] == ["payment_link.created"]


def test_a_link_with_a_choice_and_what_is_shown_of_its_session(server: Server, run: Run) -> None:
    both = ("--asset", "1337:ETH", "--asset", "1337:USDC")
    link = read(run("links", "create", "--title", "Tea", "--amount", "3.50", *both, "--json"))
    assert link["assets"] == [{"chainId": 1337, "asset": "ETH"}, {"chainId": 1337, "asset": "USDC"}]
    page = server.client(None).get(link["checkoutUrl"])
    session_id = page.headers["location"].rpartition("/")[2]
    said = run("sessions", "show", session_id).stdout
    assert "ETH on chain 1337, USDC on chain 1337; not chosen yet" in said
    url = f"{server.url}/checkout/{session_id}/choose"
    assert server.client(None).post(url, data={"choice": "1337:USDC"}).status_code == 303
    said = run("sessions", "show", session_id).stdout
    assert "3.5 USDC on chain 1337" in said
    assert "not chosen yet" not in said


def test_the_list_of_links_is_that_of_the_api(server: Server, run: Run) -> None:
    link = read(run("links", "create", "--title", "A title that is long " * 8, "--amount", "3.50", "--json"))
    listed = read(run("links", "list", "--json"))
    assert listed[0] == link
    assert listed == server.api.get("/payment_links", params={"limit": 100}).json()["data"]
    for_people = run("links", "list").stdout
    assert link["checkoutUrl"] in for_people
    assert max(map(len, for_people.splitlines())) <= WIDTH


def test_a_link_asks_what_it_is_told_to(server: Server, run: Run) -> None:
    asked = ("--ask", "email", "--ask", "note=optional")
    link = json.loads(run("links", "create", "--title", "Tea", "--amount", "3.50", *asked, "--json").stdout)
    assert link["payerFields"] == {"email": "required", "name": "no", "note": "optional"}
    session = server.api.post("/checkout_sessions", json={"linkId": link["id"]}).json()
    assert "not given by the payer yet" in run("sessions", "show", session["id"]).stdout


def test_links_whose_payer_decides_are_made_and_listed(server: Server, run: Run) -> None:
    bounds = ("--min", "5", "--max", "100", "--suggest", "10", "--suggest", "25")
    free = read(run("links", "create", "--title", "A gift", "--any-amount", *bounds, "--currency", "EUR", "--json"))
    assert (free["fiatAmount"], free["minFiatAmount"], free["maxFiatAmount"]) == (None, "5.00", "100.00")
    assert free["suggestedAmounts"] == ["10.00", "25.00"]
    tickets = read(
        run("links", "create", "--title", "Tickets", "--amount", "15", "--quantity", "2-4", "--stock", "9", "--json")
    )
    assert (tickets["quantity"]["min"], tickets["quantity"]["max"], tickets["quantity"]["stock"]) == (2, 4, 9)
    single = read(run("links", "create", "--title", "A book", "--amount", "15", "--stock", "1", "--json"))
    assert (single["quantity"]["min"], single["quantity"]["max"]) == (1, 1)
    assert server.api.post("/checkout_sessions", json={"linkId": single["id"]}).status_code == 201
    assert ">Pay</a>" in run("links", "create", "--title", "A gift", "--any-amount").stdout
    listed = run("links", "list").stdout
    for said in ("any amount in EUR", "15.00 USD each, 9 of 9 left", "15.00 USD each, 0 of 1 left"):
        assert said in listed
    assert max(map(len, listed.splitlines())) <= WIDTH


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (("--title", "Tea"), 2, "--any-amount"),
        (("--title", "Tea", "--amount", "3.50", "--any-amount"), 2, "--any-amount"),
        (("--title", "Tea", "--any-amount", "--min", "x"), 2, "--min"),
        (("--title", "Tea", "--any-amount", *("--suggest", "1") * 7), 2, "--suggest"),
        (("--title", "Tea", "--any-amount", "--min", "5", "--max", "4"), 1, "maxFiatAmount"),
        (("--title", "Tea", "--any-amount", "--stock", "4"), 1, "quantity"),
        (("--title", "Tea", "--amount", "3.50", "--max", "4"), 1, "maxFiatAmount"),
        (("--title", "Tea", "--amount", "3.50", "--quantity", "0"), 2, "--quantity"),
        (("--title", "Tea", "--amount", "3.50", "--quantity", "4-2"), 1, "quantity.max"),
        (("--title", "Tea", "--amount", "3.50", "--stock", "-1"), 2, "--stock"),
        (("--title", "Tea", "--amount", "3,50"), 2, "--amount"),
        (("--title", "Tea", "--amount", "3.505"), 2, "--amount"),
        (("--title", "Tea", "--amount", "3.50", "--currency", "EURO"), 2, "--currency"),
        (("--title", " ", "--amount", "3.50"), 2, "--title"),
        (("--title", "t" * 201, "--amount", "3.50"), 2, "--title"),
        (("--title", "Tea", "--amount", "3.50", "--asset", "BTC"), 1, "it takes ETH, USDC"),
        (("--title", "Tea", "--amount", "3.50", "--chain", "1"), 1, "1337"),
        (("--title", "Tea", "--amount", "3.50", "--asset", "1337:BTC"), 1, "it takes ETH, USDC"),
        (("--title", "Tea", "--amount", "3.50", "--asset", "1337:ETH", "--asset", "1:ETH"), 1, "Chain 1 is not"),
        (("--title", "Tea", "--amount", "3.50", "--asset", "ETH", "--asset", "USDC"), 2, "like 1:USDC"),
        (("--title", "Tea", "--amount", "3.50", "--asset", "1337:"), 2, "like 1:USDC"),
        (("--title", "Tea", "--amount", "3.50", *("--asset", "1337:ETH") * 2), 2, "listed twice"),
        (("--title", "Tea", "--amount", "3.50", "--asset", "1337:ETH", "--chain", "1337"), 2, "--chain"),
        (("--title", "Tea", "--amount", "3.50", "--mode", "live"), 1, "[[chains]]"),
        (("--title", "Tea", "--amount", "3.50", "--ask", "phone"), 2, "--ask"),
        (("--title", "Tea", "--amount", "3.50", "--ask", "email=maybe"), 2, "--ask"),
        (("--title", "Tea", "--amount", "3.50", "--ask", "email", "--ask", "email=no"), 2, "twice"),
    ],
)
def test_a_link_that_could_not_be_paid_is_refused_with_what_is_wrong(
    server: Server, run: Run, arguments: tuple[str, ...], code: int, named: str
) -> None:
    before = server.api.get("/payment_links").json()
    refused = run("links", "create", *arguments)
    assert refused.exit_code == code
    assert named in refused.stderr
    assert server.api.get("/payment_links").json() == before
