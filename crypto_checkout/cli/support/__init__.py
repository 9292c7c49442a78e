"""Helpers that commands share: options, reading the configuration, opening the database, tables and progress.

No command lives here, and nothing that a single command needs.
"""
