"""Moving money on: which chains can have deposits, and what is needed to collect from them. Never a key."""
