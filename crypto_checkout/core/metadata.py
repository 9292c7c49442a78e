"""Limits of metadata, the notes that a merchant keeps with a resource. Lengths are in characters."""

MOST_KEYS = 50
LONGEST_KEY = 40
LONGEST_VALUE = 500
