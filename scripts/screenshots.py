"""Take screenshots of the payer's page in every state (`tests.support.scenes`), and of the dashboard.

    scripts/screens FOLDER [STATE…]
    scripts/screens --readme FOLDER

They are FOLDER/STATE-WIDTH-SCHEME.png; FOLDER/index.html shows them all. With `--readme` they are those of the README,
as WebP; FOLDER is then `crypto_checkout/http/static/readme`. Needs anvil and chromium.
"""

import argparse
import base64
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.support import anvil, chromium
from tests.support.dashboard import signed_in_page
from tests.support.scenes import CHAIN_ID, Shop, out_of_sight, scenes
from tests.support.server import Server

WIDTHS = (320, 390, 1280)
SCHEMES = ("light", "dark")
BLIND_AFTER_MILLISECONDS = 17_000
LANGUAGES = ("de", "ar", "ja")
"""A few besides English: long words, right to left, and another script."""
DASHBOARD = {
    "overview": "",
    "setup": "/guide",
    "payments": "/payments",
    "payment": "/payments?status=paid_late",
    "balances": "/balances",
    "collections": "/balances/collections",
    "refunds": "/refunds",
    "links": "/links",
    "customers": "/customers",
    "webhooks": "/webhooks",
    "exports": "/exports",
    "api-keys": "/api-keys",
    "settings": "/settings",
    "shop": "/settings/shop",
    "prices": "/settings/prices",
    "alerts": "/settings/alerts",
    "wallet": "/settings/wallet",
    "chains": "/settings/chains",
    "backup": "/settings/backup",
    "server": "/settings/server",
}
"""Names and paths of the dashboard's pages."""
ORDERS = (
    ("Coffee beans, 1 kg", "23.50", "ben@example.org", "exact"),
    ("Birthday cake", "64.00", "chidi@example.com", "exact"),
    ("Bread subscription, a month", "28.00", "dana@example.net", "underpaid"),
    ("Coffee beans, 1 kg", "23.50", "emil@example.com", "exact"),
    ("Birthday cake", "64.00", "dana@example.net", "late"),
    ("Bread subscription, a month", "28.00", "chidi@example.com", "exact"),
    ("Coffee beans, 1 kg", "23.50", "fay@example.org", None),
)
"""What the README's shop sells: title, price, customer, and the scenario that is played."""
TO_WEBP = """async (png) => {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height];
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL("image/webp", 0.85).split(",")[1];
}"""


