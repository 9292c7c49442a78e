"""The payer's pages: a payment link, a session's page with its live status, the shop's logo."""
