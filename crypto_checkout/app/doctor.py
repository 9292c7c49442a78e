"""Examine everything outside the database that a server needs: its wallet, chains, prices and public URL.

Problems become checks and are never raised; nothing is written, and no address is given out.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from crypto_checkout.app import prices, wallets
from crypto_checkout.app.chains import configured_tokens, endpoints, open_rpc
from crypto_checkout.config import ChainConfig, Config
from crypto_checkout.config.values import is_near
from crypto_checkout.core.address import Address, checksum
from crypto_checkout.core.collect.deposits import Deposits
from crypto_checkout.core.collect.readiness import DepositFacts
from crypto_checkout.core.diagnosis.checks import Check, Severity, fail, ok, warn
from crypto_checkout.core.errors import RecoverableError, SourceFailed
from crypto_checkout.core.ledger.follow import Header
from crypto_checkout.core.moments import Clock
from crypto_checkout.core.money import format_units
from crypto_checkout.core.urls import is_ip
from crypto_checkout.encryption import SECOND_FACTOR, Cipher, is_encrypted
from crypto_checkout.http.checkout import renderer
from crypto_checkout.http.entry.client_address import is_trusted
from crypto_checkout.prices.http_source import connection_failure
from crypto_checkout.prices.source import Source
from crypto_checkout.services.diagnosis import checks, proxy
from crypto_checkout.services.ledger.ancestor import newest_shared
from crypto_checkout.services.reporting.setup_progress import is_wallet_compared
from crypto_checkout.store.data_folder import server_notes
from crypto_checkout.store.database import Database
from crypto_checkout.store.ledger import cursors as chain_store
from crypto_checkout.store.ledger.cursors import Cursor
from crypto_checkout.store.owner import account

if TYPE_CHECKING:
    from crypto_checkout.chain.evm.chain import EvmChain

_SHOWN_ADDRESSES = 3
_SECONDS = 10.0
_OK = 200
_LONG_BODY = 60_000
_JSON = {"Content-Type": "application/json"}
_POLICY = "Content-Security-Policy"


async def wallet(config: Config, db: Database | None) -> list[Check]:
    """Show the first addresses of the wallet, for comparison with the owner's wallet program."""
    key = wallets.live(config)
    if key is None:
        return [ok("wallet", "none: only test mode works")]
    public = wallets.public_key_of(config)
    if public is not None:
        what = f"[wallet] {public} is the public test wallet: anyone can take its money"
        own = "Use your own address" if public == "cold_address" else "Create your own wallet"
        return [fail("wallet", what, f"{own}; crypto-checkout init shows how.")]
    if isinstance(key, Deposits):
        return [_cold_address(key)]
    first = ", ".join(f"{number} {checksum(key.address(number))}" for number in range(_SHOWN_ADDRESSES))
    what = f"its first addresses are {first}: your wallet must show the same"
    is_compared = db is not None and await db.read(lambda unit: is_wallet_compared(unit, key.wallet_id))
    if config.chains and not is_compared:
        advice = (
            "Compare them, and confirm it in the dashboard under Settings, Wallet: a wrong wallet would get the money."
        )
        return [warn("wallet", f"{what}, and nobody has confirmed that yet", advice)]
    return [ok("wallet", what)]


async def dashboard(config: Config, url: str, db: Database, cipher: Cipher | None) -> list[Check]:
    """Warn of a dashboard that others can reach and that has no password yet; `url` is the public one.

    `cipher` reads the second factor's secret, and is None without the key.
    """
    owner = await db.read(account.get)
    if owner is not None and owner.totp_secret and not _is_readable(owner.totp_secret, cipher):
        advice = (
            "Put the secret.key back that belongs to this database. If it is lost, sign in with a recovery code, or "
            "run crypto-checkout admin reset-password, and set your app up again."
        )
        return [fail("dashboard", "its second factor can't be checked without its secret.key", advice)]
    if owner is not None:
        return [ok("dashboard", "it has a password")]
    host = config.server.host
    is_open = host != "localhost" and not (is_ip(host) and ip_address(host).is_loopback)
    if not is_open and is_near(urlsplit(url).hostname or ""):
        return [ok("dashboard", "it has no password yet; only this machine can reach it")]
    where = f"[server] host is {host}" if is_open else f"public_url is {url}"
    what = f"it has no password yet, and others can reach it ({where})"
    return [warn("dashboard", what, "Set one: crypto-checkout admin reset-password, or the link printed at the start.")]


