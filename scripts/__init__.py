"""Programs for developers, run from a checkout; nothing here ships with the package."""
