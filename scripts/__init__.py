"""What a developer runs from a checkout; nothing here ships with the package."""
