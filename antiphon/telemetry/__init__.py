"""Subscribers of ``observe``: logs and metrics."""
