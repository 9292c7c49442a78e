"""The payer's page: its duration on the server, and the size of a first view.

    scripts/bench page [--views 200]

One request at a time on a kept-alive connection to a real `serve` process, including gzip and the loopback round trip.
A first view is that of a new session, whose QR code has yet to be drawn.
"""

import argparse
import re
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import httpx

from scripts.benchmarks._figures import print_machine, spread
from tests.support.server import FROM_NOTHING, Server

ASSETS = re.compile(r'(?:href|src)="(/static/[^"]+)"')
# Each view comes from its own address, to stay below the limit per client.
BEHIND_A_PROXY = {
    "CHECKOUT__SERVER__TRUSTED_PROXIES": '["127.0.0.1"]',
    "CHECKOUT__RATE_LIMIT__PER_SECOND": "100000",
    "CHECKOUT__RATE_LIMIT__BURST": "100000",
}
LANGUAGES = ("en", "ar", "de", "ja")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the payer's page.")
    parser.add_argument("--views", type=int, default=200, help="how many views of each kind")
    views = parser.parse_args().views
    print_machine()
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder), environ=BEHIND_A_PROXY, under=FROM_NOTHING) as server,
    ):
        for asset in ("ETH", "USDC"):
            sessions = [made(server, asset) for _ in range(views)]
            with httpx.Client(trust_env=False) as client:
                measure(client, asset, sessions)


def measure(client: httpx.Client, asset: str, sessions: list[str]) -> None:
    one = sessions[0]
    # A language is loaded on its first use.
    timed(client, [f"{one}?lang={language}" for language in LANGUAGES])
    print(f"{asset}: first view    {spread(timed(client, sessions), 2, 'ms')}")
    print(f"{asset}: later view    {spread(timed(client, [one] * len(sessions)), 2, 'ms')}")
    print(f"{asset}: status        {spread(timed(client, [one + '/status'] * len(sessions)), 2, 'ms')}")
    for language in LANGUAGES:
        print(f"{asset}: weight in {language}  {weight(client, f'{one}?lang={language}')} bytes of gzip")


def made(server: Server, asset: str) -> str:
    body = {"amount": {"value": "49.90", "currency": "USD"}, "asset": asset}
    session = server.api.post("/checkout_sessions", json=body).raise_for_status().json()
    return f"{server.url}/checkout/{session['id']}"


def timed(client: httpx.Client, urls: Iterable[str]) -> list[float]:
    """Return the milliseconds of each request."""
    found = []
    for number, url in enumerate(urls):
        request = client.build_request("GET", url, headers=visitor(number))
        start = time.perf_counter()
        answer = client.send(request)
        found.append(1000 * (time.perf_counter() - start))
        answer.raise_for_status()
    return found


def weight(client: httpx.Client, url: str) -> str:
    """Return the sizes of the page and its assets, as sent over the wire; a phone's icon is loaded by few."""
    page = client.get(url, headers=visitor(0))
    paths = sorted(path for path in set(ASSETS.findall(page.text)) if "apple-touch-icon" not in path)
    sizes = [size(page), *(size(client.get(str(page.url.join(path)), headers=visitor(1))) for path in paths)]
    return f"{sum(sizes)} ({' + '.join(map(str, sizes))})"


def size(answer: httpx.Response) -> int:
    return answer.num_bytes_downloaded


def visitor(number: int) -> dict[str, str]:
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return {"X-Forwarded-For": address, "Accept-Encoding": "gzip"}


if __name__ == "__main__":
    main()
