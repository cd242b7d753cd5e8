"""Where models are: each file translates one kind of upstream into deltas."""
