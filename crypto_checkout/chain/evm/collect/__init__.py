"""Questions to a node about the contracts that collect; see `core.collect`."""
