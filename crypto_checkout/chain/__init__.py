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
