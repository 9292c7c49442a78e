"""Collecting: the contracts behind deposit addresses of cold-address mode and behind wallet mode's batches.

`Collect.sol` is their source, for auditors; `bytecode` holds what the compiler made of it, and a test compiles it anew.
`contracts` says where they are on every chain, `deposits` where a destination's money arrives, `calls` how to collect.
The contracts have no owner, no storage and no upgrade: other bytes would be another system beside this one, and
addresses given out before would keep theirs. `collection` is the record of money that left, by them or otherwise.
"""
