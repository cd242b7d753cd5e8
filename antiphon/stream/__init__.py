"""How a response unfolds: deltas, the legal order, the gate, the fold. No I/O, no clock."""
