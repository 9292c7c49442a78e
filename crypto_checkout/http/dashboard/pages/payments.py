"""Payments: search and filter sessions, and list unmatched payments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from starlette.responses import Response

from crypto_checkout.core.alerts.groups import GROUPS, SESSION_KINDS
from crypto_checkout.core.alerts.issues import IssueKind
from crypto_checkout.core.checkout.session import STATUSES, Status
from crypto_checkout.core.errors import InvalidQuery
from crypto_checkout.core.public.types import SessionResource
from crypto_checkout.http.dashboard.frame import labels
from crypto_checkout.http.dashboard.frame.pager import pager
from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.store.checkout import links
from crypto_checkout.store.checkout.sessions import SessionFilter
from crypto_checkout.store.database import ReadUnit
from crypto_checkout.store.paging import Window

PATH = "/payments"

_MOST_TEXT = 500
_MOST_LINKS = 100
_INSTANT = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class PaymentQuery:
    """A search for sessions by text and filters; days are in UTC, both included."""

    text: str
    filter: SessionFilter

    @property
    def is_unfiltered(self) -> bool:
        """True if it matches all sessions."""
        return not self.text and self.filter == SessionFilter()


async def index(request: DashboardRequest) -> Response:
    """List the sessions of a search."""
    search, window = _payment_query(request), request.window()
    sessions = request.services.checkout.session_reader
    page = await sessions.listed(request.livemode, search.filter, window, text=search.text)
    count = await sessions.count(request.livemode, search.filter, text=search.text)
    return request.render(
        "payments/list.html",
        sessions=page.items,
        titles=await link_titles(request, page.items),
        count=count,
        search=search,
        statuses=[(status.value, info.title) for status, info in STATUSES.items()],
        links=await _link_choices(request, search.filter),
        issues=[(kind.value, GROUPS[kind].many.capitalize()) for kind in GROUPS if kind in SESSION_KINDS],
        labels=labels,
        chains=request.services.checkout.payment_methods.all_chains(),
        pager=pager(request, page, window),
    )


async def unmatched(request: DashboardRequest) -> Response:
    """List the unmatched payments, of all sessions or of one."""
    window = request.window()
    session_id = request.query_params.get("payment") or None
    is_open = request.query_params.get("issue") == IssueKind.UNMATCHED
    details = request.services.diagnosis.payment_details
    page = await details.unmatched(request.livemode, window, session_id, is_open=is_open)
    return request.render(
        "payments/unmatched.html",
        unmatched=page.items,
        is_open=is_open,
        chains=request.services.checkout.payment_methods.all_chains(),
        pager=pager(request, page, window),
    )


def _payment_query(request: DashboardRequest) -> PaymentQuery:
    query = request.query_params
    since, until = _day(query, "from"), _day(query, "to")
    return PaymentQuery(
        query.get("q", "").strip()[:_MOST_TEXT],
        SessionFilter(
            status=_status(query),
            link_id=query.get("link") or None,
            created_after=None if since is None else _midnight(since) - _INSTANT,
            created_before=None if until is None else _midnight(until) + timedelta(days=1),
            issue=_issue(query),
        ),
    )


def _status(query: Mapping[str, str]) -> Status | None:
    given = query.get("status")
    if not given:
        return None
    if given not in set(Status):
        raise InvalidQuery(f'"{given[:20]}" is not a payment status.', param="status")
    return Status(given)


def _issue(query: Mapping[str, str]) -> str | None:
    given = query.get("issue")
    if not given:
        return None
    if given not in SESSION_KINDS:
        raise InvalidQuery(f'"{given[:20]}" is not a kind of issue.', param="issue")
    return given


def _day(query: Mapping[str, str], name: str) -> date | None:
    given = query.get(name)
    if not given:
        return None
    try:
        day = date.fromisoformat(given)
    except ValueError:
        raise InvalidQuery(f'"{given[:20]}" is not a date; use one like 2026-01-31.', param=name) from None
    if not date.min < day < date.max:
        raise InvalidQuery(f'"{given}" is out of range.', param=name)
    return day


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


async def link_titles(request: DashboardRequest, sessions: Sequence[SessionResource]) -> dict[str, str]:
    """Return the titles of the sessions' links, by their ids."""
    asked = sorted({session["linkId"] for session in sessions if session["linkId"] is not None})
    return await request.services.db.read(lambda unit: _titles(unit, request.livemode, asked))


async def _link_choices(request: DashboardRequest, selected: SessionFilter) -> list[tuple[str, str]]:
    """Return the links to choose from as pairs of id and title: the newest, and the selected one."""
    newest = (await request.services.checkout.links.listed(request.livemode, None, Window(_MOST_LINKS))).items
    choices = {link["id"]: link["title"] for link in newest}
    asked = [each for each in (selected.link_id,) if each is not None and each not in choices]
    return [
        *choices.items(),
        *(await request.services.db.read(lambda unit: _titles(unit, request.livemode, asked))).items(),
    ]


def _titles(unit: ReadUnit, livemode: bool, link_ids: Sequence[str]) -> dict[str, str]:
    found = {each: links.get(unit, each, livemode) for each in link_ids}
    return {each: "a deleted link" if link is None else link.title for each, link in found.items()}


PAGES = (
    DashboardPage("GET", PATH, index),
    DashboardPage("GET", f"{PATH}/unmatched", unmatched),
)
