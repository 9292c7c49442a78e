"""The calls to RPC providers: what each chain of the presets costs a month, idle and with open sessions.

    scripts/bench rpc [--chains 1 8453 …] [--sessions 1000] [--seconds 60] [--poll 2]

A real `serve` process follows chains that make blocks at the pace and of the size of the real ones, all at once, for
the given time; nothing is accelerated. Calls by method are counted by the nodes; calls and bytes by the server's own
meter, which must agree. Nobody pays meanwhile; what a payment costs beyond that is measured on anvil (CHECKOUT_ANVIL,
or brought by scripts/anvil). Units are those of the free plans in `_plans.py`.
"""

import argparse
import asyncio
import re
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from crypto_checkout.services.reporting import config_snippets
from scripts.benchmarks._figures import print_machine
from scripts.benchmarks._paced_chain import Pace, PacedChain
from scripts.benchmarks._plans import MONTH_SECONDS, PLANS
from tests.support import anvil
from tests.support.nodes import Node, forwarding, running, running_beside
from tests.support.server import FROM_NOTHING, Server, command, new_database
from tests.support.shop import CONFIRMATIONS, FRESH_XPUB, ONE_COIN, Shop, open_shop, pay

# Seconds between blocks, transactions in a block, and transfers of each token in a block: rounded from what the
# explorers showed in 2026.
PACES = {
    1: Pace(12, 180, 12),
    8453: Pace(2, 220, 40),
    42161: Pace(0.25, 10, 2),
    10: Pace(2, 40, 4),
    137: Pace(2, 110, 12),
    56: Pace(0.45, 70, 10),
    100: Pace(5, 20, 1),
    43114: Pace(1.5, 30, 3),
    59144: Pace(1, 4, 1),
    534352: Pace(1, 4, 1),
    42220: Pace(1, 10, 2),
    11155111: Pace(12, 130, 2),
    84532: Pace(2, 60, 2),
}
SETTINGS = f"""
test_mode.enabled = false
wallet.xpub = "{FRESH_XPUB}"

[prices]
sources = []
"""
COIN = re.compile(r'^native_symbol = "(\w+)"', re.MULTILINE)
TOKEN = re.compile(r'address = "(0x\w+)"\ndecimals = (\d+)')
METERED = re.compile(r'^checkout_rpc_(calls|bytes)_total\{chain="(\d+)",.*\} (\S+)$', re.MULTILINE)
SETTLING_SECONDS = 20
"""The first readings after a start are no part of a month."""
MILLION = 1_000_000
GIGABYTE = 10**9
MOST_APART = 0.02
PAYMENTS = 10


@dataclass(frozen=True)
class Usage:
    """A month at the measured pace: calls by method, and the bytes of all bodies, unpacked."""

    calls: Mapping[str, float]
    bytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the calls to RPC providers.")
    parser.add_argument("--chains", type=int, nargs="*", default=[*PACES], help="the ids of the chains")
    parser.add_argument(
        "--sessions", type=int, default=1000, help="how many are open, on all chains together; 0 for idle only"
    )
    parser.add_argument("--seconds", type=int, default=60, help="how long each is watched")
    parser.add_argument("--poll", type=float, help="poll_seconds of all chains; without it, that of the presets")
    options = parser.parse_args()
    presets = [preset for preset in config_snippets.presets() if preset.id in options.chains]
    print_machine()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, ExitStack() as stack:
        folder = Path(name)
        nodes = []
        coins = sorted({coin for preset in presets for coin in COIN.findall(preset.lines)})
        text = SETTINGS + "".join(f'fixed."{coin}/USD" = "3"\n' for coin in coins)
        for preset in presets:
            decimals = {contract.lower(): int(places) for contract, places in TOKEN.findall(preset.lines)}
            nodes.append(PacedChain(preset.id, PACES[preset.id], decimals))
            url = stack.enter_context(running_beside(nodes[-1].behaviour()))
            text += with_poll(preset.with_nodes([url]), options.poll) + "\n\n"
        (folder / "checkout.toml").write_text(text, "utf-8")
        idle = measured(folder, nodes, options.seconds)
        busy = None
        if options.sessions:
            open_sessions(folder, [preset.id for preset in presets], options.sessions)
            busy = measured(folder, nodes, options.seconds)
    strange = {each for node in nodes for each in node.strange}
    print(f"Calls that the chains don't know: {', '.join(sorted(strange)) or 'none'}")
    names = [preset.name for preset in presets]
    print_table("Idle", names, idle)
    if busy is not None:
        print_table(f"With {options.sessions:,} open sessions", names, busy)
    program = anvil.find()
    if program is not None:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            asyncio.run(measure_payments(program, Path(name)))


def with_poll(lines: str, seconds: float | None) -> str:
    return lines if seconds is None else re.sub(r"(?m)^poll_seconds = .*$", f"poll_seconds = {seconds:g}", lines)


def measured(folder: Path, nodes: Sequence[PacedChain], seconds: int) -> list[Usage]:
    """Return the usage of each chain by a server that runs for so long after it has settled."""
    with Server(folder, under=FROM_NOTHING) as server:
        time.sleep(SETTLING_SECONDS)
        started = time.monotonic()
        asked, metered = [Counter(node.asked) for node in nodes], meter(server)
        time.sleep(seconds)
        asked_now, metered_now = [Counter(node.asked) for node in nodes], meter(server)
        elapsed = time.monotonic() - started
    usage = []
    for node, before, after in zip(nodes, asked, asked_now, strict=True):
        counted = after - before
        calls, size = (b - a for a, b in zip(metered[node.chain_id], metered_now[node.chain_id], strict=True))
        if abs(calls - counted.total()) > max(5, MOST_APART * calls):
            print(f"MISSED: the meter says {calls} calls on chain {node.chain_id}, the node {counted.total()}")
        a_month = MONTH_SECONDS / elapsed
        usage.append(Usage({method: count * a_month for method, count in counted.items()}, size * a_month))
    return usage


