"""The owner's account, logins, API keys and audit trail.

Secrets are stored as digests only; the second factor's, which the server must read again, is encrypted.
"""
