"""Payment links."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from crypto_checkout.core import moments
from crypto_checkout.core.checkout.link import Link, LinkSales, LinkUsage
from crypto_checkout.core.checkout.session import SETTLED
from crypto_checkout.store.checkout import choices, questions
from crypto_checkout.store.database import ReadUnit, WriteUnit, batched, placeholders
from crypto_checkout.store.paging import ListPage, Window, present, select
from crypto_checkout.store.table import Table

_LINKS = Table(
    "payment_links",
    Link,
    names={
        "price.amount": "fiat_amount",
        "price.currency": "fiat_currency",
        "price.minimum": "fiat_minimum",
        "price.maximum": "fiat_maximum",
        "price.suggested": "fiat_suggested",
    },
    converters={
        "assets": choices.COLUMN,
        "payer_fields": questions.PAYER_FIELDS,
        "custom_fields": questions.CUSTOM_FIELDS,
    },
)
_UPDATE = _LINKS.update_all_but("livemode", "slug", "created_at")


@dataclass(frozen=True, slots=True)
class OversoldLink:
    """A link that sold more pieces than its `stock`; `since` is the time of its last payment."""

    link: Link
    stock: int
    sold: int
    since: datetime


def insert(unit: WriteUnit, link: Link) -> None:
    """Store a new link."""
    unit.run(_LINKS.insert, _LINKS.values(link))


def update(unit: WriteUnit, link: Link) -> None:
    """Store the fields of a link that may change."""
    unit.run(_UPDATE, _LINKS.values(link))


def get(unit: ReadUnit, link_id: str, livemode: bool) -> Link | None:
    """Return a link of this mode."""
    return _LINKS.one(unit, "WHERE id = :id AND livemode = :livemode", {"id": link_id, "livemode": int(livemode)})


def by_slug(unit: ReadUnit, slug: str) -> Link | None:
    """Return the link with this slug, of either mode."""
    return _LINKS.one(unit, "WHERE slug = :slug", {"slug": slug})


def listed(unit: ReadUnit, livemode: bool, active: bool | None, window: Window) -> ListPage[Link]:
    """Return a page of links."""
    conditions, parameters = present(
        {"livemode = :livemode": int(livemode), "active = :active": None if active is None else int(active)}
    )
    return select(unit, _LINKS, conditions, parameters, window)


def has_any(unit: ReadUnit) -> bool:
    """Tell whether there is a link, in either mode."""
    return unit.one("SELECT 1 FROM payment_links LIMIT 1") is not None


def delete(unit: WriteUnit, link_id: str) -> None:
    """Delete a link; its sessions stay."""
    unit.run("DELETE FROM payment_links WHERE id = :id", {"id": link_id})


MOST_COUNTED = 1_000
"""The number of a link's newest sessions that its usage covers."""


def usage(unit: ReadUnit, link_id: str, livemode: bool) -> LinkUsage:
    """Return the outcome of a link's newest sessions, at most `MOST_COUNTED`."""
    rows = unit.all(
        """
        SELECT status
        FROM checkout_sessions
        WHERE livemode = :livemode AND link_id = :link_id
        ORDER BY seq DESC
        LIMIT :limit
        """,
        {"link_id": link_id, "livemode": int(livemode), "limit": MOST_COUNTED + 1},
    )
    settled = sum(row["status"] in SETTLED for row in rows[:MOST_COUNTED])
    return LinkUsage(min(len(rows), MOST_COUNTED), settled, has_more=len(rows) > MOST_COUNTED)


def sales(unit: ReadUnit, link_ids: Collection[str]) -> dict[str, LinkSales]:
    """Count the sold and reserved pieces of links by their sessions; links without any are left out.

    A session reserves its pieces until it is sold, expired or failed. An underpaid one, which waits for the merchant,
    gives them back with the block that ends its grace period: what comes later doesn't count.
    """
    found: dict[str, LinkSales] = {}
    for part in batched(link_ids):
        names, parameters = placeholders(part)
        rows = unit.all(
            f"""
            SELECT link_id, status, SUM(quantity) AS pieces
            FROM checkout_sessions
            WHERE link_id IN ({names}) AND quantity IS NOT NULL
              AND status IN ('pending', 'detected', 'overpaid', 'paid', 'paid_late')
            GROUP BY link_id, status
            UNION ALL
            SELECT link_id, status, SUM(quantity) AS pieces
            FROM checkout_sessions
            JOIN chain_cursors ON chain_cursors.chain_id = checkout_sessions.chain_id
            WHERE link_id IN ({names}) AND quantity IS NOT NULL
              AND status = 'underpaid' AND grace_until >= chain_cursors.time
            GROUP BY link_id, status
            """,  # noqa: S608 - names of parameters
            parameters,
        )
        for row in rows:
            before, pieces = found.get(row["link_id"], LinkSales()), int(row["pieces"])
            found[row["link_id"]] = (
                LinkSales(before.sold + pieces, before.reserved)
                if row["status"] in SETTLED
                else LinkSales(before.sold, before.reserved + pieces)
            )
    return found


def oversold(unit: ReadUnit, livemode: bool, limit: int) -> list[OversoldLink]:
    """Return links that sold more pieces than their stock has, each with the time of its last payment."""
    rows = unit.all(
        """
        SELECT id, quantity_stock, sold
        FROM (
            SELECT id, seq, quantity_stock, (
                SELECT SUM(quantity)
                FROM checkout_sessions
                WHERE link_id = payment_links.id AND quantity IS NOT NULL
                  AND status IN ('overpaid', 'paid', 'paid_late')
            ) AS sold
            FROM payment_links
            WHERE livemode = :livemode AND quantity_stock IS NOT NULL
        ) AS stocked
        WHERE sold > quantity_stock
        ORDER BY seq DESC
        LIMIT :limit
        """,
        {"livemode": int(livemode), "limit": limit},
    )
    found = []
    for row in rows:
        link = get(unit, row["id"], livemode)
        last = unit.one(
            "SELECT MAX(paid_at) AS paid_at FROM checkout_sessions WHERE livemode = :livemode AND link_id = :id",
            {"livemode": int(livemode), "id": row["id"]},
        )
        assert link is not None, "both are read from one snapshot"
        since = None if last is None else moments.from_optional_text(last["paid_at"])
        found.append(OversoldLink(link, row["quantity_stock"], int(row["sold"]), since or link.updated_at))
    return found


def sales_of(unit: ReadUnit, link: Link) -> LinkSales:
    """Count the sold and reserved pieces of a link; none where pieces aren't counted."""
    return LinkSales() if link.quantity is None else sales(unit, [link.id]).get(link.id, LinkSales())
