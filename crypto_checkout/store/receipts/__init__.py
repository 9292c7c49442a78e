"""Receipts with their numbers, the keys that sign them, and the mails that wait to be sent."""
