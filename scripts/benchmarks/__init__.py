"""Benchmarks: one module each, run by name with scripts/bench. Modules that begin with `_` are shared by several."""
