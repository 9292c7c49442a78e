"""HTTP: the API, the payer's pages, the dashboard. The only room with status codes."""
