"""Diagnosis: explain payments, compare ledger and chains, and check the set-up. Nothing here changes the ledger.

`explain` and `payment_detail` gather the facts about one subject; `reconcile` compares all given-out addresses with the
chains, and `background_reconcile` a few of them every minute; `checks` is the part of `doctor` that reads the ledger
and the providers, and `nodes` tries nodes before they are configured. Wording and judgement are in `core.diagnosis`.
"""
