"""Tools the server runs."""