def main() -> int:
    """Take the screenshots; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/screens", description="Take screenshots of the pages in every state."
    )
    parser.add_argument("--readme", action="store_true", help="take the README's pictures instead")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where they go")
    parser.add_argument("states", metavar="STATE", nargs="*", help="only these, such as waiting or dashboard-links")
    arguments = parser.parse_args()
    folder, chosen = arguments.folder, set(arguments.states)
    folder.mkdir(parents=True, exist_ok=True)
    node, program = anvil.find(), chromium.find()
    if node is None or program is None:
        print("scripts/screens needs anvil (scripts/anvil brings it) and chromium.", file=sys.stderr)
        return 1
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch,
        anvil.Anvil(node, Path(scratch), mining="manual", arguments=["--chain-id", str(CHAIN_ID)]) as chain,
        sync_playwright() as playwright,
    ):
        shop = Shop(Path(scratch), chain)
        with shop.server:
            browser = chromium.launch(playwright, program)
            pages = scenes(shop)
            if arguments.readme:
                take_for_readme(browser, folder, shop, pages)
                browser.close()
                return 0
            for language in LANGUAGES:
                pages |= {f"{name}-{language}": f"{pages[name]}?lang={language}" for name in ("waiting", "paid")}
            take(browser, folder, pages, chosen)
            take_dashboard(browser, folder, shop.server, chosen)
            hidden = out_of_sight(shop)
            take(browser, folder, {"time_up": hidden["time_up"]}, chosen)
            if not chosen or "blind" in chosen:
                browser.new_page().wait_for_timeout(BLIND_AFTER_MILLISECONDS)
                take(browser, folder, {"blind": hidden["blind"]}, chosen)
            browser.close()
    names = sorted(path.name for path in folder.glob("*.png"))
    index(folder, names)
    unknown = {state for state in chosen if not any(name.startswith(f"{state}-") for name in names)}
    if unknown:
        print(f"There is no state {', '.join(sorted(unknown))}: without any, all are taken.", file=sys.stderr)
    return 1 if unknown else 0


def take(browser: Browser, folder: Path, pages: dict[str, str], chosen: set[str]) -> None:
    """Take screenshots of pages at each width, light and dark."""
    for scheme in SCHEMES:
        for width in WIDTHS:
            context = browser.new_context(
                viewport={"width": width, "height": 800}, color_scheme="light" if scheme == "light" else "dark"
            )
            page = context.new_page()
            for name, url in pages.items():
                if not chosen or name in chosen:
                    page.goto(url)
                    page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
            context.close()


def take_dashboard(browser: Browser, folder: Path, server: Server, chosen: set[str]) -> None:
    """Take screenshots of the dashboard in test mode, and of the newest payment."""
    paths = {
        f"dashboard-{name}": path for name, path in DASHBOARD.items() if not chosen or f"dashboard-{name}" in chosen
    }
    for scheme in SCHEMES if paths else ():
        for width in WIDTHS:
            page = signed_in_page(server, browser, width=width, dark=scheme == "dark")
            for name, path in paths.items():
                page.goto(f"{server.url}/dashboard/test{path}")
                if name == "dashboard-payment":
                    page.locator("main a[href*='/payments/cs_']").first.click()
                page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
            page.context.close()


def take_for_readme(browser: Browser, folder: Path, shop: Shop, pages: dict[str, str]) -> None:
    """Take the README's pictures."""
    for title, price, email, scenario in ORDERS:
        link = shop.link(title=title, fiatAmount=price)
        order = {"linkId": link["id"], "customerEmail": email}
        session = shop.test.post("/checkout_sessions", json=order).raise_for_status().json()
        if scenario:
            shop.play(session, scenario)
    order = {"linkId": shop.link(live=True)["id"], "customerEmail": "ada@example.com"}
    paid = shop.live.post("/checkout_sessions", json=order).raise_for_status().json()
    shop.pay(paid)
    shop.node.mine(3)
    shop.wait_for(paid, "paid")
    blank = browser.new_page()

    def save(name: str, page: Page, *, full_page: bool = True) -> None:
        png = base64.b64encode(page.screenshot(full_page=full_page)).decode()
        (folder / f"{name}.webp").write_bytes(base64.b64decode(blank.evaluate(TO_WEBP, png)))

    for name, url, width, dark in (
        ("checkout", pages["waiting"], 1280, False),
        ("receipt", f"{shop.url(paid)}/receipt", 390, True),
        ("arabic", f"{pages['waiting']}?lang=ar", 390, False),
    ):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light")
        page.goto(url)
        save(name, page)
    page = signed_in_page(shop.server, browser)
    page.set_viewport_size({"width": 1280, "height": 1240})
    for name in ("overview", "payments"):
        page.goto(f"{shop.server.url}/dashboard/test{DASHBOARD[name]}")
        save(f"dashboard-{name}", page, full_page=False)


def index(folder: Path, names: Iterable[str]) -> None:
    """Write a page that shows all screenshots."""
    pictures = "\n".join(f'<figure><img src="{name}" alt=""><figcaption>{name}</figcaption></figure>' for name in names)
    style = "body{display:flex;flex-wrap:wrap;gap:8px;font:12px sans-serif}figure{margin:0}img{max-height:520px}"
    (folder / "index.html").write_text(f"<!doctype html><style>{style}</style>{pictures}", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
