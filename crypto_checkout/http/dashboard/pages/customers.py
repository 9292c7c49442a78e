"""Customers: the payers with an email address, and what they have paid."""

from starlette.responses import Response

from crypto_checkout.core.public.types import CustomerResource
from crypto_checkout.core.webhooks.events import EventType
from crypto_checkout.http.dashboard.frame import labels
from crypto_checkout.http.dashboard.frame.pager import Pager, pager
from crypto_checkout.http.dashboard.frame.request import ROWS, DashboardRequest
from crypto_checkout.http.dashboard.frame.router import DashboardPage
from crypto_checkout.http.dashboard.pages import metadata_form
from crypto_checkout.http.dashboard.pages.payments import link_titles
from crypto_checkout.store.checkout.customers import CustomerOrder
from crypto_checkout.store.checkout.sessions import SessionFilter

PATH = "/customers"

_MOST_PAGES = 1_000_000
_MOST_TEXT = 500
_BY_PAYMENT = "payment"
_ORDERS = (("", "Newest first"), (_BY_PAYMENT, "Last payment first"))


async def index(request: DashboardRequest) -> Response:
    """List the customers, or those that a text refers to."""
    text, number = request.query_params.get("q", "").strip()[:_MOST_TEXT], _page_number(request)
    order = CustomerOrder.LAST_PAID if request.query_params.get("sort") == _BY_PAYMENT else CustomerOrder.NEWEST
    rows, total = await request.services.checkout.customers.search(request.livemode, text, order, number, ROWS)
    return request.render(
        "customers/list.html",
        rows=rows,
        total=total,
        text=text,
        orders=_ORDERS,
        pager=_pager(request, number, total),
    )


async def show(request: DashboardRequest) -> Response:
    """Show a customer with their payments."""
    return await _detail_page(
        request, await request.services.checkout.customers.get(request.livemode, request.path_params["id"])
    )


async def update(request: DashboardRequest) -> Response:
    """Update a customer's name and notes."""
    customer = await request.services.checkout.customers.get(request.livemode, request.path_params["id"])
    name, metadata = (
        request.form.text("name", optional=True),
        metadata_form.read(request.form, "notes", customer["metadata"]),
    )
    if not request.form.is_valid:
        return await _detail_page(request, customer, status=400)
    changes = {"name": name or None, "metadata": metadata}
    await request.write(
        request.services.checkout.customers.update(request.livemode, customer["id"], changes),
        EventType.CUSTOMER_UPDATED,
    )
    return request.redirect_staying(f"{PATH}/{customer['id']}", "Saved.")


async def _detail_page(request: DashboardRequest, customer: CustomerResource, status: int = 200) -> Response:
    window = request.window()
    by_email = SessionFilter(customer_email=customer["email"])
    page = await request.services.checkout.session_reader.listed(request.livemode, by_email, window)
    return request.render(
        "customers/detail.html",
        status=status,
        customer=customer,
        totals=await request.services.checkout.customers.with_totals(request.livemode, customer["id"]),
        notes=metadata_form.to_lines(customer["metadata"]),
        sessions=page.items,
        titles=await link_titles(request, page.items),
        labels=labels,
        chains=request.services.checkout.payment_methods.all_chains(),
        pager=pager(request, page, window),
    )


def _page_number(request: DashboardRequest) -> int:
    text = request.query_params.get("page", "1")
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(_MOST_PAGES))
    return max(1, int(text)) if is_number else 1


def _pager(request: DashboardRequest, number: int, total: int) -> Pager:
    def url(page: int) -> str:
        return request.url(PATH, {**request.query_params, "page": page})

    return Pager(
        newer=url(number - 1) if number > 1 else None,
        older=url(number + 1) if number * ROWS < total else None,
    )


PAGES = (
    DashboardPage("GET", PATH, index),
    DashboardPage("GET", f"{PATH}/{{id}}", show),
    DashboardPage("POST", f"{PATH}/{{id}}", update),
)
