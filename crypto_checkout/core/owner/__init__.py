"""The owner's access: the dashboard's account and logins, API keys, passwords, and the audit trail.

Hashing, random secrets and cookies live above, in `services.owner` and `http.dashboard`. An action that no event
records gets a member in `core.owner.audit.Action`.
"""