def _is_readable(secret: str, cipher: Cipher | None) -> bool:
    if not is_encrypted(secret):
        return True
    return cipher is not None and cipher.decrypt(secret, SECOND_FACTOR) is not None


def _cold_address(deposits: Deposits) -> Check:
    label = f", with the label {deposits.label!r}: keep it on paper with the address" if deposits.label else ""
    return ok("wallet", f"everything goes to {checksum(deposits.destination)}{label}")


async def chains(config: Config, db: Database | None, clock: Clock) -> list[Check]:
    """Try every provider of every chain on its own, and compare the tokens with their contracts."""
    found = await asyncio.gather(
        *(_chain(config, place, chain, db, clock) for place, chain in enumerate(config.chains))
    )
    return [check for of_chain in found for check in of_chain]


async def _chain(config: Config, place: int, chain: ChainConfig, db: Database | None, clock: Clock) -> list[Check]:
    from crypto_checkout.chain.evm.probe import Probe

    async with AsyncExitStack() as stack:
        keys = [
            *(f"chains[{place}].providers[{number}]" for number in range(len(chain.providers))),
            *(f"chains[{place}].rpc_urls[{number}]" for number in range(len(chain.rpc_urls))),
        ]
        probes = [Probe(chain.id, each, chain.finality) for each in endpoints(chain)]
        for probe in probes:
            stack.push_async_callback(probe.close)
        probed = await asyncio.gather(*(probe.run() for probe in probes))
        heads = [each.head for each in probed if each.head is not None]
        if not heads:
            return checks.of_providers(chain.name, keys, probed, {})
        newest, common = max(heads, key=lambda head: head.number), min(head.number for head in heads)
        hashes = await asyncio.gather(*(probe.hash_at(common) for probe in probes))
        shown = {f"{number} {probe.name}": h for number, (probe, h) in enumerate(zip(probes, hashes, strict=True)) if h}
        found = [
            *checks.of_providers(chain.name, keys, probed, shown),
            *checks.of_finality(chain.name, f"chains[{place}]", chain.finality, chain.confirmations, probed),
            checks.of_clock(chain.name, newest, clock()),
        ]
    if db is not None:
        cursor = await db.read(lambda unit: chain_store.cursor(unit, chain.id))
        found += [checks.of_cursor(chain.name, newest, cursor), *await _followed(chain, db, cursor, newest)]
    return [*found, *await _tokens(config, chain)]


async def deposits(config: Config) -> list[Check]:
    """Check on each chain that money can be collected from deposits, where cold-address mode is on."""
    wallet = wallets.deposits(config)
    if wallet is None:
        return []
    read = await asyncio.gather(*(_deposit_facts(chain, wallet) for chain in config.chains))
    elsewhere = [chain.name for chain, facts in zip(config.chains, read, strict=True) if _has_code(facts)]
    found = []
    for chain, facts in zip(config.chains, read, strict=True):
        name = f"{chain.name}: collecting"
        if isinstance(facts, RecoverableError):
            found.append(warn(name, f"no answer: {facts}", "Try again when a provider answers."))
        else:
            found.append(checks.of_deposits(name, wallet.destination, facts, elsewhere))
    return found


async def fuel(config: Config) -> list[Check]:
    """Check the key of automatic collection, where that is on, and the fuel that it has on each chain."""
    if config.collector.key_file is None:
        return []
    from crypto_checkout.chain.evm.collect.sending import Sending
    from crypto_checkout.chain.wallet.fuel_key import FuelKey, FuelKeyUnusable

    try:
        key = FuelKey.read(config.collector.key_file)
    except FuelKeyUnusable as error:
        return [fail("collector", str(error), "The server doesn't start with this key.")]

    async def look(chain: ChainConfig) -> Check:
        name = f"{chain.name}: fuel"
        rpc = open_rpc(chain)
        try:
            held = await Sending(rpc).balance(key.address)
        except RecoverableError as error:
            return warn(name, f"no answer: {error}", "Try again when a provider answers.")
        finally:
            await rpc.close()
        holds = f"{checksum(key.address)} holds {format_units(held, 18)} {chain.native_symbol} for collecting"
        return ok(name, holds) if held else warn(name, holds, "Send it some coin; until then nothing is collected.")

    on = [chain for chain in config.chains if not config.collector.chains or chain.id in config.collector.chains]
    return [*await asyncio.gather(*(look(chain) for chain in on))]


