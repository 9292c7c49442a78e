"""The form for what a session asks of its payer, before any address is shown. It works without JavaScript.

The session's page shows the form until it is filled in; afterwards it has a page of its own, for corrections, which
only the browser that filled it in can open: a cookie keeps the form's secret there.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from crypto_checkout.core.checkout.questions import AnswerProblem, Question, QuestionKind, WrongAnswers
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.http import body_limit, origins
from crypto_checkout.http.checkout.renderer import CheckoutRenderer
from crypto_checkout.http.checkout.translations import Translations
from crypto_checkout.services.checkout.answers import AnswerOutcome, QuestionSheet
from crypto_checkout.services.payer import Payers

from . import refusals, visitors
from .view import web_url

PATH = "/details"

_COOKIE = "details"
_SECRET_BYTES = 16
_LABELS: Mapping[QuestionKind, str] = {
    QuestionKind.EMAIL: "details_email",
    QuestionKind.NAME: "details_name",
    QuestionKind.NOTE: "details_message",
}
"""The labels of the questions that every shop knows; a merchant's own have theirs."""

_PROBLEMS: Mapping[AnswerProblem, str] = {
    AnswerProblem.MISSING: "details_missing",
    AnswerProblem.NO_EMAIL: "details_bad_email",
    AnswerProblem.TOO_LONG: "details_too_long",
    AnswerProblem.CONTROL_CHARACTER: "details_bad_character",
    AnswerProblem.NO_OPTION: "details_choose_one",
}


@dataclass(frozen=True, slots=True)
class FormField:
    """A field of the form with what was typed; `problem` is the sentence beside it, or empty."""

    question: Question
    label: str
    text: str
    problem: str


class DetailsPages:
    """Handlers of the form; `public_url` is that of the other pages."""

    def __init__(self, renderer: CheckoutRenderer, payers: Payers, public_url: str) -> None:
        self._renderer = renderer
        self._payers = payers
        self._public_url = public_url

    async def ask(self, request: Request, session: SessionResource) -> Response | None:
        """Show the form in place of a session's page; None where nothing is asked, or can be answered any more."""
        if session["payerAnswered"]:
            return None
        secret = secrets.token_hex(_SECRET_BYTES)
        sheet = await self._payers.answers.sheet(session["id"], secret)
        if sheet.obstacle is not None:
            return None
        return await self._show(request, session, sheet, sheet.answers, secret)

    def may_correct(self, request: Request, session: SessionResource) -> bool:
        """Tell whether this browser filled in the form, by what it says: the form's own page makes sure."""
        return _COOKIE in request.cookies and session["payerAnswered"]

    async def page(self, request: Request) -> Response:
        """Show the form again, to correct it."""
        session_id, secret = request.path_params["id"], request.cookies.get(_COOKIE, "")
        sheet = await self._payers.answers.sheet(session_id, secret)
        if sheet.obstacle is not None or not secret:
            return _back(session_id)
        return await self._show(request, await self._session(request), sheet, sheet.answers, secret)

    async def fill_in(self, request: Request) -> Response:
        """Store what was typed, and go on to the session; or show the form again with what is wrong."""
        session_id = request.path_params["id"]
        if origins.is_cross_site(request.headers, self._public_url):
            return self._refuse(request, refusals.CROSS_SITE)
        form = await body_limit.read_form(request)
        secret = form.get("secret", "") or secrets.token_hex(_SECRET_BYTES)
        outcome = await self._payers.answers.answer(session_id, form, secret)
        if isinstance(outcome, WrongAnswers):
            sheet = await self._payers.answers.sheet(session_id, secret)
            session = await self._session(request)
            return await self._show(request, session, sheet, form, secret, outcome.problems)
        if outcome is AnswerOutcome.ELSEWHERE:
            return self._refuse(request, refusals.ANSWERED_ELSEWHERE)
        if outcome is AnswerOutcome.LOCKED and (await self._session(request))["payerAnswered"]:
            return self._refuse(request, refusals.ANSWERS_LOCKED)
        response = _back(session_id)
        if outcome is AnswerOutcome.STORED:
            is_https = self._public_url.startswith("https:")
            response.set_cookie(
                _COOKIE, secret, path=f"/checkout/{session_id}", secure=is_https, httponly=True, samesite="lax"
            )
        return response

    async def _show(
        self,
        request: Request,
        session: SessionResource,
        sheet: QuestionSheet,
        typed: Mapping[str, str],
        secret: str,
        problems: Mapping[str, AnswerProblem] | None = None,
    ) -> Response:
        words = visitors.translations_for(request)
        wrong = problems or {}
        return self._renderer.render(
            "details.html",
            words,
            path=f"{_page(session['id'])}{PATH if session['payerAnswered'] else ''}",
            has_form=True,
            status=400 if wrong else 200,
            session=session,
            link=await self._payers.link_of(session),
            fields=[
                FormField(
                    each,
                    each.label or words.text(_LABELS[each.kind]),
                    typed.get(each.name, ""),
                    _sentence(words, each, wrong.get(each.name)),
                )
                for each in sheet.questions
            ],
            secret=secret,
            cancel_url=None if session["payerAnswered"] else web_url(session["cancelUrl"], session["id"]),
        )

    async def _session(self, request: Request) -> SessionResource:
        return (await self._payers.view(request.path_params["id"])).session

    def _refuse(self, request: Request, refusal: refusals.RefusalPage) -> Response:
        words = visitors.translations_for(request)
        return refusals.render(self._renderer, words, refusal, _page(request.path_params["id"]))


def _sentence(words: Translations, question: Question, problem: AnswerProblem | None) -> str:
    if problem is None:
        return ""
    is_missing_choice = problem is AnswerProblem.MISSING and question.kind is QuestionKind.CHOICE
    key = _PROBLEMS[AnswerProblem.NO_OPTION if is_missing_choice else problem]
    return words.text(key, count=question.max_length)


def _back(session_id: str) -> Response:
    return RedirectResponse(_page(session_id), 303, {"Cache-Control": "no-store"})


def _page(session_id: str) -> str:
    return f"/checkout/{session_id}"
