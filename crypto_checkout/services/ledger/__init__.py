"""From blocks to payments: follow each chain, find the money that reached given-out addresses, and judge its sessions.

The life of a payment, one turn of `watcher` after another:

1. `watcher` reads the head and the stretch of blocks after its cursor (`reading`: logs of the whole range, and single
   blocks where balances moved), and asks `core.ledger.follow` whether it extends what was processed. If it doesn't, it
   rolls back or reads it again.
2. `evidence` sorts the transfers of the stretch by session: payments, and unmatched payments in another asset or on
   another chain. `internal_transfers` finds coins, whoever sent them, by comparing balances of the addresses that
   `watched_addresses` keeps in memory; what no transaction's own fields show counts only once `second_reading` has
   read the balance again, unless a node names its transaction. Where that can be computed, the others are proven by
   the hash of their block.
3. In one unit of work, blocks, evidence and cursor are stored and `judge` moves the sessions: `core.ledger.assess`
   gives the verdict, `services.webhooks.outbox` takes the events. A killed process has done all of a turn or none.

Beside that, `reading.late_round` looks at old addresses, and `token_balances` compares the tokens of open sessions, as
logs may be missing or say too much.
`check_now` takes a turn on request, and `health` reports how the watchers are doing. `wallet_check` and `token_check`
compare the configuration with the chains at the start (`startup_check` repeats them until they pass). A chain that
shares no remembered block with the ledger is stopped (`ancestor`) until the owner reanchors it (`reanchor`).

All network I/O happens before the unit of work, and nothing of a turn that failed is kept. Nothing here speaks a
chain's protocol: a new kind of chain implements the protocols `BlockSource`, `TransferEvidence` and `BalanceReader`, as
`chain.evm.chain` and `chain.sandbox.chain` do.
"""
