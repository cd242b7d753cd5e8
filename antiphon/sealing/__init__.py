"""Content that callers keep for us, and keys for what is stored."""
