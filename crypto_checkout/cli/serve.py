"""`crypto-checkout serve`: run the server, and tell the person who started it what to do next."""

import asyncio
import signal
import socket
from types import FrameType
from typing import TYPE_CHECKING

import click

from .opening import fail, load_config
from .options import Options

if TYPE_CHECKING:
    import uvicorn

    from crypto_checkout.app import Opened
    from crypto_checkout.config import Config

_GRACE_SECONDS = 2
_WAIT_FOR_CHAINS_SECONDS = 2.0
_FIRST_BODY = """-d '{"amount": {"value": "10.00", "currency": "USD"}}'"""


@click.command()
@click.pass_obj
def serve(options: Options) -> None:
    """Run the server until it is stopped."""
    from crypto_checkout import log
    from crypto_checkout.core.errors import FatalError

    config = load_config(options)
    log.configure(config.log.level, config.log.format)
    try:
        listening = _listen(config)
        asyncio.run(_serve(config, options, listening))
    except FatalError as error:
        fail(str(error))
    except OSError as error:
        fail(f"The server can't start: {error.strerror or error}.")


def _listen(config: "Config") -> socket.socket:
    """Open the port before anything else, so that a second server fails at once and with a clear sentence."""
    host, port = config.server.host, config.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)  # binding alone does not fail while another process listens with SO_REUSEADDR
    except OSError as error:
        listening.close()
        fail(
            f"Can't listen on {host}:{port}: {error.strerror}. Stop what uses that port, or choose another with "
            "[server] port or CHECKOUT__SERVER__PORT."
        )
    return listening


async def _serve(config: "Config", options: Options, listening: socket.socket) -> None:
    from crypto_checkout.app import opened

    token = options.environ.get("CHECKOUT_METRICS_TOKEN") or None
    async with opened(config, metrics_token=token) as server:
        web = _uvicorn(server, listening)
        serving = asyncio.create_task(web.serve(sockets=[listening]))
        try:
            await _say_hello(config, server, listening.getsockname()[1], serving)
        finally:
            await serving


def _uvicorn(server: "Opened", listening: socket.socket) -> "uvicorn.Server":
    import uvicorn

    class Server(uvicorn.Server):
        """Ends at once at the second signal: the database loses nothing that was answered."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            if self.should_exit:
                signal.signal(sig, signal.SIG_DFL)
                signal.raise_signal(sig)
            super().handle_exit(sig, frame)

    return Server(
        uvicorn.Config(
            server.web,
            host=listening.getsockname()[0],
            log_config=None,
            access_log=False,
            lifespan="off",
            proxy_headers=False,  # http.middleware decides whom to believe
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )


# --- what a person is told -------------------------------------------------------------------------------------------


async def _say_hello(config: "Config", server: "Opened", port: int, serving: "asyncio.Task[None]") -> None:
    key = await _first_key(server)
    await _wait_for_chains(server, serving)
    if serving.done():
        return
    lines = [
        "",
        f"Crypto Checkout listens on http://{_shown_host(config)}:{port}",
        *_modes(config, server),
        f"  data     {config.database.path.absolute()}",
        f"  settings {config.path.absolute() if config.path else 'all defaults (crypto-checkout init writes a file)'}",
        "",
        *_next_step(config, server, port, key),
    ]
    click.echo("\n".join(lines))


async def _first_key(server: "Opened") -> str | None:
    """Make a test key where there is no key at all, so that the first request can be made at once."""
    from crypto_checkout.core.key import Scope
    from crypto_checkout.services import keys
    from crypto_checkout.store import keys as store
    from crypto_checkout.store.database import WriteUnit

    def make(unit: WriteUnit) -> str | None:
        if store.everything(unit) or not server.offers.has(livemode=False):
            return None
        _, text = keys.create(unit, server.events, livemode=False, name="First start", scopes=list(Scope))
        return text

    return await server.db.write(make)


async def _wait_for_chains(server: "Opened", serving: "asyncio.Task[None]") -> None:
    """Give the nodes a moment, so that their heads can be shown; the server answers meanwhile."""
    deadline = asyncio.get_running_loop().time() + _WAIT_FOR_CHAINS_SECONDS
    while asyncio.get_running_loop().time() < deadline and not serving.done():
        if all(watcher.status.seen_at or watcher.status.error for watcher in server.watchers):
            return
        await asyncio.sleep(0.02)


def _modes(config: "Config", server: "Opened") -> list[str]:
    live = "live and test" if config.test_mode.enabled else "live"
    lines = [f"  mode     {live if config.chains else 'test only: no real money'}"]
    for watcher in server.watchers:
        status = watcher.status
        if status.head is None:
            state = f"not reached yet ({status.error or 'waiting for its node'})"
        else:
            state = f"block {status.head:,}, {status.lag or 0:,} behind"
        lines.append(f"  chain    {status.name} ({status.chain_id}): {state}")
    return lines


def _next_step(config: "Config", server: "Opened", port: int, key: str | None) -> list[str]:
    if key is not None:
        url = f"http://{_shown_host(config)}:{port}/api/v1/checkout_sessions"
        return [
            "This is the first start. Here is a test key; it is shown only now:",
            "",
            f"  {key}",
            "",
            "Make a checkout session (paste this), then open its checkoutUrl in a browser:",
            "",
            f'  curl {url} -H "Authorization: Bearer {key}" -H "Content-Type: application/json" {_FIRST_BODY}',
            "",
        ]
    mode = "live" if server.offers.has(livemode=True) else "test"
    return [f"Next: crypto-checkout keys create --mode {mode} --name my-shop", ""]


def _shown_host(config: "Config") -> str:
    host = config.server.host
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
