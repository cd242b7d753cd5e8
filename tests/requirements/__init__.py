"""What we promise, as data: one file per area, each entry tied to a test."""
