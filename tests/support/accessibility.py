"""Pages in a real browser, judged by axe (https://github.com/dequelabs/axe-core) and by their width."""

import json
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT  # type: ignore[import-untyped]
from playwright.sync_api import Page

# Only what is wrong is described: that takes half the time, and a twentieth of the words.
RUN = "axe.run({options}).then(results => results.violations)"

WIDTHS = (1280, 390, 320)
"""Screens of a desk, of most telephones and of the smallest ones, in pixels; the last one also is 1280 at 400 %."""


def violations(page: Page, **options: Any) -> list[str]:
    """Return each rule that the page breaks, with the elements that do; `options` are those of `axe.run`."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    # A sandboxed frame runs no axe, which would wait for it; such pages are looked at by themselves.
    judged = {"resultTypes": ["violations"], "iframes": False, **options}
    broken = page.evaluate(RUN.format(options=json.dumps(judged)))
    return [f"{rule['id']}: {[node['html'] for node in rule['nodes']]}" for rule in broken]


def too_wide(page: Page) -> list[int]:
    """Return the widths of those screens that the page doesn't fit; leave it at the narrowest."""
    wide = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        if page.evaluate("document.documentElement.scrollWidth") != width:
            wide.append(width)
    return wide
