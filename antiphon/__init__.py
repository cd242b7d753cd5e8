"""Antiphon: the whole Responses API, on your own machines, over any model."""

__version__ = "0.1.0"
