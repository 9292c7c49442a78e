"""Customers: whoever has paid with an email address."""

from starlette.responses import Response

from crypto_checkout.core.public import render
from crypto_checkout.core.public.types import CustomerResource
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.http.dashboard.frame import labels
from crypto_checkout.http.dashboard.frame.pager import Pager, pager
from crypto_checkout.http.dashboard.frame.request import ROWS, DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.http.dashboard.pages import metadata_form
from crypto_checkout.http.dashboard.pages.payments import link_titles
from crypto_checkout.store.checkout.sessions import SessionFilter

PATH = "/customers"

_MOST_PAGES = 1_000_000


async def listed(visit: DashboardRequest) -> Response:
    """Show the customers, or the one with an email address."""
    email, number = visit.query.get("email", "").strip() or None, _number(visit)
    page = await visit.desk.customers.page(visit.livemode, email, number, ROWS)
    return visit.show(
        "customers/list.html",
        customers=[render.customer(customer) for customer in page.customers],
        total=page.total,
        email=email,
        pager=_pager(visit, number, page.total),
    )


async def show(visit: DashboardRequest) -> Response:
    """Show a customer with what they paid."""
    return await _shown(visit, await visit.desk.customers.get(visit.livemode, visit.path["id"]))


async def change(visit: DashboardRequest) -> Response:
    """Change a customer's name and notes."""
    customer = await visit.desk.customers.get(visit.livemode, visit.path["id"])
    name, metadata = (
        visit.form.text("name", optional=True),
        metadata_form.read(visit.form, "notes", customer["metadata"]),
    )
    if not visit.form.is_good:
        return await _shown(visit, customer, status=400)
    changes = {"name": name or None, "metadata": metadata}
    await visit.write(visit.desk.customers.update(visit.livemode, customer["id"], changes), EventType.CUSTOMER_UPDATED)
    return visit.go(f"{PATH}/{customer['id']}", "Saved.")


async def _shown(visit: DashboardRequest, customer: CustomerResource, status: int = 200) -> Response:
    window = visit.window()
    wanted = SessionFilter(customer_email=customer["email"])
    page = await visit.desk.sessions.listed(visit.livemode, wanted, window)
    return visit.show(
        "customers/detail.html",
        status=status,
        customer=customer,
        notes=metadata_form.to_lines(customer["metadata"]),
        sessions=page.items,
        titles=await link_titles(visit, page.items),
        words=labels,
        chains=visit.desk.payment_methods.all_chains(),
        pager=pager(visit, page, window),
    )


def _number(visit: DashboardRequest) -> int:
    given = visit.query.get("page", "1")
    is_number = given.isascii() and given.isdigit() and len(given) <= len(str(_MOST_PAGES))
    return max(1, int(given)) if is_number else 1


def _pager(visit: DashboardRequest, number: int, total: int) -> Pager:
    def url(page: int) -> str:
        return visit.url(PATH, {**visit.query, "page": page})

    return Pager(
        newer=url(number - 1) if number > 1 else None,
        older=url(number + 1) if number * ROWS < total else None,
    )


PAGES = (
    DashboardPage("GET", PATH, listed),
    DashboardPage("GET", f"{PATH}/{{id}}", show),
    DashboardPage("POST", f"{PATH}/{{id}}", change),
)
