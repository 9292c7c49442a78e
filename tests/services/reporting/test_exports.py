"""Payments for accounting: complete, exact, harmless in a spreadsheet, and as a stream."""

import csv
import io
import json
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crypto_checkout.chain.sandbox.chain import ASSETS
from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.errors import CheckoutError
from crypto_checkout.core.public import exports as core
from crypto_checkout.http import errors
from crypto_checkout.http.dashboard.pages import exports as http
from crypto_checkout.services.reporting.exports import Exports, Format, Layout, Period
from tests.support.api import App, Clock, made, open_app

SESSIONS, HELPERS = "/checkout_sessions", "/test_helpers"
START = datetime(2026, 3, 28, 21, 0, tzinfo=UTC)
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠A1", "  =1", "\u200b=1")


@pytest.fixture
async def timed(tmp_path: Path) -> AsyncIterator[tuple[App, Clock]]:
    clock = Clock(START)
    async with open_app(tmp_path, clock=clock) as app:
        yield app, clock


def service(app: App) -> Exports:
    return Exports(app.opened.db, {1337: "Test chain"}, ASSETS)


async def files(app: App) -> httpx.AsyncClient:
    """Return a client of a small site with the exports of both modes."""

    async def payments(request: Request) -> Response:
        livemode = request.path_params["mode"] == "live"
        what = request.path_params.get("what")
        download = {None: http.payments, "unmatched": http.unmatched, "collected": http.collected}[what]
        return download(request, service(app), lambda: START, livemode=livemode)

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, CheckoutError)
        return errors.answer(error, "req_1")

    site = Starlette(
        routes=[Route("/{mode}", payments), Route("/{mode}/{what}", payments)],
        exception_handlers={CheckoutError: refused},
    )
    client = httpx.AsyncClient(transport=httpx.ASGITransport(site), base_url="http://shop.example")
    return await app.clients.enter_async_context(client)


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


async def paid(app: App, scenario: str = "exact", **fields: Any) -> dict[str, Any]:
    """Make a session of 30 USD and drive it to the end of a scenario."""
    session = await made(app.api, SESSIONS, {"amount": {"value": "30.00", "currency": "USD"}, **fields})
    answer = await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/pay", json={"scenario": scenario})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_payment_is_exported_with_all_that_an_accountant_asks(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    session = await paid(app, customerEmail="ada@example.com", customerName="=1+1")
    answer = await (await files(app)).get("/test?zone=Europe/Berlin")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["content-disposition"] == 'attachment; filename="payments-test-2026-03-28.csv"'
    (row,) = table(answer.text)
    (payment,) = session["payments"]
    moment = datetime.fromisoformat(payment["blockTime"])
    assert tuple(row) == core.COLUMNS
    assert row == {
        "time": payment["blockTime"],
        "local_time": f"{moment + timedelta(hours=1):%Y-%m-%d %H:%M:%S}",
        "time_zone": "Europe/Berlin",
        "session_id": session["id"],
        "link_id": "",
        "customer_email": "ada@example.com",
        "session_status": "paid",
        "chain_id": "1337",
        "chain": "Test chain",
        "asset": "ETH",
        "amount": "0.01",
        "amount_units": "10000000000000000",
        "fiat_amount": "30.00",
        "fiat_currency": "USD",
        "fee": "0.00",
        "rate": session["rate"]["value"],
        "rate_pair": "ETH/USD",
        "rate_sources": " ".join(session["rate"]["sources"]),
        "rate_observed_at": session["rate"]["observedAt"],
        "transaction": payment["txHash"],
        "log_index": "",
        "block_number": str(payment["blockNumber"]),
        "block_hash": payment["blockHash"],
        "from_address": payment["from"] or "",
        "to_address": session["address"],
        "kind": "native",
        "counted": "yes",
        "canonical": "yes",
        "confirmations": str(payment["confirmations"]),
        "transfers": "1",
        "address_index": str(session["addressIndex"]),
        "address_path": session["addressPath"],
        "collection_id": "",
        "customer_name": "'=1+1",
        "customer_note": "",
        "receipt_number": session["receiptNumber"],
        "quantity": "",
    }