def meter(server: Server) -> dict[int, tuple[int, int]]:
    """Return the calls and the bytes of each chain since the server started, as its metrics have them."""
    text = httpx.get(f"{server.url}/metrics", trust_env=False).raise_for_status().text
    counted = Counter[tuple[int, str]]()
    for kind, chain_id, value in METERED.findall(text):
        counted[int(chain_id), kind] += int(float(value))
    return {chain_id: (counted[chain_id, "calls"], counted[chain_id, "bytes"]) for chain_id, _ in counted}


def open_sessions(folder: Path, chain_ids: Sequence[int], count: int) -> None:
    """Make a session on each chain by the API, and copy them with unused addresses until there are so many.

    An address is watched on every chain: a payer can take the wrong one.
    """
    new_database(folder)
    made = command(folder, "keys", "create", "--mode", "live", "--name", "bench", "--json")
    key = re.search(r"ck_live_\w+", made.stdout)
    assert key is not None, made.stderr
    with Server(folder, under=FROM_NOTHING) as server:
        api = server.client(key[0])
        for chain_id in chain_ids:
            body = {"amount": {"value": "10", "currency": "USD"}, "chainId": chain_id, "expiresInSeconds": 86_400}
            server.wait_until(partial(is_made, api, body), "take sessions")
    with closing(sqlite3.connect(folder / "checkout-data/checkout.db")) as db, db:
        names = [row[0] for row in db.execute("SELECT name FROM pragma_table_info('checkout_sessions')")]
        others = {
            "seq": "NULL",
            "id": "id || n",
            "derivation_index": "-(chain_id * 1000000 + n)",
            "address": "printf('0x%040x', chain_id * 1000000 + n)",
        }
        db.execute(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count) "  # noqa: S608
            f"INSERT INTO checkout_sessions ({', '.join(names)}) "
            f"SELECT {', '.join(others.get(name, name) for name in names)} FROM checkout_sessions, numbers",
            {"count": count // len(chain_ids) - 1},
        )


def is_made(api: httpx.Client, body: Mapping[str, object]) -> bool:
    """Return True if a session could be made: the wallet and the tokens have been checked."""
    return api.post("/checkout_sessions", json=body).is_success


async def measure_payments(program: Path, folder: Path) -> None:
    """Print the calls that a payment takes beyond those of the blocks until it counts."""

    async def calls(shop: Shop, served: Node, blocks: int) -> int:
        served.forget()
        for _ in range(blocks):
            node.mine()
            await shop.process()
        return len(served.methods)

    (node_folder := folder / "node").mkdir()
    with anvil.Anvil(program, node_folder, mining="manual") as node:
        async with (
            running(forwarding(node.url, {})) as served,
            open_shop(folder, [served.url], xpub=FRESH_XPUB) as shop,
        ):
            sessions = [await shop.ask() for _ in range(2 * PAYMENTS + 1)]
            await calls(shop, served, CONFIRMATIONS)
            quiet = await calls(shop, served, PAYMENTS * CONFIRMATIONS)
            for kind in ("in a transaction", "by a contract"):
                more = -quiet
                for _ in range(PAYMENTS):
                    session = sessions.pop()
                    if kind == "in a transaction":
                        pay(node, session)
                    else:
                        send_by_contract(node, session["address"])
                    more += await calls(shop, served, CONFIRMATIONS)
                    assert (await shop.look(session))["status"] == "paid", kind
                print(f"A payment {kind} takes {more / PAYMENTS:.1f} calls more")


def send_by_contract(node: anvil.Anvil, to: str) -> None:
    """Make a contract that destroys itself at once, and leaves its coin to an address."""
    code = f"0x73{to[2:].lower()}ff"  # PUSH20, SELFDESTRUCT (EIP-6780)
    sent = {"from": node.accounts[9], "data": code, "value": hex(ONE_COIN), "gas": hex(10**6)}
    node.rpc("eth_sendTransaction", sent)


def print_table(title: str, names: Sequence[str], usage: Sequence[Usage]) -> None:
    """Print what each chain costs, as the guide has it: shares of free plans, bold where they exceed one."""
    print(f"\n{title}:\n")
    print(f"| chain | calls | bytes | {' | '.join(plan.name for plan in PLANS)} |")
    print("|---|" + "---|" * (len(PLANS) + 2))
    calls = Counter[str]()
    for name, used in zip(names, usage, strict=True):
        shares = [plan.units(used.calls) / plan.units_a_month for plan in PLANS]
        total = sum(used.calls.values())
        print(
            f"| {name} | {total / MILLION:.2f} M | {used.bytes / GIGABYTE:,.1f} GB | "
            f"{' | '.join(f'{share:.0%}' if share <= 1 else f'**{share:.0%}**' for share in shares)} |"
        )
        calls.update({method: int(count) for method, count in used.calls.items()})
    print(f"\nOf all calls: {', '.join(f'{method} {n / calls.total():.1%}' for method, n in calls.most_common())}")


if __name__ == "__main__":
    main()
