"""Crypto Checkout: a self-hosted payment server for ETH and tokens on EVM chains.

The rooms of this package, from the top down; each imports only from those below it:

- `cli`: the commands. `app`: wires everything together.
- `http`: the API, the dashboard, the payer's pages and the documentation.
- `services`: the use cases; each is one transaction.
- `store` (SQLite), `chain` (EVM chains and the sandbox), `prices`, `webhooks`, `mail` and `updates`: the outside world.
- `core`: the domain, pure.

Beside them: `config` (read by `cli` and `app` only), `log`, `metrics`, `entropy`, `encryption`, and `client`, the API's
client for shops.
"""

__version__ = "0.1.0"
