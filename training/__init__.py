"""Everything needed to train `demo-antiphon`, the small model inside the package."""
