"""Notes that a merchant keeps with a resource: how many there may be, and how long."""

MOST_KEYS = 50
LONGEST_KEY = 40
LONGEST_VALUE = 500
