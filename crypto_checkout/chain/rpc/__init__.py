"""JSON-RPC to the providers of a chain: `providers` chooses one, `provider` talks to it, `transport` sends.

`answers` bounds and decodes what comes back, `failures` tells kinds of failure apart, `pace` learns the calls per
second that a plan allows, `meter` counts.

Never here: the meaning of an answer (`chain.evm.decoding`). URLs and headers carry access keys: no log line and no
exception shows more of them than the host.
"""
