"""The sandbox: the simulated chain of test mode, without a node or a network.

`chain` has the interface of `chain.evm.chain`, and `draft` the changes that test helpers make; `state` is all that is
stored of it but its transactions; `view` adds reads for commands and pages. Never here: the database (`store.sandbox`).
"""