async def _deposit_facts(chain: ChainConfig, wallet: Deposits) -> DepositFacts | RecoverableError:
    opened = _open(chain)
    try:
        return await opened.deposit_facts(wallet)
    except RecoverableError as error:
        return error
    finally:
        await opened.close()


def _has_code(facts: DepositFacts | RecoverableError) -> bool:
    return isinstance(facts, DepositFacts) and facts.has_code


async def _followed(chain: ChainConfig, db: Database, cursor: Cursor | None, newest: Header) -> list[Check]:
    """Check that one of the last processed blocks is still on the chain."""
    if cursor is None:
        return []
    kept = await db.read(lambda unit: chain_store.remembered(unit, chain.id))
    opened = _open(chain)
    try:
        shared = await newest_shared(opened, kept, newest.number)
    except RecoverableError as error:
        return [warn(f"{chain.name}: followed", f"no answer: {error}", "Try again when a provider answers.")]
    finally:
        await opened.close()
    return checks.of_shared(chain.name, chain.id, shared, is_newest_older=newest.time <= cursor.time)


async def _tokens(config: Config, chain: ChainConfig) -> list[Check]:
    opened, found = _open(chain), []
    try:
        for token in configured_tokens(config.chains):
            if token.asset.chain_id != chain.id:
                continue
            try:
                facts = await opened.token_facts(Address(str(token.asset.contract)))
            except RecoverableError as error:
                name = f"{chain.name}: {token.asset.symbol}"
                found.append(warn(name, f"no answer: {error}", "Try again when a provider answers."))
            else:
                found.append(checks.of_token(chain.name, token, facts))
    finally:
        await opened.close()
    return found


def _open(chain: ChainConfig) -> "EvmChain":
    from crypto_checkout.chain.evm.chain import EvmChain
    from crypto_checkout.chain.rpc.providers import Rpc

    return EvmChain(Rpc(chain.id, endpoints(chain), timeout_seconds=_SECONDS))


async def price_sources(config: Config, clock: Clock) -> list[Check]:
    """Ask each price source for the coin of the first chain; test mode has prices of its own."""
    if not config.chains:
        return [ok("prices", "those of test mode, from a table")]
    async with AsyncExitStack() as stack:
        opened = {chain.id: _open(chain) for chain in config.chains}
        for chain in opened.values():
            stack.push_async_callback(chain.close)
        client = await stack.enter_async_context(prices.http_client())
        sources = prices.sources(config, client, opened, clock)
        coin = config.chains[0].native_symbol
        found = await asyncio.gather(*(_source(source, coin) for source in sources))
    fixed = config.prices.fixed.get(f"{coin}/USD")
    if fixed is not None:
        return [*found, ok("price fixed", f"{fixed:f} USD for one {coin}, overriding all sources")]
    return [*found, *_quorum(config, found)]


async def _source(source: Source, coin: str) -> Check:
    name = f"price {source.name}"
    try:
        async with asyncio.timeout(_SECONDS):
            observation = await source.observe(coin, "USD")
    except (SourceFailed, RecoverableError, TimeoutError) as error:
        reason = str(error) or f"no answer within {_SECONDS:g} s"
        return warn(name, reason, "The other sources continue; if this lasts, remove it from [prices] sources.")
    return ok(name, f"{observation.value:f} USD for one {coin}")


def _quorum(config: Config, found: Sequence[Check]) -> list[Check]:
    answering = sum(each.advice is None for each in found)
    if answering >= config.prices.quorum:
        return []
    what = f"{answering} sources answer, but [prices] quorum requires {config.prices.quorum}: no session can be priced"
    return [fail("prices", what, "Add sources, or find out why these don't answer (perhaps a firewall).")]


async def event_loop(config: Config) -> list[Check]:
    """Ask the running server how long it kept everybody waiting of late."""
    folder = config.database.path.absolute().parent
    url, token = server_notes.url(folder), server_notes.doctor_token(folder)
    if url is None or token is None:
        return []
    async with httpx.AsyncClient(trust_env=False, timeout=_SECONDS) as client:
        try:
            answer = await client.get(f"{url}/healthz", headers={"Authorization": f"Bearer {token}"})
            return [checks.of_stall(answer.json()["loopStallSeconds"])]
        except (httpx.HTTPError, ValueError, KeyError):
            return []


