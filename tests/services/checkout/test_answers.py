"""Answers of payers: in one write with their event, and beside a payment that comes at the same moment."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto_checkout.services.checkout.answers import AnswerOutcome, PayerAnswers
from crypto_checkout.services.checkout.session_reader import SessionReader
from crypto_checkout.services.webhooks.outbox import Outbox
from tests.support.api import PRICE, App, Clock, listed, made, open_app
from tests.support.server import Server
from tests.support.waiting import WAIT_SECONDS

ASKS: dict[str, Any] = {
    **PRICE,
    "payerFields": {"email": "required", "name": "required"},
    "customFields": [{"key": "size", "label": "Size", "type": "text"}],
}
TYPED = {"email": "ada@example.com", "name": "Ada Lovelace", "field-1": "M"}


class Full(Exception):
    """The disk is full."""


class FullOutbox(Outbox):
    """An outbox whose event can't be written."""

    def record(self, *_: Any, **__: Any) -> None:
        """Fail."""
        raise Full


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    async with open_app(tmp_path) as opened:
        yield opened


def answers_of(app: App, outbox: Outbox) -> PayerAnswers:
    reader = SessionReader(app.opened.db, public_url="http://127.0.0.1:4020")
    return PayerAnswers(app.opened.db, reader, app.opened.payment_methods.chain_time, outbox)


async def test_answers_are_stored_with_their_event_or_not_at_all(app: App) -> None:
    session = await made(app.api, "/checkout_sessions", ASKS)
    with pytest.raises(Full):
        await answers_of(app, FullOutbox()).answer(session["id"], TYPED, "mine")
    found = (await app.api.get(f"/checkout_sessions/{session['id']}")).json()
    assert found == session
    assert (await listed(app.api, "/checkout_sessions", customerEmail="ada@example.com"))["data"] == []
    outcome = await answers_of(app, Outbox()).answer(session["id"], TYPED, "another browser")
    assert outcome is AnswerOutcome.STORED
    (event,) = (await listed(app.api, "/events", resourceId=session["id"], type="session.updated"))["data"]
    assert event["data"] == (await app.api.get(f"/checkout_sessions/{session['id']}")).json()


async def test_an_answer_beside_a_payment_is_either_before_it_or_refused(app: App) -> None:
    answers = answers_of(app, Outbox())
    for _ in range(6):
        session = await made(app.api, "/checkout_sessions", ASKS)
        pay = app.api.post(f"/test_helpers/checkout_sessions/{session['id']}/pay", json={})
        outcome, _ = await asyncio.gather(answers.answer(session["id"], TYPED, "mine"), pay)
        found = (await app.api.get(f"/checkout_sessions/{session['id']}")).json()
        assert found["payerAnswered"] is (outcome is AnswerOutcome.STORED)
        assert found["customerEmail"] == ("ada@example.com" if outcome is AnswerOutcome.STORED else None)
        assert int(found["amountReceived"]["units"]) > 0


async def test_answers_end_with_the_time_of_the_mode(tmp_path: Path) -> None:
    clock = Clock()
    async with open_app(tmp_path, clock=clock) as app:
        answers = answers_of(app, Outbox())
        session = await made(app.api, "/checkout_sessions", {**ASKS, "expiresInSeconds": 60})
        clock.move(seconds=59)
        assert (await answers.sheet(session["id"], "mine")).obstacle is None
        clock.move(seconds=1)
        assert (await answers.sheet(session["id"], "mine")).obstacle is AnswerOutcome.CLOSED
        assert await answers.answer(session["id"], TYPED, "mine") is AnswerOutcome.CLOSED


def test_a_killed_server_has_every_answer_it_took_whole_and_none_by_halves(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        key = server.key
        sessions = [server.api.post("/checkout_sessions", json=ASKS).json()["id"] for _ in range(40)]
        taken: list[str] = []

        def fill_in(session_id: str) -> None:
            form = {**TYPED, "secret": session_id}
            with suppress(httpx.TransportError):
                answer = httpx.post(
                    f"{server.url}/checkout/{session_id}/details", data=form, timeout=WAIT_SECONDS, trust_env=False
                )
                assert answer.status_code == 303
                taken.append(session_id)

        with ThreadPoolExecutor(4) as payers:
            sent = [payers.submit(fill_in, each) for each in sessions]
            server.wait_until(lambda: len(taken) >= 10, "take some answers")
            server.kill()
        for each in sent:
            each.result()
    with Server(tmp_path) as again:
        api = again.client(key)
        for session_id in sessions:
            session = api.get(f"/checkout_sessions/{session_id}").json()
            query = {"resourceId": session_id, "type": "session.updated"}
            told = [each["data"] for each in api.get("/events", params=query).json()["data"]]
            assert [each["metadata"] for each in told] == ([session["metadata"]] if session["payerAnswered"] else [])
            whole = ("ada@example.com", "Ada Lovelace", {"size": "M"})
            found = (session["customerEmail"], session["customerName"], session["metadata"])
            assert found == (whole if session["payerAnswered"] else (None, None, None))
            assert session["payerAnswered"] or session_id not in taken
