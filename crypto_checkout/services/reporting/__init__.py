"""Read-only views for the owner: totals, exports, progress of the set-up, and lines for the configuration file.

Nothing here changes a session or a payment. A report reads in small parts, so that it holds up no writer.
"""
