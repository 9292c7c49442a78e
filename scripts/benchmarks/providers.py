"""The time until payments count while providers fail, after outages, and on a free tier.

    scripts/bench providers [--shares 10 30 50 70] [--outages 20 70 130] [--giving-up 60] [--runs 3]

Needs anvil (CHECKOUT_ANVIL, or brought by scripts/anvil). A real server polls every 0.2 s through providers that fail a
share of their requests in the ways that such services do: 429 and 503, 500, pages, answers cut off, calls of a batch
that are refused as too many. The node makes a block a second, and the failures begin 20 s before twelve payments; the
figure is the time from the block that makes them deep enough until all twelve are paid. After an outage, in which every
connection is closed, it is the time from its end. A hanging provider answers nothing, before a second one that works. A
free tier counts each call of a batch; its figure is the time from the start of a new server until it has made twelve
sessions, and until their payments count.
"""

import argparse
import asyncio
import contextlib
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from scripts.benchmarks._figures import print_machine
from tests.support import anvil
from tests.support.nodes import Behaviour, http, running_beside
from tests.support.server import FROM_NOTHING, Server, command
from tests.support.shop import ANVIL_CHAIN_ID, FRESH_XPUB, ONE_COIN
from tests.support.waiting import wait_until

PAYMENTS = 12
PRICE = {"amount": {"value": "30.00", "currency": "USD"}, "expiresInSeconds": 3600}
COIN = ONE_COIN // 100
CONFIRMATIONS = 2
BLOCK_SECONDS = 1
SETTLING_SECONDS = 20
FREE_TIERS = (15, 10)
REFUSAL = {"code": -32005, "message": "daily request count exceeded, request rate limited"}
RESPONSES = {
    "429": http("slow down", 429),
    "503": http("", 503),
    "500": http("Internal Server Error", 500),
    "page": http("<html>busy</html>"),
}
KINDS = (*RESPONSES, "half", "some", "all")


