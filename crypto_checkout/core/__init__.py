"""The domain: values, rules and decisions. Pure: no I/O, no clock, no framework, no randomness."""
