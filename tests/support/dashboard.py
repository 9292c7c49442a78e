"""The signed-in owner of a shop: as an httpx client of the application, and as a page of a browser.

client = await signed_in(app)
page = (await client.get("/api-keys")).text

page = signed_in_page(server, browser)
page.goto(f"{server.url}/dashboard/test/payments")
"""

import re
from html import unescape
from weakref import WeakKeyDictionary

import httpx
from playwright.sync_api import Browser, Page, StorageState

from tests.support.api import App, arrive
from tests.support.server import Server
from tests.support.waiting import until

PASSWORD = "three quiet herons at dusk"
SITE = "http://shop.example"
_logins: WeakKeyDictionary[Server, StorageState] = WeakKeyDictionary()
BACKUPS = "/test/settings/backup"
_BACKUP = re.compile(r'settings/backup/(checkout-\d{8}-\d{6}(?:-\d+)?\.db(?:\.age)?)"')
SET_UP_LINK = re.compile(r"http\S+/dashboard/set-up\?token=(\S+)")


async def visitor(app: App, *, address: str = "127.0.0.1", site: str = SITE) -> httpx.AsyncClient:
    """Return a client of the dashboard that isn't signed in; like a browser it keeps cookies and says its origin."""
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app.opened.web, client=(address, 50_000)),
        base_url=f"{site}/dashboard",
        headers={"Origin": site, "Accept": "text/html", "User-Agent": "Test browser"},
        event_hooks={"request": [arrive]},
    )
    return await app.clients.enter_async_context(client)


async def signed_in(app: App, *, address: str = "127.0.0.1") -> httpx.AsyncClient:
    """Return a client of the dashboard that is signed in; the first one sets the password."""
    client = await visitor(app, address=address)
    if await app.opened.owner.sign_in.account() is None:
        token = await app.opened.owner.set_up_link.make()
        answer = await client.post("/set-up", data={"token": token, "password": PASSWORD, "again": PASSWORD})
    else:
        answer = await client.post("/sign-in", data={"password": PASSWORD})
    assert answer.status_code == 303, answer.text
    return client


async def backed_up(owner: httpx.AsyncClient) -> str:
    """Have a backup made, and return its name."""
    answer = await owner.post(BACKUPS)
    assert answer.status_code == 303, answer.text

    async def is_done() -> bool:
        page = (await owner.get(BACKUPS)).text
        return '<meta http-equiv="refresh"' not in page and _BACKUP.search(page) is not None

    await until(is_done, "make a backup")
    found = _BACKUP.search((await owner.get(BACKUPS)).text)
    assert found is not None
    return found[1]


def hidden(page: str, name: str) -> str:
    """Return the value of a hidden field."""
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', page)
    assert found is not None, f"there is no hidden {name}"
    return unescape(found[1])


def signed_in_page(
    server: Server, browser: Browser, *, width: int = 1280, dark: bool = False, javascript: bool = True
) -> Page:
    """Return a page of a new browser context that is signed in; the first one of a server sets the password.

    All pages of a server share one login. Close the context when done: `page.context.close()`.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if dark else "light",
        java_script_enabled=javascript,
        storage_state=_logins.get(server),
    )
    page = context.new_page()
    page.goto(f"{server.url}/dashboard/test")
    if page.url.endswith("/dashboard/test"):
        return page
    _sign_in(server, page)
    _logins[server] = context.storage_state()
    return page


def _sign_in(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/dashboard/sign-in")
    if page.get_by_role("heading", level=1).inner_text() == "No password has been set":
        link = SET_UP_LINK.search(server.output)
        assert link is not None, server.output
        page.goto(link[0])
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("Repeat password").fill(PASSWORD)
        page.get_by_role("button", name="Set password").click()
    else:
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/dashboard**")
