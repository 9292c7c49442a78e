"""Use cases and loops: gather, let `core` decide, write once.

A use case is a method of a class that takes the database and what else it needs. A write is a unit: a function of a
`WriteUnit` that checks, stores and records its events in one transaction. Methods either run their unit or return it,
so that the caller can store more with it (an idempotency key, an audit entry). Chains, prices and mail are asked
outside of units.

Never here: serving HTTP, SQL, the configuration, web3. Chains, prices and senders come in as protocols, defined beside
their user. Pure modules of other rooms, such as `webhooks.signing`, and the sandbox are imported as they are.

To add a use case, write its decision in `core` and its rows in `store`, each in the area of the same name, then a
method here, and construct new classes in `app`. A loop uses `services.loops`.
"""
