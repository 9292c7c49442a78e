"""The shop on its payers' pages: its name, looks and contacts, and the stylesheet of its color."""
