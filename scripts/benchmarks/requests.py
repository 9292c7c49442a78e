"""Requests per second of a real server, compared with a bare Starlette endpoint.

    scripts/bench requests [--rounds 5] [--seconds 3]

All objects are retrieved, listed and created on a real `serve` process without its rate limit. Beside it runs a bare
Starlette endpoint that answers the same JSON under the same uvicorn settings, without database, keys and checks. The
two take turns, so that a busy machine slows both. The load comes from separate processes (see _load.py), whose CPU
use is shown, because a generator at 100 % of a CPU would measure itself.
"""

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import httpx

from scripts.benchmarks import _load
from scripts.benchmarks._figures import print_machine, spread
from scripts.benchmarks.startup import answers, free_port
from tests.support.server import Server

PROCESSES, CONNECTIONS = 2, 16
BODY = b'{"amount": {"value": "10.00", "currency": "USD"}}'
LINK = b'{"title": "Coffee", "fiatAmount": "3.50"}'
ENDPOINT = b'{"url": "http://127.0.0.1:9/hook", "events": ["session.failed"]}'
MADE = {"/checkout_sessions": BODY, "/payment_links": LINK}
NO_LIMIT = {"CHECKOUT__RATE_LIMIT__PER_SECOND": "100000", "CHECKOUT__RATE_LIMIT__BURST": "100000"}


@dataclass
class Subject:
    """A subject of measurement, and its figures so far."""

    name: str
    port: int
    request: bytes
    expected: bytes
    per_second: list[float] = field(default_factory=list)
    load_cpu_percent: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure requests per second.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--seconds", type=float, default=3, help="how long each measurement takes")
    arguments = parser.parse_args()
    print_machine()
    print(f"Load: {PROCESSES} processes with {CONNECTIONS} kept-alive connections each, one request under way on each.")
    with (
        tempfile.TemporaryDirectory() as folder,
        subjects(Path(folder)) as measured,
        ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool,
    ):
        for _ in range(arguments.rounds):
            for subject in measured:
                measure(subject, pool, arguments.seconds)
        for subject in measured:
            show(subject, measured)


@contextlib.contextmanager
def subjects(folder: Path) -> Iterator[list[Subject]]:
    """Start both servers, and fill every list."""
    with Server(folder, environ=NO_LIMIT) as server:
        session = made(server, "/checkout_sessions", BODY)
        port = httpx.URL(server.url).port or 0
        with bare(folder, session) as bare_port:
            yield [
                Subject("bare GET", bare_port, request("GET", "/"), b"HTTP/1.1 200 "),
                *[
                    Subject(f"GET {path}", port, request("GET", f"/api/v1{path}", server.key), b"HTTP/1.1 200 ")
                    for path in readable(server, session["id"])
                ],
                Subject("bare POST", bare_port, request("POST", "/"), b"HTTP/1.1 201 "),
                *[
                    Subject(f"POST {path}", port, request("POST", f"/api/v1{path}", server.key, body), b"HTTP/1.1 201 ")
                    for path, body in MADE.items()
                ],
            ]


def readable(server: Server, session_id: str) -> list[str]:
    """Return the path of each thing that can be read, and of each list, which then holds a page of 25."""
    for _ in range(30):
        link, endpoint = made(server, "/payment_links", LINK), made(server, "/webhook_endpoints", ENDPOINT)
        made(server, "/checkout_sessions", BODY)
        customer = made(server, "/customers", json.dumps({"email": f"{link['slug']}@example.com"}).encode())
    event = server.api.get("/events").json()["data"][0]
    ones = [session_id, link["id"], endpoint["id"], event["id"], customer["id"]]
    lists = ["/checkout_sessions", "/payment_links", "/webhook_endpoints", "/events", "/customers"]
    return [*(f"{path}/{one}" for path, one in zip(lists, ones, strict=True)), *lists]


def made(server: Server, path: str, body: bytes) -> dict[str, str]:
    answer = server.api.post(path, content=body, headers={"Content-Type": "application/json"})
    found: dict[str, str] = answer.raise_for_status().json()
    return found


@contextlib.contextmanager
def bare(folder: Path, answer: object) -> Iterator[int]:
    """Run the bare endpoint; give its port."""
    port = free_port()
    (folder / "answer.json").write_text(json.dumps(answer), "utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.benchmarks._bare", str(port), str(folder / "answer.json")]
    )
    try:
        while not answers(port, "/"):
            if process.poll() is not None:
                raise SystemExit("the bare endpoint did not start")
        yield port
    finally:
        process.terminate()
        process.wait()


def request(method: str, path: str, key: str | None = None, body: bytes = BODY) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    if method == "GET":
        return "\r\n".join([*lines, "", ""]).encode()
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def measure(subject: Subject, pool: ProcessPoolExecutor, seconds: float) -> None:
    load = _load.Load(subject.port, subject.request, subject.expected, CONNECTIONS, seconds)
    tallies = [future.result() for future in [pool.submit(_load.run, load) for _ in range(PROCESSES)]]
    unexpected = [answer for tally in tallies for answer in tally.unexpected]
    if unexpected:
        raise SystemExit(f"{subject.name}: {len(unexpected)} unexpected answers, such as {unexpected[0]!r}")
    if not all(tally.answers for tally in tallies):
        raise SystemExit(f"{subject.name}: no answers came")
    subject.per_second.append(sum(tally.answers / tally.seconds for tally in tallies))
    subject.load_cpu_percent.append(max(tally.cpu_seconds / tally.seconds for tally in tallies) * 100)


def show(subject: Subject, among: list[Subject]) -> None:
    baseline = next(other for other in among if other.name == f"bare {subject.name.split()[0]}" or other is subject)
    share = "" if baseline is subject else f"{median(subject.per_second) / median(baseline.per_second):.0%} of bare, "
    busy = f"each load process {median(subject.load_cpu_percent):.0f} % busy"
    name = re.sub(r"/\w+_[0-9A-Z]{26}", "/{id}", subject.name)
    print(f"{name:<30} {spread(subject.per_second, 0, 'per second'):<44} {share}{busy}")


if __name__ == "__main__":
    main()