async def public_url(config: Config, url: str, *, is_served: bool) -> list[Check]:
    """Check the public URL: with real money it must be reachable from elsewhere, and it must lead to this server."""
    name, parts = "public_url", urlsplit(url)
    if config.chains and is_near(parts.hostname or ""):
        what = f"{url} leads only to this machine or network: payers elsewhere can't open it"
        return [warn(name, what, 'Set [server] public_url = "https://…", and put a reverse proxy with TLS in front.')]
    if not is_served:
        return [ok(name, f"{url} (not tried: the server isn't running)")]
    folder = config.database.path.absolute().parent
    token = server_notes.doctor_token(folder)
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": proxy.FORGED} if token else {}
    async with httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=_SECONDS) as client:
        try:
            answer = await client.get(f"{url}/healthz", headers=headers)
        except httpx.HTTPError as error:
            return [_unreachable(url, error)]
        found = _of_health(url, answer)
        is_known = token is not None and not _is_direct(url, server_notes.url(folder))
        if not is_known or any(each.mark is Severity.FAIL for each in found):
            return found
        return [*found, *await _of_proxy(config, client, url, answer)]


def _is_direct(url: str, listening: str | None) -> bool:
    """Tell whether a URL leads to the server itself, which speaks no TLS."""
    return url.startswith("http:") and urlsplit(url).port == urlsplit(listening or "").port


def _unreachable(url: str, error: httpx.HTTPError) -> Check:
    if "CERTIFICATE" in str(error).upper():
        what = f"browsers reject the certificate of {url}: {error}"
        return fail(
            "public_url", what, "Get one for exactly this name, for example from Let's Encrypt, with its whole chain."
        )
    what = f"{url}/healthz can't be reached from here: {connection_failure(error)}"
    advice = "Check that its name resolves and its proxy runs; some routers don't route back inside."
    return warn("public_url", what, advice)


def _of_health(url: str, answer: httpx.Response) -> list[Check]:
    name = "public_url"
    if answer.status_code != _OK or answer.headers.get("content-type", "").partition(";")[0] != "application/json":
        what = f"{url}/healthz answers {answer.status_code}, but not as this server does"
        return [fail(name, what, "Point the proxy to this server's [server] host and port.")]
    return [ok(name, f"{url} leads here")]


async def _of_proxy(config: Config, client: httpx.AsyncClient, url: str, answer: httpx.Response) -> list[Check]:
    """Check what the proxy does to requests and answers, given the answer to one with the server's own token."""
    arrived = answer.json().get("request")
    if arrived is None:
        what = f"{url} leads to a different server than the one in this folder, or its proxy drops Authorization"
        return [
            fail(
                "proxy",
                what,
                "Point it to this server's [server] host and port, with all headers.",
            )
        ]
    request = proxy.ArrivedRequest(arrived["peer"], arrived["host"], arrived["forwardedFor"])
    found = proxy.of_request(url, request, is_trusted=is_trusted(request.peer, config.server.trusted_proxies))
    try:
        script = await client.get(f"{url}/static/checkout.js")
        write = await client.patch(f"{url}/api/v1/payment_links/pl_doctor", content=b" " * _LONG_BODY, headers=_JSON)
        page = await client.get(url)
    except httpx.HTTPError as error:
        return [*found, _unreachable(url, error)]
    wanted = renderer.headers(config.checkout.allow_embedding_from)[_POLICY]
    return [
        *found,
        *proxy.of_script(script.status_code, is_ours=script.status_code == _OK and "X-Request-Id" in script.headers),
        *proxy.of_write(write.status_code, _code(write)),
        *proxy.of_policy(page.headers.get_list(_POLICY), wanted),
        *(await _plain_http(client, url)),
    ]


async def _plain_http(client: httpx.AsyncClient, url: str) -> list[Check]:
    host = urlsplit(url).netloc
    if not url.startswith("https:") or ":" in host:
        return []
    return await plain_http(client, host)


async def plain_http(client: httpx.AsyncClient, host: str) -> list[Check]:
    """Check that a host doesn't serve pages over http as well."""
    try:
        answer = await client.get(f"http://{host}/healthz")
    except httpx.HTTPError:
        return []
    return proxy.of_plain_http(host, is_served=answer.status_code == _OK)


def _code(answer: httpx.Response) -> str | None:
    """Return the code of an error of the API; None for anything else."""
    try:
        return str(answer.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return None
