"""Payment links."""

from crypto_checkout.core.checkout.link import Link, LinkUsage
from crypto_checkout.core.checkout.session import SETTLED
from crypto_checkout.store.checkout import choices, questions
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.paging import ListPage, Window, present, select
from crypto_checkout.store.table import Table

_LINKS = Table(
    "payment_links",
    Link,
    converters={
        "assets": choices.COLUMN,
        "payer_fields": questions.PAYER_FIELDS,
        "custom_fields": questions.CUSTOM_FIELDS,
    },
)
_UPDATE = _LINKS.update_all_but("livemode", "slug", "created_at")


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
