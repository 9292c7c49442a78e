"""A real nginx before a server, on free ports, in a folder of the test's; one process has several sites.

with Nginx(path, folder, {"right": SITE, "plain": "location / { proxy_pass http://checkout; }"}, server.url) as nginx:
    httpx.get(nginx.urls["right"])
"""

import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.ports import free_port
from tests.support.waiting import WAIT_SECONDS, killed_on_failure, wait_until

_MAIN = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {upstream}
    {sites}
}}
"""


def find() -> Path | None:
    """Return the program, which Debian keeps where only root looks."""
    path = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin") or shutil.which("nginx")
    return Path(path) if path else None


class Nginx:
    """A running nginx; `urls` has where each of its sites answers, `sites` are their lines within `server { … }`.

    They are before a server, or before several by an `upstream` block of that name, `checkout`.
    """

    def __init__(
        self, program: Path, folder: Path, sites: Mapping[str, str], server_url: str = "", *, upstream: str = ""
    ) -> None:
        ports = [free_port() for _ in sites]
        self.urls = {name: f"http://127.0.0.1:{port}" for name, port in zip(sites, ports, strict=True)}
        blocks = [
            f"server {{ listen 127.0.0.1:{port}; {site} }}" for port, site in zip(ports, sites.values(), strict=True)
        ]
        upstream = upstream or f"upstream checkout {{ server {server_url.partition('//')[2]}; }}"
        text = _MAIN.format(folder=folder, upstream=upstream, sites="\n".join(blocks))
        (folder / "nginx.conf").write_text(text, "utf-8")
        self._log = folder / "nginx.err"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-p", folder, "-c", folder / "nginx.conf"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        with killed_on_failure(self._process):
            wait_until(
                lambda: all(_answers(port) for port in ports),
                "listen",
                is_running=lambda: self._process.poll() is None,
                output=lambda: self._log.read_text("utf-8", "replace"),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(WAIT_SECONDS)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False
