"""The browser that tests and screenshots drive: Chromium, by preference its headless shell.

The shell is Chromium without windows, and what Playwright downloads where it may. Chromium's own headless mode opens a
whole window for each page: that takes three times the CPU, and twice a page was never answered for.
"""

import contextlib
import gc
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # tests without a browser needn't load it
    from playwright.sync_api import Browser, Playwright

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
# It asks for nothing by itself, and may run as root.
ARGUMENTS = (
    *("--no-sandbox", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
# Most of Playwright's calls end after 30 seconds, but not those that run a script or open or close a page.
NO_ANSWER_SECONDS = 600

_running: set[int] = set()  # the browsers' process ids


def find() -> Path | None:
    """Return the path of the browser: the one that CHECKOUT_CHROMIUM names, or else the first one there is."""
    on_path = os.environ.get("CHECKOUT_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    return Path(on_path) if on_path else None


def launch(playwright: "Playwright", path: Path) -> "Browser":
    """Start a browser."""
    browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    pid = next(each["id"] for each in processes if each["type"] == "browser")
    _running.add(pid)
    browser.on("disconnected", lambda _: _running.discard(pid))
    return browser


@contextlib.contextmanager
def ended_when_it_hangs(what: str) -> Iterator[None]:
    """End every browser of this process when the block takes longer than any test does, and say where it was.

    Playwright waits for an answer without end, and the whole run with it; a browser that is gone is an error.
    """
    timer = threading.Timer(NO_ANSWER_SECONDS, _end, [what])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(what: str) -> None:
    print(f"\n{what}: no end after {NO_ANSWER_SECONDS} s; its browser is ended. It was here:", file=sys.__stderr__)
    for each in gc.get_objects():  # Playwright runs the test in a greenlet, which faulthandler doesn't show
        if type(each).__name__ == "greenlet" and each.gr_frame is not None:
            print("".join(traceback.format_stack(each.gr_frame)[-8:]), file=sys.__stderr__)
    for pid in list(_running):
        os.kill(pid, signal.SIGKILL)
