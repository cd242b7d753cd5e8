"""How it is asked: HTTP in, a projection of the events out."""
