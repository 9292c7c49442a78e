"""The owner's access: password, second factor, logins, API keys, and the audit trail of their actions.

Limits on attempts belong to `http.dashboard`, and rules about passwords and keys to `core.owner`. Every write of the
owner checks that the login still exists (`sign_in.check_login`) and records itself with `audit.record`.
"""
