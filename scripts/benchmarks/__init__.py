"""One measurement a module; scripts/bench runs them by name."""
