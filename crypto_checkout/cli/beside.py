"""Wire the services that commands need beside the running server: over its database, by the same rules.

No command makes sessions: the next address and the price are the server's to give. Nor is anybody woken: the server
finds what a command wrote at its next look.
"""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

from crypto_checkout.cli.support.urls import public_url
from crypto_checkout.core.errors import WalletNotConfigured

if TYPE_CHECKING:
    from crypto_checkout.config import Config
    from crypto_checkout.core.public.types import SessionResource
    from crypto_checkout.services.checkout.decisions import Decisions
    from crypto_checkout.services.checkout.links import Links
    from crypto_checkout.services.checkout.payment_methods import AcceptedChain, PaymentMethods
    from crypto_checkout.services.checkout.sessions import Sessions
    from crypto_checkout.services.webhooks.deliveries import Deliveries
    from crypto_checkout.services.webhooks.endpoints import Endpoints
    from crypto_checkout.store.database import Database


def clock() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def sessions(config: "Config", db: "Database") -> "Sessions":
    """Return the sessions, to show them."""
    from crypto_checkout.services.checkout.payment_methods import PaymentMethodsByMode
    from crypto_checkout.services.checkout.sessions import Sessions
    from crypto_checkout.services.webhooks.outbox import Outbox

    return Sessions(db, PaymentMethodsByMode([]), Outbox(), public_url=public_url(config))


async def decisions(config: "Config", db: "Database") -> "Decisions":
    """Return what decides about sessions, by the time of each mode's chain: that of test mode may run ahead."""
    from crypto_checkout.chain.sandbox.chain import SandboxChain
    from crypto_checkout.chain.sandbox.state import State
    from crypto_checkout.services.checkout.decisions import Decisions
    from crypto_checkout.services.checkout.payment_methods import PaymentMethodsByMode
    from crypto_checkout.services.webhooks.outbox import Outbox
    from crypto_checkout.store.sandbox import chain as sandbox

    payment_methods = []
    state = await db.read(sandbox.load)
    if state is not None:
        simulated = SandboxChain(State.from_json(state), clock)
        payment_methods.append(
            _payment_methods(config, livemode=False, chains=(), chain_time=lambda now: max(now, simulated.time))
        )
    return Decisions(sessions(config, db), PaymentMethodsByMode(payment_methods), Outbox())


def links(config: "Config", db: "Database") -> "Links":
    """Return the links, on the chains and in the coins that are configured."""
    from crypto_checkout.app.modes import accepted_chain
    from crypto_checkout.chain.sandbox import chain as sandbox
    from crypto_checkout.services.checkout.links import Links
    from crypto_checkout.services.checkout.payment_methods import AcceptedChain, PaymentMethodsByMode
    from crypto_checkout.services.webhooks.outbox import Outbox

    payment_methods = []
    if config.chains:
        payment_methods.append(
            _payment_methods(config, livemode=True, chains=tuple(accepted_chain(chain) for chain in config.chains))
        )
    if config.test_mode.enabled:
        simulated = AcceptedChain(sandbox.CHAIN_ID, sandbox.NAME, "", sandbox.CONFIRMATIONS, sandbox.ASSETS)
        payment_methods.append(_payment_methods(config, livemode=False, chains=(simulated,)))
    return Links(db, PaymentMethodsByMode(payment_methods), Outbox(), public_url=public_url(config))


def endpoints(config: "Config", db: "Database") -> "Endpoints":
    """Return the webhook endpoints."""
    from crypto_checkout.app.parts import webhook_reach
    from crypto_checkout.services.webhooks.endpoints import Endpoints
    from crypto_checkout.services.webhooks.outbox import Outbox

    return Endpoints(db, Outbox(), reach=webhook_reach(config))


@asynccontextmanager
async def deliveries(config: "Config", db: "Database") -> "AsyncIterator[Deliveries]":
    """Open what tries endpoints and has events sent again."""
    from crypto_checkout.app.parts import webhook_reach
    from crypto_checkout.core import ids
    from crypto_checkout.core.public import examples
    from crypto_checkout.services.webhooks.deliveries import Deliveries
    from crypto_checkout.webhooks.send import Sender

    def example() -> "SessionResource":
        return examples.paid_session(clock(), public_url(config), secrets.token_bytes(ids.ENTROPY_BYTES))

    async with Sender(timeout_seconds=config.webhooks.timeout_seconds, reach=webhook_reach(config)) as sender:
        yield Deliveries(db, sender, lambda _: None, clock, example)


class _NothingToSell:
    """Stands where a wallet and prices are wanted and no session is ever made."""

    wallet_id = ""

    def address(self, _: int) -> NoReturn:
        raise WalletNotConfigured("Only the server gives addresses out.")

    async def rate(self, _: str, __: str) -> NoReturn:
        raise WalletNotConfigured("Only the server quotes prices.")


def _payment_methods(
    config: "Config",
    *,
    livemode: bool,
    chains: "tuple[AcceptedChain, ...]",
    chain_time: Callable[[datetime], datetime] = lambda now: now,
) -> "PaymentMethods":
    from crypto_checkout.services.checkout.payment_methods import PaymentMethods, Policy

    terms = config.sessions
    policy = Policy(
        ttl_seconds=terms.ttl_seconds,
        late_grace_seconds=terms.late_grace_seconds,
        underpayment_tolerance_percent=terms.underpayment_tolerance_percent,
        overpayment_tolerance_percent=terms.overpayment_tolerance_percent,
    )
    nothing = _NothingToSell()
    return PaymentMethods(livemode, nothing, chains, nothing, policy, chain_time)
