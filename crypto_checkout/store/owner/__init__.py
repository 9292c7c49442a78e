"""The owner's account, logins, API keys and audit trail. Secrets are stored as digests only, except the TOTP secret."""
