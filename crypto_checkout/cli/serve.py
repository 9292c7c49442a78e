"""`crypto-checkout serve`: run the server until a signal ends it. `cli.welcome` has the message that it starts with."""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import Generator
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

from crypto_checkout.cli.support.options import Options
from crypto_checkout.cli.support.setup import fail, load_config, storage_failure
from crypto_checkout.cli.welcome import welcome

if TYPE_CHECKING:
    import uvicorn

    from crypto_checkout.config import Config

_GRACE_SECONDS = 2
# Longer than pages and proxies leave a connection unused (nginx: 60 s), which would meet it closed; where places are
# few, those of idle connections are given away.
_IDLE_SECONDS = 65
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@click.command()
@click.option(
    "--new-secret-key",
    is_flag=True,
    help="Use this data folder's secret.key for a PostgreSQL database whose own was lost.",
)
@click.pass_obj
def serve(options: Options, new_secret_key: bool) -> None:
    """Run the server."""
    import uvloop

    from crypto_checkout import log
    from crypto_checkout.core.errors import DatabaseFailed, FatalError

    config = load_config(options)
    log.configure(config.log.level, config.log.format)
    for note in config.notes:
        log.get_logger("config").warning(note)
    try:
        listening = _listen(config)
        with listening, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(config, options, listening, new_secret_key=new_secret_key))
            click.echo("Stopped. Everything is saved.")
            _end_process()
    except BrokenPipeError:
        raise  # who reads the output has heard enough: no fault of the storage
    except FatalError as error:
        fail(str(error))
    except (DatabaseFailed, sqlite3.Error, OSError) as error:
        fail(f"The server can't start: {storage_failure(config, error)}")


async def _serve(config: "Config", options: Options, listening: socket.socket, *, new_secret_key: bool) -> None:
    from crypto_checkout.app.server import open_server
    from crypto_checkout.app.urls import listening_url, reachable
    from crypto_checkout.store.data_folder import server_notes

    url = listening_url(config, listening.getsockname()[1])
    token = options.environ.get("CHECKOUT_METRICS_TOKEN") or None
    web = _uvicorn(config)
    _stop_at_a_signal(web)
    config = reachable(config, url)
    async with open_server(config, metrics_token=token, new_secret_key=new_secret_key) as server:
        web.config.app = server.web
        serving = asyncio.create_task(web.serve(sockets=[listening]))
        try:
            with server_notes.published_url(config.database.path.parent, url):
                await welcome(config, server, url, serving)
                _spare_the_collector()
                await serving
        finally:
            web.should_exit = True
            await serving


def _uvicorn(config: "Config") -> "uvicorn.Server":
    """Return a web server whose application is still to be set."""
    import uvicorn

    from crypto_checkout.http.entry.connection_limits import GuardedProtocol, most_connections

    GuardedProtocol.most_connections = most_connections()
    GuardedProtocol.trusted_proxies = config.server.trusted_proxies
    logging.getLogger("uvicorn.error").addFilter(_is_worth_logging)

    class Server(uvicorn.Server):
        """A server that leaves signals alone: uvicorn would raise them again at its end, before the rest is closed."""

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None, None, None]:
            yield

    return Server(
        uvicorn.Config(
            "",
            host=config.server.host,
            log_config=None,
            access_log=False,
            lifespan="off",
            http=GuardedProtocol,
            ws="none",
            proxy_headers=False,  # http.entry decides which proxies to trust
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            timeout_keep_alive=_IDLE_SECONDS,
        )
    )


def _is_worth_logging(record: logging.LogRecord) -> bool:
    """Filter the tracebacks of requests cancelled at the end, which are logged before."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def _stop_at_a_signal(web: "uvicorn.Server") -> None:
    """Let the first signal end the server cleanly, and the next one at once: all answered requests are stored."""

    def stop(_: int, __: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        web.should_exit = True

    for each in _SIGNALS:
        signal.signal(each, stop)


def _spare_the_collector() -> None:
    """Keep what the start has made out of the garbage collector's rounds: it stays, and each round would walk it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def _end_process() -> NoReturn:
    """End the process now that everything is closed: Python would wait for any hanging DNS lookup."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


# --- the port --------------------------------------------------------------------------------------------------------


def _listen(config: "Config") -> socket.socket:
    """Open the port before anything else, so that an unavailable port fails at once, with a sentence."""
    host, port = config.server.host, config.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only with the protocol named does asyncio set TCP_NODELAY; else the second answer on a connection waits 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)  # binding alone does not fail while another process listens with SO_REUSEADDR
    except OSError as error:
        listening.close()
        _refuse_a_second_server(config)
        fail(f"Can't listen on {host}:{port}: {error.strerror}. {_advice(error)}")
    return listening


def _advice(error: OSError) -> str:
    port = "with [server] port or CHECKOUT__SERVER__PORT."
    if error.errno == errno.EADDRINUSE:
        return f"Stop the program that uses that port, or choose another {port}"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return "Set [server] host or CHECKOUT__SERVER__HOST to an address of this machine; 0.0.0.0 means all of them."
    return f"Choose another {port}"


def _refuse_a_second_server(config: "Config") -> None:
    """Raise FolderInUse, which names the process, if this folder's own server has the port."""
    from crypto_checkout.store.data_folder.lock import FolderLock

    folder = config.database.path.parent
    if folder.is_dir():
        with contextlib.suppress(OSError), FolderLock(folder):
            pass
