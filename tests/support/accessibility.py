"""Pages judged by axe, in a real browser: https://github.com/dequelabs/axe-core."""

import json
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT  # type: ignore[import-untyped]
from playwright.sync_api import Page

# Only what is wrong is described: that takes half the time, and a twentieth of the words.
RUN = "axe.run({options}).then(results => results.violations)"
Options = dict[str, Any]


def violations(page: Page, **options: Any) -> list[str]:
    """Return each rule that the page breaks, with the elements that do; `options` are those of `axe.run`."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    broken = page.evaluate(RUN.format(options=json.dumps({"resultTypes": ["violations"], **options})))
    return [f"{rule['id']}: {[node['html'] for node in rule['nodes']]}" for rule in broken]
