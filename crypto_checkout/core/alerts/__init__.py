"""Alerts: the issues that need a person, and when and in which words to notify one.

Finding issues and sending alerts is the work of `services.alerts`. To add a kind of issue, give it a member in
`IssueKind`, a row in `ISSUES`, and a function that describes it, all in `core.alerts.issues`.
"""
