"""Diagnosis: explanations of sessions and transactions, reconciliation, and the results of `doctor`'s checks.

The sentences for people are written here, once for the command line, the dashboard and JSON. Gathering the evidence is
the work of `services.diagnosis`. A new reason is a member of `core.diagnosis.explanation.Reason`.
"""
