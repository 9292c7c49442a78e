"""Issues and alerts: everything that needs a person, and the messages about it.

`issues` gathers the issues from the tables and from `server_issues`, which knows the ones that no table holds. Every
minute `notifier` compares them with the alerts already sent and writes to each channel of `channels`. Kinds, wording
and delays are in `core.alerts`; a new kind of issue is added there, and a query for it to `issues` or `server_issues`.
"""
