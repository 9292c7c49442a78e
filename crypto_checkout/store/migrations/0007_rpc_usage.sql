-- Usage of each RPC provider in the last 30 days. `day` is a date in UTC, `provider` the provider's host.
CREATE TABLE rpc_usage (
    day TEXT NOT NULL,
    chain_id INTEGER NOT NULL,
    provider TEXT NOT NULL,
    calls INTEGER NOT NULL,
    bytes_sent INTEGER NOT NULL,
    bytes_received INTEGER NOT NULL,
    PRIMARY KEY (day, chain_id, provider)
) STRICT, WITHOUT ROWID;
