"""The merchant's side in the browser."""
