"""Take a payer's answers to what a session asks, before the payer sees its address.

The first answers win. Only the browser that gave them can correct them: its form holds a secret, whose hash is stored
with the answers, so that knowing a session's id is enough neither to read them nor to put others in their place.
Answers are closed once the address receives a transfer, on any chain: whoever sees a payment can't name themselves as
its payer afterwards. Money that comes before any answer counts all the same.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from hashlib import sha256

from crypto_checkout.core.checkout.questions import (
    AnswerProblem,
    Answers,
    Question,
    QuestionKind,
    WrongAnswers,
    read_answers,
)
from crypto_checkout.core.checkout.session import Session, Status
from crypto_checkout.core.errors import InvalidBody, SessionNotOpen
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.services.checkout.session_reader import SessionReader, find
from crypto_checkout.services.webhooks.outbox import Outbox
from crypto_checkout.store.checkout import sessions as store
from crypto_checkout.store.database import Database, ReadUnit, WriteUnit
from crypto_checkout.store.ledger import payments, unmatched
from crypto_checkout.store.webhooks import events as event_store

MOST_TIMES = 10
"""The number of times that a payer can answer and correct: each time costs an event and its deliveries."""


class AnswerOutcome(Enum):
    """The outcome of an answer."""

    STORED = auto()
    ELSEWHERE = auto()
    """Another browser has answered."""
    LOCKED = auto()
    """The address has received a transfer, or the answers were corrected too often."""
    CLOSED = auto()
    """The session is paid or has expired, or asks nothing."""


_WORDS: Mapping[AnswerProblem | AnswerOutcome, str] = {
    AnswerProblem.MISSING: "must be answered",
    AnswerProblem.NO_EMAIL: 'must be an email address like "ada@example.com"',
    AnswerProblem.TOO_LONG: "is too long",
    AnswerProblem.CONTROL_CHARACTER: "has a control character",
    AnswerProblem.NO_OPTION: "must be one of the options",
    AnswerOutcome.ELSEWHERE: "its payer has answered",
    AnswerOutcome.LOCKED: "its address has received a transfer, or it was answered too often",
    AnswerOutcome.CLOSED: "it is over, or asks nothing",
}
"""The reasons for which a test session isn't answered."""


@dataclass(frozen=True, slots=True)
class QuestionSheet:
    """The questions of a session with the answers so far, by the questions' names; `obstacle` if none can be given."""

    questions: tuple[Question, ...]
    answers: Mapping[str, str]
    obstacle: AnswerOutcome | None


