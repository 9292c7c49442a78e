-- For balances: sessions whose addresses got money, among the many that got none; what left them; and their wallets.
CREATE INDEX checkout_sessions_funded ON checkout_sessions (livemode, seq) WHERE payment_count > 0;
CREATE INDEX outflows_here ON outflows (livemode, seq) WHERE canonical = 1;
CREATE INDEX wallets_of_deposits ON wallets (system) WHERE system IS NOT NULL;
