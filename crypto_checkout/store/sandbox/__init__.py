"""The sandbox chain of test mode, and its test helpers' progress. Live mode's rows are never touched."""