async def test_chosen_keys_of_metadata_are_columns_and_json_has_them_all(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    notes = {"order": "1042", "sku": "=1+1", "größe": "XL"}
    await paid(app, metadata=notes)
    await paid(app)
    client = await files(app)
    for query in ("metadata=sku&metadata=order", "metadata=sku%0D%0A%0D%0Aorder%0D%0Asku", "metadata= sku %0Aorder"):
        rows = table((await client.get(f"/test?{query}")).text)
        assert tuple(rows[0]) == (*core.COLUMNS, "metadata.sku", "metadata.order")
        assert [(row["metadata.sku"], row["metadata.order"]) for row in rows] == [("'=1+1", "1042"), ("", "")]
    assert [each["metadata"] for each in (await client.get("/test?format=json")).json()] == [notes, None]


async def test_unmatched_payments_are_a_file_of_their_own(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    session = await paid(app, "wrong_token", metadata={"order": "1042"})
    await paid(app)
    client = await files(app)
    answer = await client.get("/test/unmatched?zone=Europe/Berlin&metadata=order")
    assert answer.headers["content-disposition"] == 'attachment; filename="unmatched-test-2026-03-28.csv"'
    (row,) = table(answer.text)
    assert tuple(row) == (*core.UNMATCHED_COLUMNS, "metadata.order")
    told = {"session_id", "chain", "asset", "amount", "to_address", "kind", "canonical", "metadata.order"}
    assert {name: row[name] for name in told} == {
        "session_id": session["id"],
        "chain": "Test chain",
        "asset": "USDC",
        "amount": row["amount"],
        "to_address": session["address"],
        "kind": "token",
        "canonical": "yes",
        "metadata.order": "1042",
    }
    assert Decimal(row["amount"]) * 10**6 == int(row["amount_units"]) > 0
    assert row["address_index"] == str(session["addressIndex"])
    assert (await client.get("/live/unmatched?format=json")).json() == []
    assert (await client.get("/test/unmatched?from=2027-01-01&format=json")).json() == []


async def test_of_an_unknown_token_the_smallest_units_are_exported(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    await paid(app, "wrong_token")
    exports = Exports(app.opened.db, {}, [])
    (found,) = json.loads(b"".join([part async for part in exports.unmatched(False, Period(), Layout(Format.JSON))]))
    assert (found["asset"], found["amount"], found["chain"]) == (None, None, "")
    assert found["tokenContract"] == checksum(ASSETS[1].contract or Address(""))
    assert int(found["amountUnits"]) > 0


async def test_what_was_collected_is_exported_with_its_fee_once_and_payments_name_it(
    timed: tuple[App, Clock],
) -> None:
    app, _ = timed
    client = await files(app)
    session = await paid(app)
    assert table((await client.get("/test")).text)[0]["collection_id"] == ""
    collection = (await app.api.post(f"{HELPERS}{SESSIONS}/{session['id']}/collect")).json()
    (row,) = table((await client.get("/test/collected?zone=Europe/Berlin")).text)
    assert tuple(row) == core.COLLECTED_COLUMNS
    fee = collection["fee"]
    assert (
        row.items()
        >= {
            "collection_id": collection["id"],
            "status": "seen",
            "way": "contract",
            "session_id": session["id"],
            "chain": "Test chain",
            "asset": "ETH",
            "amount": "0.01",
            "fiat_amount": "30.00",
            "fiat_currency": "USD",
            "transaction": collection["txHash"],
            "from_address": session["address"],
            "to_address": collection["destination"],
            "fee_amount": fee["amount"]["value"],
            "fee_fiat_amount": fee["fiat"]["amount"],
            "fee_fiat_currency": "USD",
        }.items()
    )
    (payment,) = table((await client.get("/test")).text)
    assert payment["collection_id"] == collection["id"]
    (as_json,) = (await client.get("/test/collected?format=json")).json()
    assert (as_json["collectionId"], as_json["feeUnits"]) == (collection["id"], fee["amount"]["units"])
    assert (await client.get("/live/collected?format=json")).json() == []


async def test_json_says_the_same_with_its_own_types(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    for scenario in ("exact", "top_up", "reorged_after_paid", "after_grace"):
        await paid(app, scenario)
    client = await files(app)
    answer = await client.get("/test?format=json")
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    rows = table((await client.get("/test")).text)
    assert len(found) == len(rows) == 5
    assert [each["sessionStatus"] for each in found] == ["paid", "paid", "paid", "failed", "expired"]
    assert [each["counted"] for each in found] == [True, True, True, False, False]
    assert [each["canonical"] for each in found] == [True, True, True, False, True]
    assert [each["confirmations"] for each in found][3] == 0
    assert [each["fiatAmount"] for each in found] == [row["fiat_amount"] for row in rows]
    assert isinstance(found[0]["rateSources"], list)
    assert found[0]["logIndex"] is None


@pytest.mark.parametrize(("format_name", "empty"), [("csv", core.csv_line(core.COLUMNS)), ("json", "[\n\n]\n")])
async def test_without_payments_the_file_is_whole_and_the_modes_never_mix(
    timed: tuple[App, Clock], format_name: str, empty: str
) -> None:
    app, _ = timed
    await paid(app)
    client = await files(app)
    assert (await client.get(f"/live?format={format_name}")).text == empty
    assert (await client.get(f"/test?format={format_name}")).text != empty


async def test_days_are_those_of_the_zone_and_both_are_included(timed: tuple[App, Clock]) -> None:
    app, clock = timed
    times = []
    for hours in (0, 2, 22, 3):  # in Berlin the night between the first two begins the shortest day of the year
        clock.move(hours=hours)
        times.append((await paid(app))["payments"][0]["blockTime"])
    client = await files(app)

    async def found(query: str) -> list[int]:
        answer = await client.get(f"/test?{query}")
        assert answer.status_code == 200, answer.text
        return [times.index(row["time"]) for row in table(answer.text)]

    assert await found("") == [0, 1, 2, 3]
    assert await found("zone=Europe/Berlin&from=2026-03-29&to=2026-03-29") == [1, 2]
    assert await found("zone=Europe/Berlin&from=2026-03-29") == [1, 2, 3]
    assert await found("zone=Europe/Berlin&to=2026-03-28") == [0]
    assert await found("from=2026-03-28&to=2026-03-28") == [0, 1]
    assert await found("zone=America/New_York&from=2026-03-28&to=2026-03-28") == [0, 1]
    assert await found("from=2027-01-01") == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("format=xlsx", "format"),
        ("zone=Mars/Olympus", "zone"),
        ("zone=../../etc/passwd", "zone"),
        ("from=yesterday", "from"),
        ("from=2026-02-30", "from"),
        ("from=2026-02-02&to=2026-02-01", "to"),
        ("to=9999-12-31", "to"),
        ("from=0001-01-01&zone=Asia/Tokyo", "to"),
        ("form=csv", "form"),
        ("metadata=" + "x" * 41, "metadata"),
        ("&".join(f"metadata=k{number}" for number in range(51)), "metadata"),
    ],
)
async def test_what_can_not_be_exported_is_refused_in_words(timed: tuple[App, Clock], query: str, param: str) -> None:
    answer = await (await files(timed[0])).get(f"/test?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_payments_that_come_meanwhile_are_left_out_and_reorged_ones_shown_as_they_are(
    timed: tuple[App, Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, _ = timed
    monkeypatch.setattr("crypto_checkout.services.reporting.exports._AT_ONCE", 2)
    for _ in range(5):
        await paid(app)
    stream = service(app).payments(False, Period(), Layout(Format.JSON))
    parts = [await anext(stream), await anext(stream)]
    await paid(app)
    assert (await app.api.post(f"{HELPERS}/chain/reorg", json={"depth": 60})).status_code == 200
    parts += [part async for part in stream]
    found = json.loads(b"".join(parts))
    assert len(found) == 5
    assert len({each["transaction"] for each in found}) == 5
    assert all(each["canonical"] for each in found[:2])


async def test_a_mark_for_spreadsheets_is_in_front_only_where_wanted(timed: tuple[App, Clock]) -> None:
    client = await files(timed[0])
    assert (await client.get("/test?bom=1")).content.startswith(b'\xef\xbb\xbf"time"')
    assert (await client.get("/test")).content.startswith(b'"time"')
    assert (await client.get("/test?bom=1&format=json")).content.startswith(b"[")


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_cell_begins_like_a_formula(formula: str) -> None:
    (cell,) = next(csv.reader(io.StringIO(core.csv_line([formula]), newline="")))
    assert cell == f"'{formula}"


def test_ordinary_text_stays_as_it_is() -> None:
    values: list[core.Value] = [
        "ada@example.com",
        'a "quoted", text',
        "two\r\nlines",
        "0.01",
        7,
        None,
        True,
        False,
        ("kraken", "x"),
    ]
    (row,) = csv.reader(io.StringIO(core.csv_line(values), newline=""))
    assert row == [
        "ada@example.com", 'a "quoted", text', "two\r\nlines", "0.01", "7", "", "yes", "no", "kraken x"
    ]  # fmt: skip


@given(st.lists(st.text(), min_size=1))
def test_whatever_stands_in_a_cell_comes_out_as_one_cell(values: list[str]) -> None:
    (row,) = csv.reader(io.StringIO(core.csv_line(values), newline=""), strict=True)
    assert len(row) == len(values)
    for cell, value in zip(row, values, strict=True):
        assert cell.removeprefix("'") == value.replace("\0", "").removeprefix("'")
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


async def test_a_hostile_email_is_harmless(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    await paid(app, customerEmail="=cmd@example.com")
    text = (await (await files(app)).get("/test")).text
    assert '"\'=cmd@example.com"' in text


async def test_memory_does_not_grow_with_the_export(timed: tuple[App, Clock]) -> None:
    app, _ = timed
    await paid(app)

    def multiply(unit: Any) -> None:
        names = [row["name"] for row in unit.all("SELECT name FROM pragma_table_info('payments')")]
        other = {"seq": "NULL", "tx_hash": "tx_hash || n", "counted": "0"}
        unit.run(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000) "  # noqa: S608
            f"INSERT INTO payments ({', '.join(names)}) SELECT {', '.join(other.get(n, n) for n in names)} "
            "FROM payments, numbers"
        )

    await app.opened.db.write(multiply)
    # Ten years, and all payments on one day of them: neither the days nor a day's payments may be held.
    period = Period.of_days(date(2026, 3, 28), date(2026, 3, 28) + timedelta(days=3650), "UTC")
    lines = 0
    tracemalloc.start()
    async for part in service(app).payments(False, period, Layout(Format.CSV)):
        lines += part.count(b"\r\n")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lines == 20_002
    assert peak < 8_000_000