class PayerAnswers:
    """Payers' answers in both modes; `chain_time` converts our time to a mode's, by which sessions expire."""

    def __init__(
        self, db: Database, reader: SessionReader, chain_time: Callable[[bool, datetime], datetime], events: Outbox
    ) -> None:
        self._db = db
        self._reader = reader
        self._chain_time = chain_time
        self._events = events

    async def sheet(self, session_id: str, secret: str) -> QuestionSheet:
        """Return the questions, with the answers if the secret is that of the browser that gave them.

        Raises ResourceNotFound.
        """

        def read(unit: ReadUnit) -> QuestionSheet:
            session = find(unit, session_id)
            obstacle = self._obstacle(unit, session, secret)
            answers = _typed(session) if obstacle is None else {}
            return QuestionSheet(session.options.questions, answers, obstacle)

        return await self._db.read(read, quick=True)

    async def answer(self, session_id: str, typed: Mapping[str, str], secret: str) -> AnswerOutcome | WrongAnswers:
        """Store the answers in a form, unless there is an obstacle or one of them is wrong.

        Repeating is safe: answers that are there already cause no second event. Raises ResourceNotFound.
        """
        return await self._db.write(lambda unit: self._store(unit, session_id, typed, secret), quick=True)

    def in_test_mode(
        self, session_id: str, usual: Mapping[str, str], custom: Mapping[str, str]
    ) -> Callable[[WriteUnit], SessionResource]:
        """Return the unit that answers a test session as its payer would; `custom` goes by the keys of the fields.

        The unit raises ResourceNotFound, InvalidBody for a wrong answer, and SessionNotOpen for any obstacle.
        """

        def answer(unit: WriteUnit) -> SessionResource:
            session, secret = find(unit, session_id, livemode=False), f"test helper of {session_id}"
            obstacle = self._obstacle(unit, session, secret)
            if obstacle is not None:
                raise SessionNotOpen(f"Session {session_id} takes no answers: {_WORDS[obstacle]}.")
            asked = session.options.questions
            params = {each.name: f"customFields.{each.key}" if each.key else each.name for each in asked}
            given = {**usual, **{f"customFields.{key}": text for key, text in custom.items()}}
            unknown = next((param for param in given if param not in params.values()), None)
            if unknown is not None:
                raise InvalidBody(f"{unknown}: this session doesn't ask for it.", param=unknown)
            typed = {name: given[param] for name, param in params.items() if param in given}
            outcome = self._store(unit, session_id, typed, secret)
            if isinstance(outcome, WrongAnswers):
                name, problem = next(iter(outcome.problems.items()))
                raise InvalidBody(f"{params[name]}: {_WORDS[problem]}.", param=params[name])
            return self._reader.describe(unit, find(unit, session_id))

        return answer

    def _store(
        self, unit: WriteUnit, session_id: str, typed: Mapping[str, str], secret: str
    ) -> AnswerOutcome | WrongAnswers:
        session = find(unit, session_id)
        obstacle = self._obstacle(unit, session, secret)
        if obstacle is not None:
            return obstacle
        answers = read_answers(session.options.questions, typed)
        if isinstance(answers, WrongAnswers):
            return answers
        answered = _with(session, answers)
        if session.answered_at is None or answered != session:
            answered = replace(answered, answered_at=unit.now, answer_key=_hashed(secret), updated_at=unit.now)
            store.answer(unit, session, answered)
            self._events.record(unit, EventType.SESSION_UPDATED, self._reader.describe(unit, answered))
        return AnswerOutcome.STORED

    def _obstacle(self, unit: ReadUnit, session: Session, secret: str) -> AnswerOutcome | None:
        now = self._chain_time(session.livemode, unit.now)
        if not session.options.asks or session.status is not Status.PENDING or now >= session.terms.expires_at:
            return AnswerOutcome.CLOSED
        if session.answer_key is not None and not hmac.compare_digest(session.answer_key, _hashed(secret)):
            return AnswerOutcome.ELSEWHERE
        if payments.has_any(unit, session.id) or unmatched.has_any(unit, session.id):
            return AnswerOutcome.LOCKED
        times = event_store.count_of(unit, session.livemode, session.id, EventType.SESSION_UPDATED)
        return AnswerOutcome.LOCKED if times >= MOST_TIMES else None


def _with(session: Session, answers: Answers) -> Session:
    """Return a session with these answers in place of those it has; what the merchant has set stays."""
    options, kinds = session.options, {each.kind for each in session.options.questions}
    own_keys = {each.key for each in options.custom_fields or ()}
    notes = {key: value for key, value in (options.metadata or {}).items() if key not in own_keys}
    return replace(
        session,
        customer_note=answers.note,
        options=replace(
            options,
            customer_email=answers.email if QuestionKind.EMAIL in kinds else options.customer_email,
            customer_name=answers.name if QuestionKind.NAME in kinds else options.customer_name,
            metadata={**notes, **answers.custom} or None,
        ),
    )


def _typed(session: Session) -> Mapping[str, str]:
    """Return a session's answers by the names of its questions."""
    options = session.options
    usual = {
        QuestionKind.EMAIL: options.customer_email,
        QuestionKind.NAME: options.customer_name,
        QuestionKind.NOTE: session.customer_note,
    }
    notes = options.metadata or {}
    found = {each.name: notes.get(each.key) if each.key else usual.get(each.kind) for each in options.questions}
    return {name: text for name, text in found.items() if text is not None}


def _hashed(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
