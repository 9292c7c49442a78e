"""One webhook delivery: how it is signed, when it is tried, where it may go, what came of it. No database here."""
