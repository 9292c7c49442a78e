"""The duration of --help and of a start of serve, and the memory of an idle server.

    scripts/bench startup [--runs 10] [--program dist/crypto-checkout]

A start ends with the first 200 of /healthz, measured from the start of the process. The operating system's caches are
warm, so that only the program is measured. If anvil is available (CHECKOUT_ANVIL, or brought by scripts/anvil), the
same is measured with one real chain.
"""

import argparse
import contextlib
import http.client
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.benchmarks._figures import print_machine, spread
from tests.support import anvil
from tests.support.server import PROGRAM, environment

IDLE_SECONDS = 5
HELP_TARGET_SECONDS, START_TARGET_SECONDS, MEMORY_TARGET_MB = 0.25, 2, 100
WITH_CHAIN = """\
[wallet]
xpub = "xpub6Ce9NcJvTk36xtLSrJLZqE7wtgA5deCeYs7rSQtreh4cj6ByPtrg9sD7V2FNFLPnf8heNP3FGkeV9qwfzvZNSd54JoNXVsXFYSYwHsnJxqP"
[[chains]]
id = 31337
name = "Anvil"
rpc_urls = ["{url}"]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how fast it starts and how much memory it holds.")
    parser.add_argument("--runs", type=int, default=10, help="how often each is measured")
    parser.add_argument("--program", type=Path, help="another program, such as the one file of scripts/build")
    arguments = parser.parse_args()
    runs: int = arguments.runs
    program: Sequence[str | Path] = [arguments.program.resolve()] if arguments.program else PROGRAM
    print_machine()
    show("--help", [help_seconds(program) for _ in range(runs)], 3, "s", HELP_TARGET_SECONDS)
    measure_server(program, "test mode only", "", runs)
    anvil_path = anvil.find()
    if anvil_path is None:
        print("There is no anvil, so nothing is measured with a real chain: scripts/anvil brings it.")
        return
    with tempfile.TemporaryDirectory() as folder, anvil.Anvil(anvil_path, Path(folder), mining=1) as node:
        measure_server(program, "with a real chain", WITH_CHAIN.format(url=node.url), runs)


def measure_server(program: Sequence[str | Path], name: str, configuration: str, runs: int) -> None:
    first, later, memory = [], [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "checkout.toml").write_text(configuration, "utf-8")
            with serving(program, Path(folder)) as (seconds, _):
                first.append(seconds)
            with serving(program, Path(folder)) as (seconds, pid):
                later.append(seconds)
                time.sleep(IDLE_SECONDS)
                memory.append(resident_mb(pid))
    show(f"first start, {name}", first, 3, "s", START_TARGET_SECONDS)
    show(f"later start, {name}", later, 3, "s", START_TARGET_SECONDS)
    show(f"idle for {IDLE_SECONDS} s, {name}", memory, 1, "MB", MEMORY_TARGET_MB)


def help_seconds(program: Sequence[str | Path]) -> float:
    started = time.perf_counter()
    subprocess.run([*program, "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


@contextlib.contextmanager
def serving(program: Sequence[str | Path], folder: Path) -> Iterator[tuple[float, int]]:
    """Run a server; yield the seconds until its first answer, and its process ID."""
    port = free_port()
    with (folder / "serve.log").open("wb") as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            [*program, "serve"],
            cwd=folder,
            env=environment({"CHECKOUT__SERVER__PORT": str(port)}),
            stdout=log,
            stderr=log,
        )
    try:
        while not answers(port):
            if process.poll() is not None:
                raise SystemExit((folder / "serve.log").read_text("utf-8"))
        yield time.perf_counter() - started, process.pid
    finally:
        process.terminate()
        process.wait()


def answers(port: int, path: str = "/healthz") -> bool:
    """Return True if a request gets a 200. The port opens before the server is ready; a request waits for it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except ConnectionError:
        time.sleep(0.002)
        return False
    finally:
        connection.close()


def free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port: int = taken.getsockname()[1]
        return port


def resident_mb(pid: int) -> float:
    """Return VmRSS of a process and of those that it started, as the one file does; Linux only."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text("utf-8"))
    assert found is not None
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()
    return int(found[1]) / 1024 + sum(resident_mb(int(child)) for child in children)


def show(name: str, values: list[float], places: int, unit: str, target: float) -> None:
    verdict = "" if sorted(values)[len(values) // 2] < target else "  MISSED"
    print(f"{name:<38} {spread(values, places, unit):<36} target < {target:g} {unit}{verdict}")


if __name__ == "__main__":
    main()
