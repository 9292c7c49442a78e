"""JSON-RPC to the providers of a chain: `transport` speaks to one endpoint, `providers` chooses one, `meter` counts.

Never here: the meaning of an answer (`chain.evm.decoding`). URLs carry access keys: no log line and no exception
shows more of them than the host.
"""
