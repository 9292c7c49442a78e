"""Use cases and loops: gather, decide in core, write once."""
