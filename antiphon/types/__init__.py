"""The wire: one struct per thing the API names. No behaviour, no I/O."""