class Front:
    """A provider before a real node. `share` of its requests fail; `is_down`, `hangs` and `calls_a_second` say more."""

    def __init__(self, url: str, seed: int) -> None:
        self.share = 0.0
        self.is_down = self.hangs = False
        self.calls_a_second = 0
        self.requests = 0
        self._url = url
        self._random = random.Random(seed)  # noqa: S311 - failures, no secrets
        self._client: httpx.AsyncClient | None = None
        self._taken: list[float] = []

    async def __call__(self, body: Any, writer: asyncio.StreamWriter) -> None:
        """Answer a request, or not."""
        calls = body if isinstance(body, list) else [body]
        self.requests += 1
        if self.is_down:
            writer.close()
        elif self.hangs:
            await writer.wait_closed()
        elif not self._has_room(len(calls)):
            writer.write(http(json.dumps({"error": {"code": -32007, "message": "request limit reached"}}), 429))
        elif self._random.random() < self.share:
            await self._fail(body, calls, writer)
        else:
            writer.write(http(json.dumps(await self._answers(body, calls))))

    def _has_room(self, calls: int) -> bool:
        if not self.calls_a_second:
            return True
        now = time.monotonic()
        self._taken = [each for each in self._taken if each > now - 1]
        if len(self._taken) + calls > self.calls_a_second:
            return False
        self._taken += [now] * calls
        return True

    async def _answers(self, body: Any, calls: list[Any]) -> Any:
        if self._client is None:
            self._client = httpx.AsyncClient(trust_env=False, timeout=30)
        answers = (await self._client.post(self._url, json=calls)).json()
        return answers if isinstance(body, list) else answers[0]

    async def _fail(self, body: Any, calls: list[Any], writer: asyncio.StreamWriter) -> None:
        kind = self._random.choice(KINDS)
        if kind in RESPONSES:
            writer.write(RESPONSES[kind])
        elif kind == "half":
            content = http(json.dumps(await self._answers(body, calls)))
            writer.write(content[: len(content) // 2])
            writer.close()
        else:
            answers = await self._answers(calls, calls)
            refused = [{"jsonrpc": "2.0", "id": call["id"], "error": REFUSAL} for call in calls]
            if kind == "some":
                refused = [self._random.choice(pair) for pair in zip(answers, refused, strict=True)]
            writer.write(http(json.dumps(refused if isinstance(body, list) else refused[0])))


class Shop:
    """A server on providers, with a key of its live mode."""

    def __init__(self, folder: Path, node: anvil.Anvil, urls: list[str]) -> None:
        self._node = node
        self.started = time.monotonic()
        self.server = Server(folder, configuration(urls), under=FROM_NOTHING)
        made = command(folder, "keys", "create", "--mode", "live", "--name", "bench", "--json")
        self._api = self.server.client(json.loads(made.stdout)["key"])

    def sell(self, seconds: float) -> list[dict[str, Any]] | None:
        """Return sessions once it takes them; None if it takes none in time."""
        made: list[dict[str, Any]] = []
        deadline = time.monotonic() + seconds
        while len(made) < PAYMENTS and time.monotonic() < deadline:
            answer = self._api.post("/checkout_sessions", json=PRICE)
            if answer.status_code == httpx.codes.CREATED:
                made.append(answer.json())
            else:
                time.sleep(0.1)
        return made if len(made) == PAYMENTS else None

    def pay(self, sessions: list[dict[str, Any]]) -> None:
        """Pay each session, and return once the payments are deep enough."""
        sent = [self._node.send(self._node.accounts[9], session["address"], COIN) for session in sessions]
        deep = max(self._block_of(each) for each in sent) + CONFIRMATIONS - 1
        wait_until(lambda: self._node.block_number() >= deep, "confirm them")

    def _block_of(self, tx_hash: str) -> int:
        wait_until(lambda: self._node.rpc("eth_getTransactionReceipt", tx_hash) is not None, "mine it")
        return int(self._node.rpc("eth_getTransactionReceipt", tx_hash)["blockNumber"], 16)

    def paid_after(self, sessions: list[dict[str, Any]], seconds: float) -> tuple[float, int]:
        """Return the seconds until all are paid, or those waited, and how many are."""
        started = time.monotonic()
        while True:
            listed = self._api.get("/checkout_sessions?limit=100&status=paid").json()["data"]
            paid = len({each["id"] for each in listed} & {each["id"] for each in sessions})
            passed = time.monotonic() - started
            if paid == len(sessions) or passed > seconds:
                return passed, paid
            time.sleep(0.05)


def configuration(urls: list[str]) -> str:
    return (
        f'[wallet]\nxpub = "{FRESH_XPUB}"\n[prices]\nsources = []\nfixed = {{"ETH/USD" = "3000"}}\n'
        f'[[chains]]\nid = {ANVIL_CHAIN_ID}\nname = "Anvil"\nrpc_urls = {json.dumps(urls)}\npoll_seconds = 0.2\n'
        f"confirmations = {CONFIRMATIONS}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure payments through providers that fail.")
    parser.add_argument("--shares", type=int, nargs="*", default=[10, 30, 50, 70], help="shares of failures, percent")
    parser.add_argument("--outages", type=int, nargs="*", default=[20, 70, 130], help="outages, in seconds")
    parser.add_argument("--giving-up", type=float, default=60, help="the most seconds to wait for payments")
    parser.add_argument("--runs", type=int, default=3, help="how often each share is measured")
    options = parser.parse_args()
    program = anvil.find()
    if program is None:
        raise SystemExit("There is no anvil: scripts/anvil brings it.")
    print_machine()
    for share in options.shares:
        for count in (1, 2):
            figures = [failing(program, share / 100, count, options.giving_up, run) for run in range(options.runs)]
            tell(f"{share} % of requests fail, {named(count)}", "; ".join(figures))
    tell("the first of two hangs", hanging(program, options.giving_up))
    for limit in FREE_TIERS:
        tell(f"a free tier of {limit} calls a second", on_free_tier(program, limit, options.giving_up))
    cases = [(seconds, count) for seconds in options.outages for count in (1, 2)]
    with ThreadPoolExecutor(len(cases) or 1) as threads:
        found = threads.map(lambda case: after_outage(program, case[0], case[1], options.giving_up), cases)
        for (seconds, count), figure in zip(cases, found, strict=True):
            tell(f"after an outage of {seconds} s, {named(count)}", figure)


def named(count: int) -> str:
    return "one provider" if count == 1 else "two providers"


def tell(what: str, figure: str) -> None:
    print(f"{what:<48} {figure}", flush=True)


def failing(program: Path, share: float, count: int, giving_up: float, run: int) -> str:
    with shop_behind(program, count, seed=run) as (shop, fronts):
        sessions = shop.sell(giving_up)
        if sessions is None:
            return "no session"
        for front in fronts:
            front.share = share
        time.sleep(SETTLING_SECONDS)
        shop.pay(sessions)
        return figure(*shop.paid_after(sessions, giving_up))


def hanging(program: Path, giving_up: float) -> str:
    with shop_behind(program, 2) as (shop, (first, _)):
        sessions = shop.sell(giving_up)
        if sessions is None:
            return "no session"
        first.hangs = True
        shop.pay(sessions)
        return figure(*shop.paid_after(sessions, giving_up))


def on_free_tier(program: Path, limit: int, giving_up: float) -> str:
    def limited(front: Front) -> None:
        front.calls_a_second = limit

    with shop_behind(program, 1, limited) as (shop, _):
        sessions = shop.sell(giving_up)
        if sessions is None:
            return f"no session in {giving_up:.0f} s"
        began = time.monotonic() - shop.started
        shop.pay(sessions)
        return f"sessions after {began:.1f} s, {figure(*shop.paid_after(sessions, giving_up))}"


def after_outage(program: Path, seconds: int, count: int, giving_up: float) -> str:
    with shop_behind(program, count) as (shop, fronts):
        sessions = shop.sell(giving_up)
        if sessions is None:
            return "no session"
        for front in fronts:
            front.is_down = True
        shop.pay(sessions)
        time.sleep(seconds)
        for front in fronts:
            front.is_down = False
        return figure(*shop.paid_after(sessions, giving_up))


def figure(seconds: float, paid: int) -> str:
    return f"{seconds:>6.1f} s" if paid == PAYMENTS else f"{paid} of {PAYMENTS} paid after {seconds:.0f} s"


@contextlib.contextmanager
def shop_behind(
    program: Path, count: int, prepare: Callable[[Front], None] = lambda _: None, seed: int = 0
) -> Iterator[tuple[Shop, list[Front]]]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        (folder / "node").mkdir()
        node = stack.enter_context(anvil.Anvil(program, folder / "node", mining=BLOCK_SECONDS))
        fronts = [Front(node.url, 10 * seed + place) for place in range(count)]
        for front in fronts:
            prepare(front)
        behaviours: list[Behaviour] = [*fronts]
        urls = [stack.enter_context(running_beside(behaviour)) for behaviour in behaviours]
        (folder / "shop").mkdir()
        shop = Shop(folder / "shop", node, urls)
        stack.callback(shop.server.stop)
        yield shop, fronts


if __name__ == "__main__":
    main()
