"""Replicas on one database, load, and everything that can go wrong at once."""
