"""Open the chains for a command that asks them itself, beside a running server or without one."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .beside import clock

if TYPE_CHECKING:
    from crypto_checkout.chain.evm.chain import EvmChain
    from crypto_checkout.chain.sandbox.view import SandboxView
    from crypto_checkout.config import Config
    from crypto_checkout.services.diagnosis.explain import ConfiguredChain
    from crypto_checkout.store.database import Database


@dataclass(frozen=True, slots=True)
class Chains:
    """The chains of the configuration by their ids, and the simulated one where there is one."""

    live: "dict[int, EvmChain]"
    sandbox: "SandboxView | None"


@asynccontextmanager
async def chains(config: "Config", db: "Database") -> AsyncIterator[Chains]:
    """Open them; what they ask their providers is counted as the server's is."""
    from crypto_checkout import log
    from crypto_checkout.services.upkeep.rpc_usage import UsageRecorder

    log.silence()
    async with AsyncExitStack() as stack:
        live: dict[int, EvmChain] = {}
        if config.chains:
            from crypto_checkout.app.modes import open_chain

            meters = []
            for chain in config.chains:
                live[chain.id], meter = await open_chain(chain, db, clock)
                stack.push_async_callback(live[chain.id].close)
                meters.append(meter)
            stack.push_async_callback(UsageRecorder(db, meters).turn)
        yield Chains(live, await _sandbox(db) if config.test_mode.enabled else None)


def configured(config: "Config", opened: Chains) -> "dict[int, ConfiguredChain]":
    """Return the chains with what is offered on them, as `services.diagnosis.explain` wants them."""
    from crypto_checkout.app.modes import accepted_chain
    from crypto_checkout.chain.sandbox import chain as sandbox
    from crypto_checkout.services.checkout.payment_methods import AcceptedChain
    from crypto_checkout.services.diagnosis.explain import ConfiguredChain

    found = {chain.id: ConfiguredChain(opened.live[chain.id], accepted_chain(chain)) for chain in config.chains}
    if opened.sandbox is not None:
        simulated = AcceptedChain(sandbox.CHAIN_ID, sandbox.NAME, "", sandbox.CONFIRMATIONS, sandbox.ASSETS)
        found[sandbox.CHAIN_ID] = ConfiguredChain(opened.sandbox, simulated)
    return found


async def _sandbox(db: "Database") -> "SandboxView | None":
    """Open the simulated chain as it is stored, to be read only."""
    from crypto_checkout.chain.sandbox.state import State
    from crypto_checkout.chain.sandbox.view import SandboxView
    from crypto_checkout.services.sandbox import pruning
    from crypto_checkout.store.sandbox import chain as sandbox

    state = await db.read(sandbox.load)
    if state is None:
        return None
    return SandboxView(State.from_json(state), clock, await db.read(pruning.needed))
