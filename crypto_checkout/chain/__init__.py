"""EVM chains and the sandbox, read behind one interface. The only room that imports web3 and the elliptic curve.

- `evm`: a real chain, read through its RPC providers.
- `rpc`: JSON-RPC to those providers: failover, limits, metering. It knows no blocks.
- `sandbox`: the simulated chain of test mode, with the same interface.
- `wallet`: deposit addresses from an extended public key. Private keys never reach the server.

Never here: the database, the configuration, or decisions about payments (`core.ledger` and `services.ledger` make
those). Chains are distrusted: an answer is checked, or refused as ProviderFailed.

To add something that a chain can do, write a module in `evm` whose functions take an `Ask`, give `EvmChain` a method
that calls it through `Rpc.with_failover`, and give `SandboxChain` or `SandboxView` the same method. The service that
needs it declares it in a protocol of its own.
"""

import sys

import py_ecc  # noqa: F401 - see below

# py_ecc, which comes in with web3 and eth-account, raises Python's recursion limit from 1,000 to 100,000. Then Python
# 3.11 doesn't refuse deeply nested JSON, from a node or a client: it overflows the stack, and the process dies. It does
# so once, when it is first imported: so that is here, before all else, also where eth-account is loaded late and web3
# never, as in test mode. Only its parts are large.
sys.setrecursionlimit(1000)
