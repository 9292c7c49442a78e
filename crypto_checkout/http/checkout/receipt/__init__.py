"""The receipt for a payer: its page, its signed form with the keys that verify it, and the mails to payers."""
