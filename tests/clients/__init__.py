"""Real clients, unchanged, against a running server: ``make clients``."""
