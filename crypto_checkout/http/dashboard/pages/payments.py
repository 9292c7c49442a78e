"""Payments: find sessions by what a person has in hand, and all that came to addresses unasked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from starlette.responses import Response

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
    """Which sessions are asked for: by text, and by filters; days are those of UTC, both included."""

    text: str
    filter: SessionFilter

    @property
    def is_everything(self) -> bool:
        """Whether nothing was left out."""
        return not self.text and self.filter == SessionFilter()


async def listed(request: DashboardRequest) -> Response:
    """Show the sessions that are asked for."""
    wanted, window = _wanted(request), request.window()
    reader = request.services.checkout.session_reader
    page = await reader.listed(request.livemode, wanted.filter, window, text=wanted.text)
    count = await reader.count(request.livemode, wanted.filter, text=wanted.text)
    return request.render(
        "payments/list.html",
        sessions=page.items,
        titles=await link_titles(request, page.items),
        count=count,
        wanted=wanted,
        statuses=[(status.value, info.title) for status, info in STATUSES.items()],
        links=await _choices(request, wanted.filter),
        words=labels,
        chains=request.services.checkout.payment_methods.all_chains(),
        pager=pager(request, page, window),
    )


async def unmatched(request: DashboardRequest) -> Response:
    """Show the money that nobody asked for."""
    window = request.window()
    page = await request.services.diagnosis.payment_details.unmatched(request.livemode, window)
    return request.render(
        "payments/unmatched.html",
        unmatched=page.items,
        chains=request.services.checkout.payment_methods.all_chains(),
        pager=pager(request, page, window),
    )


def _wanted(request: DashboardRequest) -> PaymentQuery:
    query = request.query_params
    since, until = _day(query, "from"), _day(query, "to")
    return PaymentQuery(
        query.get("q", "").strip()[:_MOST_TEXT],
        SessionFilter(
            status=_status(query),
            link_id=query.get("link") or None,
            created_after=None if since is None else _midnight(since) - _INSTANT,
            created_before=None if until is None else _midnight(until) + timedelta(days=1),
        ),
    )


def _status(query: Mapping[str, str]) -> Status | None:
    given = query.get("status")
    if not given:
        return None
    if given not in set(Status):
        raise InvalidQuery(f'"{given[:20]}" is no status of a payment.', param="status")
    return Status(given)


def _day(query: Mapping[str, str], name: str) -> date | None:
    given = query.get(name)
    if not given:
        return None
    try:
        day = date.fromisoformat(given)
    except ValueError:
        raise InvalidQuery(f'"{given[:20]}" is no day; write one like 2026-01-31.', param=name) from None
    if not date.min < day < date.max:
        raise InvalidQuery(f'"{given}" is too far away.', param=name)
    return day


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


async def link_titles(request: DashboardRequest, sessions: Sequence[SessionResource]) -> dict[str, str]:
    """Return the titles of the links that sessions were made from, by their ids."""
    asked = sorted({session["linkId"] for session in sessions if session["linkId"] is not None})
    return await request.services.db.read(lambda unit: _titles(unit, request.livemode, asked))


async def _choices(request: DashboardRequest, wanted: SessionFilter) -> list[tuple[str, str]]:
    """Return the links to choose from as pairs of id and title: the newest, and whichever one is asked for."""
    newest = (await request.services.checkout.links.listed(request.livemode, None, Window(_MOST_LINKS))).items
    choices = {link["id"]: link["title"] for link in newest}
    asked = [each for each in (wanted.link_id,) if each is not None and each not in choices]
    return [
        *choices.items(),
        *(await request.services.db.read(lambda unit: _titles(unit, request.livemode, asked))).items(),
    ]


def _titles(unit: ReadUnit, livemode: bool, link_ids: Sequence[str]) -> dict[str, str]:
    found = {each: links.get(unit, each, livemode) for each in link_ids}
    return {each: "a deleted link" if link is None else link.title for each, link in found.items()}


PAGES = (
    DashboardPage("GET", PATH, listed),
    DashboardPage("GET", f"{PATH}/unmatched", unmatched),
)
