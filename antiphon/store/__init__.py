"""What survives: one protocol per noun, one file per database."""
