"""Every road to a response, on every store, in both flavours, tells the same story."""
