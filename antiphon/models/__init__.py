"""The model file shipped with the package."""
