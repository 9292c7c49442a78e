"""Customers: whoever has paid with an email address."""

from starlette.responses import Response

from crypto_checkout.core import resources
from crypto_checkout.core.events import EventType
from crypto_checkout.core.shapes import CustomerResource
from crypto_checkout.store.sessions import Filter

from . import notes, words
from .lists import Pager, pager
from .payments import link_titles
from .routes import Page
from .visit import ROWS, Visit

PATH = "/customers"

_MOST_PAGES = 1_000_000


async def listed(visit: Visit) -> Response:
    """Show the customers, or the one with an email address."""
    email, number = visit.query.get("email", "").strip() or None, _number(visit)
    page = await visit.desk.customers.page(visit.livemode, email, number, ROWS)
    return visit.show(
        "customers/list.html",
        customers=[resources.customer(customer) for customer in page.customers],
        total=page.total,
        email=email,
        pager=_pager(visit, number, page.total),
    )


async def show(visit: Visit) -> Response:
    """Show a customer with what they paid."""
    return await _shown(visit, await visit.desk.customers.get(visit.livemode, visit.path["id"]))


async def change(visit: Visit) -> Response:
    """Change a customer's name and notes."""
    customer = await visit.desk.customers.get(visit.livemode, visit.path["id"])
    name, metadata = visit.form.text("name", optional=True), notes.read(visit.form, "notes", customer["metadata"])
    if not visit.form.is_good:
        return await _shown(visit, customer, status=400)
    changes = {"name": name or None, "metadata": metadata}
    await visit.write(visit.desk.customers.update(visit.livemode, customer["id"], changes), EventType.CUSTOMER_UPDATED)
    return visit.go(f"{PATH}/{customer['id']}", "Saved.")


async def _shown(visit: Visit, customer: CustomerResource, status: int = 200) -> Response:
    window = visit.window()
    wanted = Filter(customer_email=customer["email"])
    page = await visit.desk.sessions.listed(visit.livemode, wanted, window)
    return visit.show(
        "customers/detail.html",
        status=status,
        customer=customer,
        notes=notes.to_lines(customer["metadata"]),
        sessions=page.items,
        titles=await link_titles(visit, page.items),
        words=words,
        chains=visit.desk.offers.all_chains(),
        pager=pager(visit, page, window),
    )


def _number(visit: Visit) -> int:
    given = visit.query.get("page", "1")
    is_number = given.isascii() and given.isdigit() and len(given) <= len(str(_MOST_PAGES))
    return max(1, int(given)) if is_number else 1


def _pager(visit: Visit, number: int, total: int) -> Pager:
    def url(page: int) -> str:
        return visit.url(PATH, {**visit.query, "page": page})

    return Pager(
        newer=url(number - 1) if number > 1 else None,
        older=url(number + 1) if number * ROWS < total else None,
    )


PAGES = (
    Page("GET", PATH, listed),
    Page("GET", f"{PATH}/{{id}}", show),
    Page("POST", f"{PATH}/{{id}}", change),
)
