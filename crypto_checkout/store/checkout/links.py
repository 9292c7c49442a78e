"""Payment links."""

import json
from decimal import Decimal

from crypto_checkout.core import moments
from crypto_checkout.core.checkout.link import Link, LinkUsage
from crypto_checkout.core.checkout.session import SETTLED
from crypto_checkout.core.money import Fiat
from crypto_checkout.store.checkout import choices
from crypto_checkout.store.database import ReadUnit, Row, WriteUnit
from crypto_checkout.store.paging import ListPage, Window, page


def insert(unit: WriteUnit, link: Link) -> None:
    """Store a new link."""
    unit.run(
        """
        INSERT INTO payment_links (
            id, livemode, slug, title, description, fiat_amount, fiat_currency, chain_id, asset, success_url,
            cancel_url, metadata, active, created_at, updated_at, assets
        )
        VALUES (
            :id, :livemode, :slug, :title, :description, :fiat_amount, :fiat_currency, :chain_id, :asset, :success_url,
            :cancel_url, :metadata, :active, :created_at, :updated_at, :assets
        )
        """,
        {
            "id": link.id,
            "livemode": int(link.livemode),
            "slug": link.slug,
            "created_at": moments.to_text(link.created_at),
            **_writable(link),
        },
    )


def update(unit: WriteUnit, link: Link) -> None:
    """Store what may change of a link."""
    unit.run(
        """
        UPDATE payment_links
        SET title = :title, description = :description, fiat_amount = :fiat_amount, fiat_currency = :fiat_currency,
            chain_id = :chain_id, asset = :asset, success_url = :success_url, cancel_url = :cancel_url,
            metadata = :metadata, active = :active, updated_at = :updated_at, assets = :assets
        WHERE id = :id
        """,
        {"id": link.id, **_writable(link)},
    )


def get(unit: ReadUnit, link_id: str, livemode: bool) -> Link | None:
    """Return a link of this mode."""
    row = unit.one(
        "SELECT * FROM payment_links WHERE id = :id AND livemode = :livemode",
        {"id": link_id, "livemode": int(livemode)},
    )
    return _link(row) if row else None


def by_slug(unit: ReadUnit, slug: str) -> Link | None:
    """Return the link behind a public address, of either mode."""
    row = unit.one("SELECT * FROM payment_links WHERE slug = :slug", {"slug": slug})
    return _link(row) if row else None


def listed(unit: ReadUnit, livemode: bool, active: bool | None, window: Window) -> ListPage[Link]:
    """Return a page of links."""
    where = {"livemode": int(livemode), "active": None if active is None else int(active)}
    return page(unit, "payment_links", where, window).map(_link)


def delete(unit: WriteUnit, link_id: str) -> None:
    """Remove a link; its sessions stay."""
    unit.run("DELETE FROM payment_links WHERE id = :id", {"id": link_id})


MOST_COUNTED = 1_000
"""How many of a link's sessions are looked at for its usage."""


def usage(unit: ReadUnit, link_id: str, livemode: bool) -> LinkUsage:
    """Return what became of a link's sessions, the newest `MOST_COUNTED`."""
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


def _writable(link: Link) -> dict[str, str | int | None]:
    return {
        "title": link.title,
        "description": link.description,
        "fiat_amount": str(link.fiat.amount),
        "fiat_currency": link.fiat.currency,
        "chain_id": link.chain_id,
        "asset": link.asset,
        "success_url": link.success_url,
        "cancel_url": link.cancel_url,
        "metadata": None if link.metadata is None else json.dumps(dict(link.metadata), ensure_ascii=False),
        "active": int(link.active),
        "updated_at": moments.to_text(link.updated_at),
        "assets": choices.to_text(link.assets),
    }


def _link(row: Row) -> Link:
    return Link(
        id=row["id"],
        livemode=bool(row["livemode"]),
        slug=row["slug"],
        title=row["title"],
        description=row["description"],
        fiat=Fiat(Decimal(row["fiat_amount"]), row["fiat_currency"]),
        chain_id=row["chain_id"],
        asset=row["asset"],
        success_url=row["success_url"],
        cancel_url=row["cancel_url"],
        active=bool(row["active"]),
        created_at=moments.from_text(row["created_at"]),
        updated_at=moments.from_text(row["updated_at"]),
        metadata=None if row["metadata"] is None else json.loads(row["metadata"]),
        assets=choices.from_text(row["assets"]),
    )
