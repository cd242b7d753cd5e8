"""The loop: from a request and what is stored to a context, a run, and its events."""
