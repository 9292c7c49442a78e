"""The domain: values, rules and decisions. Pure: no I/O, clock, randomness, framework, logging or metrics.

Times, random bytes and evidence come in as arguments; decisions go out as values, and the rooms above carry them out.
Nothing here imports another room. The areas build on each other in one direction: the modules beside this one, then
`owner`, `checkout`, `ledger` and `webhooks`, `collect`, `alerts`, `public` and the module `sandbox`, `diagnosis` (the
contracts are in pyproject.toml).

To add a rule, write a function of values in the area of its noun, and test it with examples and properties in the
same place under `tests/core`. A type of event is one row of `core.webhooks.events.EVENTS`, a session's status one row
of `core.checkout.session.STATUSES`, a cause of failure one class in `core.errors`.
"""
