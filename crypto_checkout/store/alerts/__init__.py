"""Issues that the tables show, dismissed issues, and alerts. When to alert is decided by `core.alerts`."""
